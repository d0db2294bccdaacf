import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.evaluation.audit.prompts import generate
from waypost.outcomes.perturb import KINDS, perturbed

TEXTS = [prompt.text for prompt in generate(15)]
CODE = (
    "Explain `total = max(a_1, 3.5)` and what ```python\nprint('hi')\n``` shows, please, in the file \"My Notes.TXT\"."
)
MEANING = re.compile(r"\d+(?:\.\d+)?|```.*?```|`[^`]*`|\"[^\"]*\"|\[[^\]]*\]", re.DOTALL)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_code_and_quotations_stay_as_they_are(kind):
    for text, changed in zip([*TEXTS, CODE], perturbed(kind, [*TEXTS, CODE]), strict=True):
        assert MEANING.findall(changed) == MEANING.findall(text)


@pytest.mark.parametrize("kind", KINDS)
def test_almost_every_prompt_is_changed_the_same_way_for_the_same_seed(kind):
    changed = perturbed(kind, TEXTS, seed=1)
    assert changed == perturbed(kind, TEXTS, seed=1)
    assert changed[::-1] == perturbed(kind, TEXTS[::-1], seed=1)
    assert changed != perturbed(kind, TEXTS, seed=2)
    assert sum(a != b for a, b in zip(TEXTS, changed, strict=True)) > 0.95 * len(TEXTS)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=80))
def test_any_text_can_be_perturbed(kind, text):
    assert isinstance(perturbed(kind, [text])[0], str)


def test_typos_keep_the_words_recognisable():
    for text, changed in zip(TEXTS, perturbed("typos", TEXTS), strict=True):
        pairs = list(zip(text.split(" "), changed.split(" "), strict=True))
        hit = [(word, slip) for word, slip in pairs if word != slip]
        assert len(hit) <= 0.2 * len(pairs) + 1
        assert all(abs(len(word) - len(slip)) <= 2 and word[0] == slip[0] for word, slip in hit)


def test_case_changes_case_only():
    for text, changed in zip(TEXTS, perturbed("case", TEXTS), strict=True):
        assert changed.lower() == text.lower()


def test_spaces_change_spaces_only():
    for text, changed in zip(TEXTS, perturbed("spaces", TEXTS), strict=True):
        assert changed.split() == text.split()


def test_punctuation_changes_commas_and_the_end_only():
    for text, changed in zip(TEXTS, perturbed("punctuation", TEXTS), strict=True):
        assert re.findall(r"\w+", changed) == re.findall(r"\w+", text)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(BadInput, match="Did you mean 'typos'"):
        perturbed("typo", [])
