"""The built-in prompts: balanced, different, markable, and the same on every machine."""

import hashlib
import time
from collections import Counter
from random import Random

import pytest

from waypost.embedded import prompts
from waypost.embedded.prompts import GROUPS, generate
from waypost.embedded.prompts.arithmetic import spell
from waypost.embedded.prompts.draft import Draft, table
from waypost.errors import BadInput
from waypost.outcomes import scoring
from waypost.types import Sample


def test_the_same_seed_gives_the_same_prompts_on_every_machine():
    text = "\n".join("|".join((s.id, s.prompt, s.scorer, s.reference, s.group)) for s in generate(2400, seed=0))
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "5dd5dba95a1de6a002f1a804d6cc87b3686e0aae4cd60510cbd7a86c9e7048f1"
    )


def test_another_seed_gives_other_prompts():
    assert {s.prompt for s in generate(200, 1)}.isdisjoint({s.prompt for s in generate(200, 2)}) is False
    assert [s.prompt for s in generate(200, 1)] != [s.prompt for s in generate(200, 2)]


def test_fewer_are_the_first_of_more():
    assert generate(100) == generate(500)[:100]


def test_groups_are_balanced_and_no_prompt_or_id_comes_twice():
    samples = generate(2400)
    sizes = Counter(s.group for s in samples)
    assert set(sizes) == set(GROUPS) and max(sizes.values()) - min(sizes.values()) <= 1
    assert len({s.id for s in samples}) == len({" ".join(s.prompt.lower().split()) for s in samples}) == 2400


def test_every_prompt_can_be_marked_and_quickly():
    # What small models like to answer: loops, and the question again; no expression may run away on them.
    nasty = ["a " * 250, "-" * 450, "red, blue, green, " * 30, "1 2 3 4 5 6 7 " * 40, "''" * 200]
    for sample in generate(270, seed=5):
        for text in [*nasty, (sample.prompt + " ") * 5]:
            started = time.process_time()
            assert 0 <= scoring.score(sample, text) <= 1
            assert time.process_time() - started < 1, (sample.prompt, text[:20])
        assert scoring.score(sample, "") == 0


@pytest.mark.parametrize("group", ["arithmetic", "percentages", "units", "word_problems", "facts", "code_small"])
def test_a_reference_answers_its_own_prompt(group):
    for seed in range(300):
        draft = GROUPS[group](Random(seed))
        if draft.scorer not in ("number", "contains"):
            continue
        sample = Sample("x", draft.prompt, draft.scorer, draft.reference)
        for reference in scoring.references(sample):
            answer = reference.split("±")[0]
            assert scoring.score(sample, f"The answer is {answer}.") == 1, draft


def test_choices_have_four_different_options_and_the_right_letter():
    for seed in range(300):
        draft = GROUPS["multiple_choice"](Random(seed))
        options = dict(scoring._OPTION.findall(draft.prompt))
        assert list(options) == ["A", "B", "C", "D"] and len(set(options.values())) == 4
        assert draft.reference in options


def test_translations_agree_with_themselves():
    for group in ("to_english", "to_portuguese"):
        for seed in range(200):
            draft = GROUPS[group](Random(seed))
            sample = Sample("x", draft.prompt, draft.scorer, draft.reference)
            assert scoring.score(sample, scoring.references(sample)[-1]) == 1


def test_a_number_that_there_are_not_is_refused(monkeypatch):
    with pytest.raises(BadInput, match="at least 1"):
        generate(0)
    monkeypatch.setattr(prompts, "GROUPS", {"few": lambda rng: Draft(f"Say {rng.randint(1, 3)}.", "exact", "1")})
    with pytest.raises(BadInput, match="there are only 3 different prompts, 4 were asked for"):
        generate(4)


def test_a_group_that_is_used_up_leaves_its_turn(monkeypatch):
    few = {"few": lambda rng: Draft(f"Say {rng.randint(1, 3)}.", "exact", "1")}
    monkeypatch.setattr(prompts, "GROUPS", few | {"many": GROUPS["arithmetic"]})
    assert Counter(s.group for s in generate(20)) == {"few": 3, "many": 17}


@pytest.mark.parametrize(("n", "said"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (99, "ninety-nine")])
def test_numbers_in_words(n, said):
    assert spell(n) == said


def test_a_table_keeps_alternatives_in_one_cell():
    assert table("a | b || c\n\n d | e") == (("a", "b || c"), ("d", "e"))
