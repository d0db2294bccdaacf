"""Plain sums in many wordings, a few in words, a few that are questions about numbers."""

from __future__ import annotations

from math import isqrt
from random import Random

from waypost.embedded.prompts.draft import Draft, lines, show, tail, words

_ENDINGS = lines("""
    Answer with a number only.
    Just the number, please.
    Give only the result.
    No explanation needed.
""")
_ASKS = lines("""
    What is {}?
    What is {}?
    Calculate {}.
    Calculate {}.
    Work out {}.
    How much is {}?
    Compute {}
    {} = ?
    Evaluate {}.
    Can you tell me what {} is?
    What do you get for {}?
    I need the value of {}.
    hey, what's {}
    Solve: {}
""")
_ONES = words("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
_ONES += words("seventeen eighteen nineteen")
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")


def spell(n: int) -> str:
    """A whole number from 0 to 99 in words.

    >>> spell(42)
    'forty-two'
    """
    if n < len(_ONES):
        return _ONES[n]
    ten, one = divmod(n, 10)
    return _TENS[ten - 2] + (f"-{_ONES[one]}" if one else "")


def draft(rng: Random) -> Draft:
    """One sum."""
    make = rng.choice((_symbols, _symbols, _brackets, _decimals, _spoken, _spoken, _in_words, _powers, _about))
    return make(rng)


def _number(prompt: str, value: float) -> Draft:
    return Draft(prompt, "number", show(value))


def _ask(rng: Random, expression: str, value: float) -> Draft:
    return _number(rng.choice(_ASKS).format(expression) + tail(rng, _ENDINGS, 0.1), value)


def _symbols(rng: Random) -> Draft:
    top = rng.choice((12, 99, 999, 9999))
    a, b = rng.randint(2, top), rng.randint(2, top)
    gap = rng.choice((" ", " ", ""))
    times = rng.choice("*x×")
    expression, value = rng.choice(
        (
            (f"{a}{gap}+{gap}{b}", a + b),
            (f"{a}{gap}-{gap}{b}", a - b),
            (f"{a % 200 + 2}{gap}{times}{gap}{b % 100 + 2}", (a % 200 + 2) * (b % 100 + 2)),
            (f"{(a % 60 + 2) * (b % 30 + 2)}{gap}/{gap}{b % 30 + 2}", a % 60 + 2),
        )
    )
    return _ask(rng, expression, value)


def _brackets(rng: Random) -> Draft:
    a, b, c, d = (rng.randint(2, 30) for _ in range(4))
    expression, value = rng.choice(
        (
            (f"({a} + {b}) * {c}", (a + b) * c),
            (f"{a} * ({b} - {c})", a * (b - c)),
            (f"{a} + {b} * {c} - {d}", a + b * c - d),
            (f"({a} + {b}) - ({c} + {d})", (a + b) - (c + d)),
            (f"{a * c} / {c} + {d}", a + d),
            (f"{a} + {b} + {c} + {d}", a + b + c + d),
        )
    )
    return _ask(rng, expression, value)


def _decimals(rng: Random) -> Draft:
    a, b = rng.randint(11, 999) / 10, rng.randint(101, 9999) / 100
    expression, value = rng.choice(
        (
            (f"{show(a)} + {show(b)}", a + b),
            (f"{show(b)} - {show(a)}", b - a),
            (f"{show(a)} * {rng.choice((2, 4, 5))}", 0.0),
            (f"1/{rng.choice((2, 4, 5))} + 1/{rng.choice((2, 4, 10))}", 0.0),
        )
    )
    if "*" in expression:
        value = a * int(expression.split("* ")[1])
    elif "/" in expression:
        value = sum(1 / int(part.split("/")[1]) for part in expression.split(" + "))
    return _ask(rng, expression, round(value, 6))


def _spoken(rng: Random) -> Draft:
    a, b, c = rng.randint(2, 150), rng.randint(2, 60), rng.randint(2, 25)
    prompt, value = rng.choice(
        (
            (f"What is {a} plus {b}?", a + b),
            (f"Add {a}, {b} and {c}.", a + b + c),
            (f"Subtract {b} from {a + b}.", a),
            (f"What is {b} times {c}?", b * c),
            (f"Multiply {b} by {c}.", b * c),
            (f"Divide {b * c} by {c}.", b),
            (f"What do I get when I divide {b * c} by {b}?", c),
            (f"If you take {b} away from {a + b}, what is left?", a),
            (f"What is the sum of {a} and {b}?", a + b),
            (f"What is the product of {b} and {c}?", b * c),
            (f"What is the difference between {a + b} and {b}?", a),
            (f"Which number is {b} more than {a}?", a + b),
            (f"How much bigger is {a + c} than {a}?", c),
            (f"Double {a}.", 2 * a),
            (f"What is half of {2 * a}?", a),
            (f"What is a third of {3 * b}?", b),
            (f"Take {a}, add {b}, then subtract {c}. What do you have?", a + b - c),
            (f"I am thinking of a number. If I add {b} to it I get {a + b}. What is my number?", a),
            (f"x + {b} = {a + b}. What is x?", a),
            (f"What is the average of {a} and {a + 2 * c}?", a + c),
            (f"Round {a * 10 + rng.choice((2, 3, 7, 8))} to the nearest ten.", 0),
        )
    )
    if prompt.startswith("Round"):
        value = round(int(prompt.split()[1]), -1)
    return _number(prompt + tail(rng, _ENDINGS, 0.1), value)


def _in_words(rng: Random) -> Draft:
    a, b = rng.randint(3, 60), rng.randint(2, 39)
    prompt, value = rng.choice(
        (
            (f"What is {spell(a)} plus {spell(b)}?", a + b),
            (f"What is {spell(a + b)} minus {spell(b)}?", a),
            (f"What is {spell(b % 12 + 2)} times {spell(a % 10 + 2)}?", (b % 12 + 2) * (a % 10 + 2)),
            (f"Add {spell(a)} to {spell(b)}.", a + b),
            (f"How much is {spell(a)} and {spell(b)} together?", a + b),
        )
    )
    return _number(prompt, value)


def _powers(rng: Random) -> Draft:
    a, b = rng.randint(2, 25), rng.randint(2, 9)
    prompt, value = rng.choice(
        (
            (f"What is the square of {a}?", a**2),
            (f"What is {a} squared?", a**2),
            (f"What is {b} to the power of 3?", b**3),
            (f"Calculate {b}^{3 if b > 4 else 5}.", b ** (3 if b > 4 else 5)),
            (f"What is the square root of {a * a}?", a),
            (f"sqrt({a * a})", a),
            (f"What is the remainder when {a * b + b - 1} is divided by {b}?", b - 1),
            (f"What is {a * b + 1} modulo {b}?", 1),
            (f"What is the sum of the whole numbers from 1 to {a}?", a * (a + 1) // 2),
        )
    )
    return _number(prompt, value)


def _about(rng: Random) -> Draft:
    """Questions about numbers that are not sums; an exact expert may well decline them."""
    n, m = rng.randint(11, 120), rng.randint(11, 120)
    prime = all(n % k for k in range(2, isqrt(n) + 1))
    prompt, answer = rng.choice(
        (
            (f"Is {n} a prime number? Answer yes or no.", "yes" if prime else "no"),
            (f"Is {n} an even number? Answer yes or no.", "no" if n % 2 else "yes"),
            (f"Is {n} divisible by {m % 7 + 3}? Say yes or no.", "no" if n % (m % 7 + 3) else "yes"),
            (f"Is {n} larger than {m}? Answer yes or no.", "yes" if n > m else "no"),
            (f"Which is larger, {n} or {m + 121}?", str(m + 121)),
            (f"Which is smaller, {n} or {m + 121}?", str(n)),
            (f"What comes next: {n}, {n + 5}, {n + 10}, {n + 15}, ...?", str(n + 20)),
        )
    )
    if answer in ("yes", "no"):
        return Draft(prompt, "regex", rf"(?i)^\W*{answer}\b")
    return Draft(prompt, "number", answer)
