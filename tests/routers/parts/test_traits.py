"""Traits of a text's form: each says what its name says."""

import pytest

from waypost.routers.parts.traits import TRAITS, traits


def _of(text):
    return dict(zip(TRAITS, traits([text])[0], strict=True))


@pytest.mark.parametrize(
    ("trait", "has", "has_not"),
    [
        ("log_options", "Pick one.\nA. red\nB) blue\n(C) green", "Pick one. A red one."),
        ("options_without_letters", "2 + 2?\nA. 3\nB. 4", "2 + 2?\nA. three\nB. four"),
        ("log_negations", "Which is NOT a bird?", "Which is a bird?"),
        ("log_negations", "Why doesn't it fly?", "Why does it fly?"),
        ("log_negations", "下列不正确的是", "下列正确的是"),
        ("log_numbers", "Add 3 and 4.", "Add them."),
        ("money_or_percent", "It costs $3.", "It costs 3."),
        ("log_formulas", r"Let \frac{1}{x} be.", "Let it be."),
        ("log_code", "def add(a, b): return a + b", "Define a sum."),
        ("gap", "The capital of France is ____.", "Name the capital of France."),
        ("quantity", "How many are there?", "Who is there?"),
        ("which", "Which one?", "What is witchcraft?"),
        ("why", "Explain the tides.", "List the tides."),
        ("who_when_where", "When was it?", "It whens."),
        ("answer_format", "Answer with one letter.", "Tell me."),
        ("above_or_both", "A. one\nB. all of the above", "A. one\nB. two"),
        ("enumerated_statements", "I. it is. II. it is not.", "I think it is."),
        ("quotes", 'He said "no".', "He said no."),
        ("log_paragraphs", "One.\n\nTwo.", "One.\nTwo."),
        ("han_share", "下列正确的是", "Which is right?"),
    ],
)
def test_a_trait_is_there_or_is_not(trait, has, has_not):
    assert _of(has)[trait] > _of(has_not)[trait] == 0


def test_numbers_are_read_with_their_thousands_and_without_their_decimals():
    assert _of("1,200.75 miles")["log_largest_number"] == _of("1200 miles")["log_largest_number"]


@pytest.mark.parametrize("text", ["", " ", "\n", "\ud800", "𝟘 ௧ ²", "1." * 9000, "\0" * 50, "9" * 400, "A. " * 5000])
def test_any_text_has_finite_traits(text):
    assert all(value == value and abs(value) < 1e6 for value in _of(text).values())


def test_no_texts_have_no_rows():
    assert traits([]).shape == (0, len(TRAITS))
