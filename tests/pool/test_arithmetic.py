"""The arithmetic expert: exact where it answers, silent where it does not fully understand."""

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import Declined
from waypost.pool.arithmetic import Arithmetic
from waypost.pool.catalogue import LOCAL
from waypost.pool.quantity import written
from waypost.pool.solving import solve
from waypost.types import Answer, Query


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 15% of 240?", "36"),
        ("what is 20 percent off 85", "68"),
        ("20% off of 85", "68"),
        ("increase 50 by 10%", "55"),
        ("Reduce 80 by 25%.", "60"),
        ("80 increased by 5", "85"),
        ("What percent of 80 is 20?", "25%"),
        ("20 is what percent of 80?", "25%"),
        ("3/4 as a percentage", "75%"),
        ("5% + 3%", "8%"),
        ("What is 3/8 of 64?", "24"),
        ("3 km + 250 m in m", "3250 m"),
        ("3 km + 250 m", "3.25 km"),
        ("Convert 5 miles to km", "8.04672 km"),
        ("How many minutes are there in 3.5 hours?", "210 minutes"),
        ("how many seconds in an hour", "3600 seconds"),
        ("60 minutes in hours", "1 hour"),
        ("2 hours 30 minutes in minutes", "150 minutes"),
        ("5 feet 3 inches in cm", "160.02 cm"),
        ("What is 25 °C in °F?", "77 °F"),
        ("convert -40 C to F", "-40 °F"),
        ("Convert 98.6 degrees Fahrenheit to Celsius.", "37 degrees Celsius"),
        ("60 km / 2 hours", "30 km/h"),
        ("5 m * 3 m", "15 m²"),
        ("10 km / 250 m", "40"),
        ("What is 20% of 50 kg?", "10 kg"),
        ("2 * 3 kg + 500 g in g", "6500 g"),
        ("(1 + 2) * 3 / 4", "2.25"),
        ("7 x 8 =", "56"),
        ("2^10", "1024"),
        ("2**3**2", "512"),
        ("-2^2", "-4"),
        ("2^-1", "0.5"),
        ("2 + -3 * -4", "14"),
        ("0.1 + 0.2", "0.3"),
        ("1/3", "0.3333333333"),
        ("2/3", "0.6666666667"),
        ("1,250 + 750", "2000"),
        ("What is 144 divided by 12?", "12"),
        ("seven plus twenty-five", "32"),
        ("nine hundred and ninety-nine minus 1", "998"),
        ("one thousand two hundred times two", "2400"),
        ("3 million / 2", "1500000"),
        ("5 squared", "25"),
        ("square root of 144", "12"),
        ("What is the square root of 2?", "1.414213562"),
        ("cube root of (27/8)", "1.5"),
        ("What is 5!?", "120"),
        ("sum of 3, 4 and 5", "12"),
        ("the average of 2, 4 and 9", "5"),
        ("What is the difference between 3 and 10?", "7"),
        ("product of 6 and 7", "42"),
        ("What is the remainder when 17 is divided by 5?", "2"),
        ("subtract 5 from 12", "7"),
        ("half of 90", "45"),
        ("Please calculate twice 21.", "42"),
        ("What is the square of 15?", "225"),
        ("the cube of 3 plus 1", "28"),
        ("three quarters of 80", "60"),
        ("one third of 90", "30"),
        ("Hello, can you help? sqrt(529)", "23"),
        ("Quick question: What do you get for 7 + 11?", "18"),
        ("Can you tell me what 480 / 16 + 3 is?", "33"),
        ("I need the value of 1/2 + 1/4.", "0.75"),
        ("Tell me what 15% of 940 comes to.", "141"),
        ("Work out 10% of 600 for me, thanks", "60"),
        ("Compute 138 × 51 Give only the result.", "7038"),
        ("What is 8137 - 7572? No explanation needed.", "565"),
        ("Convert 5 h to min. Answer with the number only.", "300"),
        ("How much is forty-seven and seven together?", "54"),
        ("If you take 52 away from 146, what is left?", "94"),
        ("Take 138, add 11, then subtract 19. What do you have?", "130"),
        ("Start with 5, multiply by 4 and then add 1", "21"),
        ("How much bigger is 59 than 41?", "18"),
        ("Which number is 31 more than 58?", "89"),
        ("What is 7 less than 20?", "13"),
        ("Which is larger, 12 or 134?", "134"),
        ("Which is smaller: 2 km or 500 m?", "500 m"),
        ("Is 45 larger than 68? Answer yes or no.", "no"),
        ("Is 5 less than 68?", "yes"),
        ("Is 76 an even number? Answer yes or no.", "yes"),
        ("Is 55 a prime number?", "no"),
        ("is 97 prime", "yes"),
        ("Is 17 divisible by 3? Say yes or no.", "no"),
        ("Round 1257 to the nearest ten.", "1260"),
        ("Round 3.14159 to 2 decimal places", "3.14"),
        ("Round 2.5 kg to the nearest whole number", "3 kg"),
        ("What is the sum of the whole numbers from 1 to 100?", "5050"),
        ("sum of the odd numbers from 2 to 8", "15"),
        ("What comes next: 11, 16, 21, 26, ...?", "31"),
        ("What comes next: 3, 6, 12, 24, ...?", "48"),
        ("x + 13 = 133. What is x?", "120"),
        ("Solve for y: 3y - 1 = 20", "7"),
        ("Find x if 2 * (x + 1) = 10.", "4"),
        ("48 is 20 percent of which number?", "240"),
        ("If 25% of a number is 155, what is the number?", "620"),
        ("760 is reduced by 80%. What is the result?", "152"),
        ("What is the percentage change from 240 to 216?", "-10%"),
        ("What is the percentage decrease from 240 to 216?", "10%"),
        ("A price rose from 160 to 240. By how many percent?", "50%"),
        ("Express 18 out of 360 as a percentage.", "5%"),
        ("What is a tip of 15% on a bill of $40?", "$6"),
        ("A restaurant bill is $160. How much is a 50% tip?", "$80"),
        ("How much do I pay for a carpet of 60 euros with 20% off?", "48 euros"),
        ("After a 20% discount a chair costs $640. What did it cost before?", "$800"),
        ("A lamp costs $360 and is reduced by 30%. What is the new price?", "$252"),
        ("A tent costs 200 dollars before a tax of 15%. What does it cost with tax?", "230 dollars"),
        ("$2.50 - $3", "-$0.5"),
        ("How many hours are there in 5 days and 6 hours?", "126 hours"),
        ("I have 5 pounds; how much is that in ounces?", "80 ounces"),
        ("It is 203 °F outside. How much is that in degrees Celsius?", "95 degrees Celsius"),
        ("A film lasts 3 hours and 40 minutes. How many minutes is that?", "220 minutes"),
        ("Add 8 km and 350 m. Give the answer in metres.", "8350 metres"),
        ("Add 3 km and 250 m, in metres", "3250 metres"),
    ],
)
def test_it_answers(question, answer):
    assert solve(question) == answer


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Anna has 3 apples and buys 4 more. How many has she?", "'Anna' is not arithmetic"),
        ("What is the capital of France?", "is not arithmetic"),
        ("If a train travels 60 km in 2 hours, how fast is it?", "is not arithmetic"),
        ("What is 5?", "nothing to compute"),
        ("42", "nothing to compute"),
        ("", "ends too early"),
        ("3 +", "ends too early"),
        ("(1 + 2", "ends too early"),
        ("2 (3 + 4)", "does not belong"),
        ("1,25 + 3", "',' is not arithmetic"),
        ("100 + 10%", "can mean two things"),
        ("20 C + 10 C", "can mean two things"),
        ("20 C * 2", "temperatures cannot be multiplied"),
        ("10/0", "division by zero"),
        ("0^-1", "zero has no negative power"),
        ("(-8)^(1/3)", "whole-number powers"),
        ("square root of -4", "no real root"),
        ("2 kg in metres", "mass cannot be converted to length"),
        ("3 kg + 4 m", "length cannot be converted to mass"),
        ("5 parsecs in km", "is not arithmetic"),
        ("5 kg * 3 m", "say which unit"),
        ("1 / 3 km", "say which unit"),
        ("A club had 740 visitors last week and 75% more this week. How many this week?", "not arithmetic"),
        ("There are 360 people in the club and 10% of them wear glasses. How many wear glasses?", "not arithmetic"),
        ("How much do I pay for a dozen apples at $3 with 10% off?", "not arithmetic"),
        ("What is 2 + 2? Show your work.", "not arithmetic"),
        ("What is 2 + 2? Say yes or no.", "not arithmetic"),
        ("Increase 20% by 5%", "percentage points differ"),
        ("How much bigger is 41 than 59?", "not plainly more"),
        ("Which is larger, 0.5 or 1/2?", "are equal"),
        ("A price rose from 240 to 160. By how many percent?", "is no rise"),
        ("What comes next: 1, 1, 2, 3, 5?", "neither one difference"),
        ("What comes next: 2, 4, 8?", "at least four"),
        ("x * x = 4. What is x?", "stands in it once"),
        ("x ** 2 = 1. What is x?", "stands in it once"),
        ("0 * x = 4. What is x?", "does not depend"),
        ("Is 2.5 even?", "no whole number"),
        ("Is 1000000007 prime?", "too large to test"),
        ("Round -2.5 to the nearest whole number", "can mean two things"),
        ("Take 5, double it, add 3", "no step"),
        ("$5 in euros", "cannot be converted"),
        ("$5 + 3", "cannot be converted"),
        ("After a 100% discount a chair costs $640. What did it cost before?", "less than the whole price"),
        ("2024-10-31", "looks like a date"),
        ("10/12/2024", "looks like a date"),
        ("2^100000", "too large"),
        ("9^9^9^9", "too large"),
        ("1000!", "from 0 to 500"),
        ("1" * 31 + " + 1", "more than 30 digits"),
        ("1" + " + 1" * 70, "more than 120 parts"),
        ("(" * 50 + "1" + ")" * 50, "nested too deep"),
        ("-" * 60 + "1", "nested too deep"),
        ("1 + 1 " * 60, "at most 300"),
        ("__import__('os').system('true')", "is not arithmetic"),
    ],
)
def test_it_declines_in_words(question, told):
    with pytest.raises(Declined, match=told):
        solve(question)


# An expression as text, beside its value worked out by Python's own fractions: None where there is none.
leaves = st.integers(0, 999).map(lambda n: (str(n), Fraction(n))) | st.decimals(0, 99, places=2).map(
    lambda d: (f"{d:f}", Fraction(d))
)


def combine(children):
    sums = st.tuples(children, st.sampled_from(["+", "-", "*", "/"]), children)
    return sums.map(binary) | children.map(lambda c: (f"-({c[0]})", None if c[1] is None else -c[1]))


def binary(parts):
    (left, a), sign, (right, b) = parts
    text = f"({left}) {sign} ({right})"
    if a is None or b is None or (sign == "/" and b == 0):
        return text, None
    return text, {"+": a.__add__, "-": a.__sub__, "*": a.__mul__, "/": a.__truediv__}[sign](b)


@given(st.recursive(leaves, combine, max_leaves=12))
def test_it_agrees_with_exact_fractions(expression):
    text, value = expression
    if len(text) > 290:
        return
    if value is None or (value and abs(value) < Fraction(1, 10**30)):
        with pytest.raises(Declined):
            solve(f"{text} + 0")
    else:
        assert solve(f"{text} + 0") == written(value)


@given(st.lists(st.tuples(st.integers(1, 99), st.sampled_from("+-*/")), min_size=2, max_size=12))
def test_without_brackets_it_binds_as_python_does(terms):
    text = " ".join(f"{n} {sign}" for n, sign in terms)[:-2]
    exact = " ".join(f"Fraction({n}) {sign}" for n, sign in terms)[:-2]
    assert solve(text) == written(eval(exact))


@given(st.fractions(max_denominator=10**6))
def test_a_number_is_written_exactly_or_to_ten_digits(value):
    assert abs(Fraction(written(value)) - value) <= abs(value) * Fraction(1, 2 * 10**9)


WORDS = """what is 3 4.5 1,000 + - * / ^ ( ) % of off and an a hour km m miles in to convert how many squared root
    x = then add, take from which is larger than what comes next: prime even round nearest ten which number tax costs
    $ 5% square sum average percent increase by one hundred million ! = ? , . ² √ half 99999999999999999999 °C F as"""


@settings(max_examples=400)
@given(st.text(max_size=320) | st.lists(st.sampled_from(WORDS.split()), max_size=60).map(" ".join))
def test_any_text_is_answered_or_declined_and_never_costs_time(text):
    start = time.process_time()
    try:
        assert solve(text)
    except Declined as why:
        assert str(why)
    assert time.process_time() - start < 0.25


@given(st.integers(-99, 99).filter(bool), st.integers(-999, 999), st.integers(-999, 999))
def test_a_solved_letter_makes_its_equation_true(factor, offset, root):
    assert solve(f"({factor}) * x + ({offset}) = {factor * root + offset}. What is x?") == str(root)


async def test_it_is_a_model_like_any_other():
    model = Arithmetic(LOCAL["arithmetic"])
    assert await model.ready() is None
    delta, answer = [piece async for piece in model.stream(Query.of("6 * 7"))]
    assert isinstance(answer, Answer)
    assert (delta.text, answer.text, answer.finish, answer.model) == ("42", "42", "stop", "arithmetic")
    assert answer.usd == LOCAL["arithmetic"].usd_per_call
    await model.close()
