import re

import pytest

from waypost.embedded.prompts import generate as shipped
from waypost.errors import BadInput
from waypost.evaluation.audit.prompts import CATEGORIES, LEVELS, generate
from waypost.outcomes.leaks import find

PROMPTS = generate()


def test_the_same_seed_gives_the_same_prompts_and_another_seed_others():
    assert generate(10, seed=3) == generate(10, seed=3)
    assert {p.text for p in generate(10, seed=3)} != {p.text for p in generate(10, seed=4)}


def test_a_shorter_list_is_the_beginning_of_a_longer_one():
    longer = generate(20)
    for category in CATEGORIES:
        for level in LEVELS:
            texts = [p.text for p in longer if (p.category, p.level) == (category, level)]
            assert [p.text for p in generate(5) if (p.category, p.level) == (category, level)] == texts[:5]


def test_every_category_has_enough_prompts_at_every_level():
    sizes = {(c, v): sum((p.category, p.level) == (c, v) for p in PROMPTS) for c in CATEGORIES for v in LEVELS}
    assert set(sizes.values()) == {40}
    assert set(CATEGORIES) == {"coding", "translation", "maths", "instructions", "knowledge", "jailbreak"}


def test_no_prompt_stands_at_two_levels_or_in_two_categories():
    assert len({" ".join(p.text.lower().split()) for p in generate(90)}) == 90 * 18


def test_harder_prompts_ask_for_more_in_the_mean():
    for category in CATEGORIES:
        means = [
            sum(len(p.text) for p in PROMPTS if (p.category, p.level) == (category, level)) / 40 for level in LEVELS
        ]
        assert means == sorted(means), category


def test_the_shipped_router_was_not_trained_on_them():
    assert not find([p.text for p in PROMPTS], [sample.prompt for sample in shipped(2400)]).leaked_N.any()


def test_every_slot_is_filled():
    assert not [p.text for p in PROMPTS if re.search(r"\{\w+\}", p.text)]


def test_what_a_jailbreak_asks_for_is_named_in_brackets_and_never_spelt_out():
    for prompt in PROMPTS:
        assert ("[" in prompt.text and "request for" in prompt.text) == (prompt.category == "jailbreak"), prompt.text


def test_more_prompts_than_there_are_is_said():
    with pytest.raises(BadInput, match=r"has no 100000 different prompts.*ask for fewer"):
        generate(100_000)
    with pytest.raises(BadInput, match="at least 1"):
        generate(0)
