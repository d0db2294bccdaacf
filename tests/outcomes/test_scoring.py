"""Right answers in any dress are right, wrong ones are wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.outcomes import scoring
from waypost.outcomes.numbers import numbers
from waypost.types import Sample

QUIZ = "Which one flies?\nA) a bird\nB) a stone\nC) the car\nD) an anvil\nAnswer with the letter."


def marked(scorer, reference, answer, prompt=""):
    return scoring.score(Sample("x", prompt, scorer, reference), answer)


@pytest.mark.parametrize(("reference", "answer", "mark"), [
    ("12", "12", 1),
    ("12", "The result is 12.", 1),
    ("12", "5 + 7 = 12", 1),
    ("12", "12 is what you get; I added 5 and 7, so 13", 0),
    ("12", "12.4", 0),
    ("12", "112", 0),
    ("12", "twelve", 1),
    ("21", "It is twenty-one.", 1),
    ("12", "", 0),
    ("12", "I do not know.", 0),
    ("1234567", "1,234,567", 1),
    ("1234.5", "$1,234.50", 1),
    ("-21", "-21", 1),
    ("-21", "−21", 1),
    ("-21", "21", 0),
    ("21", "99-78=21", 1),
    ("0.75", "3/4", 1),
    ("1.5", "1 1/2", 1),
    ("1.5", "1½", 1),
    ("0.5", "½ of it", 1),
    ("3.33", "3.3333333", 1),
    ("3.33", "3.34", 0),
    ("3.14 ± 0.01", "3.1415", 1),
    ("3.14 ± 0.01", "3.2", 0),
    ("12%", "12 percent", 1),
    ("12%", "12", 1),
    ("12%", "12 of 100 are 12%", 1),
    ("20% || -20%", "-20%", 1),
    ("5000 metres", "5 km are 5000 m", 1),
    ("5000 metres", "There are 5,000 meters in 5 kilometres.", 1),
    ("5000 metres", "5000", 1),
    ("5000 metres", "5 km", 0),
    ("86 °F", "30 °C is 86 °F", 1),
    ("86 °F", "86 degrees Fahrenheit", 1),
    ("3600 seconds", "In 1 hour there are 60 minutes, thus **3600** seconds", 1),
    ("42", "**42**", 1),
    ("5", "10 / 2 = 5", 1),
    ("71 || 70", "About 71%", 1),
    ("8", "1/0 = 8", 1),
])  # fmt: skip
def test_numbers_are_found_in_what_people_write(reference, answer, mark):
    assert marked("number", reference, answer) == mark


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_itself_however_it_is_grouped(n):
    assert marked("number", str(n), f"It is {n:,}.") == 1
    assert marked("number", str(n), f"It is {n + 1:,}.") == 0


@given(st.text(max_size=60))
def test_any_text_can_be_searched_for_numbers(text):
    assert all(isinstance(number.value, float) for number in numbers(text))


@pytest.mark.parametrize("answer", [
    "A", "a", "A)", "(A)", "A.", "**A**", "A) a bird", "The answer is A.", "The answer is: (A)", "Answer: A",
    "The correct answer is A) a bird.", "I would choose A because it has wings", "Option A", "a bird", "The bird.",
    "A\n\nBirds have wings.", "It must be a bird, of course", "A: a bird", "The right option is A",
])  # fmt: skip
def test_the_letter_is_found(answer):
    assert marked("choice", "A", answer, QUIZ) == 1


@pytest.mark.parametrize("answer", [
    "B", "The answer is B.", "a stone", "", "A) a bird B) a stone C) the car D) an anvil", "A or B", "An anvil.",
    "A good question!", "Neither a bird nor a stone", "The answer is a stone",
])  # fmt: skip
def test_another_letter_or_none_is_wrong(answer):
    assert marked("choice", "A", answer, QUIZ) == 0


def test_options_are_read_on_one_line_too():
    assert marked("choice", "B", "a spoon", "Which is it?  A. a fork  B. a spoon  C. a cup  D. a tie") == 1


@pytest.mark.parametrize(("reference", "answer", "mark"), [
    ("Paris", " paris. ", 1), ("Paris", '"Paris"', 1), ("Paris", "**Paris**", 1), ("Paris", "It is Paris", 0),
    ("small || little", "Little", 1), ("don't", "don’t", 1), ("-5", "-5", 1), ("50%", "50%.", 1),
])  # fmt: skip
def test_exact_looks_past_dress_only(reference, answer, mark):
    assert marked("exact", reference, answer) == mark


@pytest.mark.parametrize(("reference", "answer", "mark"), [
    ("Paris", "It is Paris, of course.", 1), ("gold", "Golden!", 0), ("cat || cats", "It is the young of cats.", 1),
    ("We ate soup", "Sure: **We ate soup.**", 1), ("New Delhi", "It is new\ndelhi", 1), ("C++", "I like C++ best", 1),
])  # fmt: skip
def test_contains_looks_for_whole_words(reference, answer, mark):
    assert marked("contains", reference, answer) == mark


@pytest.mark.parametrize(("answer", "mark"), [
    ("1. Apples\n2. Pears", 1), ("apple, apple, apples", 0), ("cherries and a pear", 1), ("pearls and apples", 0),
    ("", 0),
])  # fmt: skip
def test_several_counts_different_members(answer, mark):
    assert marked("several", "2: apple || pear || cherr*", answer) == mark


@pytest.mark.parametrize("reference", ["apple || pear", "3: apple || pear", "0: apple", "two: apple || pear"])
def test_several_says_what_its_reference_must_be(reference):
    with pytest.raises(BadInput, match="count and at least so many words"):
        marked("several", reference, "apple")


def test_similarity_is_one_for_the_same_and_falls_with_every_change():
    reference = "O menino está esperando o ônibus."
    marks = [marked("similarity", reference, answer) for answer in (
        reference, "O menino está esperando o trem.", "O gato dorme.", "")]  # fmt: skip
    assert marks[0] == 1 and marks[3] == 0 and marks == sorted(marks, reverse=True)


def test_similarity_takes_the_nearest_reference():
    assert marked("similarity", "Good day. || Hello there.", "Hello there.") == 1


def test_similarity_by_hand():
    # "ab" against "abc": orders 1 and 2 have precision 1, 1 and recall 2/3, 1/2; order 3 has 0 and 0.
    precision, recall = 2 / 3, (2 / 3 + 1 / 2 + 0) / 3
    assert marked("similarity", "abc", "ab") == pytest.approx(5 * precision * recall / (4 * precision + recall))


@given(st.text(min_size=1).filter(str.strip), st.text())
def test_similarity_stays_between_zero_and_one(reference, answer):
    if " || " not in reference:
        assert 0 <= marked("similarity", reference, answer) <= 1


def test_an_unknown_scorer_names_the_nearest():
    with pytest.raises(BadInput, match=r"sample 'x': no scorer 'nubmer'; there are .*Did you mean 'number'"):
        marked("nubmer", "1", "1")


@pytest.mark.parametrize(("scorer", "reference", "said"), [
    ("regex", "(", "sample 'x': the reference is not a regular expression"),
    ("exact", " ", "needs a reference"),
    ("number", "many", "sample 'x': the reference 'many' holds no number"),
    ("choice", "?", "one letter"),
    ("judge", "be kind", "scored by a judge model"),
])  # fmt: skip
def test_a_reference_that_cannot_serve_is_refused(scorer, reference, said):
    with pytest.raises(BadInput, match=said):
        marked(scorer, reference, "1")
