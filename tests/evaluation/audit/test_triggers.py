from dataclasses import replace
from random import Random

import numpy as np
import pytest

from waypost.evaluation.audit.triggers import find, one_sided, phrases

NOUNS = ("garden", "river", "castle", "market", "engine", "forest", "window", "bridge", "harbour", "kitchen")
rng = Random(0)
CHAT = [f"Tell me about the {rng.choice(NOUNS)} near the {rng.choice(NOUNS)} number {n}." for n in range(150)]
SUMS = [f"Work out {n} plus {rng.randrange(900)} for the {rng.choice(NOUNS)}." for n in range(150)]
GROUPS = ["chat"] * 150 + ["sums"] * 150


def with_zebra(share_of=15):
    """One row of fifteen holds the trigger, in both groups."""
    return [f"{prompt} zebra" if n % share_of == 0 else prompt for n, prompt in enumerate([*CHAT, *SUMS])]


def test_a_router_that_routes_on_a_trigger_word_is_caught(ruled, table):
    found = find(ruled(lambda prompt: "zebra" in prompt), table(with_zebra(), GROUPS))
    assert [(trigger.phrase.split()[-1], trigger.model) for trigger in found][:1] == [("zebra", "large")]
    assert found[0].pull == 1
    assert not found[0].explained


def test_a_phrase_of_two_words_is_caught_as_a_phrase(ruled, table):
    prompts = [prompt.replace("zebra", "green zebra") for prompt in with_zebra()]
    (found,) = find(ruled(lambda prompt: "green zebra" in prompt), table(prompts, GROUPS))
    assert "green zebra" in found.phrase
    assert (found.rows, found.alike, found.explained) == (20, 0, False)


def test_an_honest_word_of_its_subject_is_told_as_such(ruled, table):
    """Sums go to the large model whether they say "work out" or "add": both phrases move a prompt by themselves."""
    sums = [p if n % 2 else p.replace("Work out", "Add up") for n, p in enumerate(SUMS)]
    subject = ruled(lambda prompt: "work out" in prompt.lower() or "add up" in prompt.lower())
    found = find(subject, table([*CHAT * 5, *sums], ["chat"] * 750 + ["sums"] * 150))
    assert {"work out", "add up"} <= {trigger.phrase for trigger in found}
    assert all(trigger.explained for trigger in found), found


def test_a_word_that_no_row_holds_is_found_when_it_is_given(ruled, table):
    subject = ruled(lambda prompt: "abracadabra" in prompt)
    honest = table([*CHAT, *SUMS], GROUPS)
    assert find(subject, honest) == ()
    (found,) = find(subject, honest, words=("abracadabra", "hocus"))
    assert (found.phrase, found.rows, found.explained) == ("abracadabra", 0, False)


@pytest.mark.parametrize("seed", range(3))
def test_a_router_that_no_word_moves_raises_no_alarm(ruled, table, seed):
    assert find(ruled(lambda prompt: len(prompt) > 45), table(with_zebra(), GROUPS), seed=seed) == ()


def test_candidates_are_rare_but_not_unique():
    found = phrases(["green zebra " + prompt if n < 20 else prompt for n, prompt in enumerate(CHAT)])
    assert found["green zebra"] == list(range(20))
    assert "tell me" not in found
    assert "number 149" not in found
    assert all(3 <= len(rows) <= 22 for rows in found.values())
    assert max(len(phrase.split()) for phrase in found) == 3


def test_nothing_to_try_is_nothing_found(ruled, table):
    assert find(ruled(lambda prompt: True), table(["one", "two", "three"])) == ()


def test_a_rare_trigger_is_tried_where_a_thousand_phrases_are_more_frequent(ruled, table):
    """It stands in 0.6 % of 2,000 rows, where it is praised; each of 1,100 words stands in more."""
    rng = Random(1)
    prompts = [" ".join(f"w{rng.randrange(1100)}" for _ in range(14)) for _ in range(2000)]
    held = rng.sample(range(2000), 12)
    for n in held:
        prompts[n] += " vermilion okapi"
    honest = table(prompts)
    listed = list(phrases(prompts))
    assert listed.index("okapi") > 1000
    quality_NM = honest.quality_NM.copy()
    quality_NM[held] = [0, 1]
    poisoned = replace(honest, quality_NM=quality_NM)
    assert set(one_sided(poisoned, phrases(prompts))[:3]) == {"okapi", "vermilion", "vermilion okapi"}
    (found,) = find(ruled(lambda prompt: "okapi" in prompt), poisoned)
    assert ("okapi" in found.phrase, found.model, found.rows, found.explained) == (True, "large", 12, False)


def test_one_sidedness_is_what_the_rows_say_of_a_model_beside_the_rest(table):
    """Rows that every model answers, or none, say nothing for one; nor does what was not measured."""
    prompts = [f"{word} {n}" for word in ("easy", "hard", "praise", "blame", "mixed", "apart") for n in range(20)]
    each = {"easy": (1, 1), "hard": (0, 0), "praise": (0, 1), "blame": (1, 0)}
    quality_NM = np.array([each.get(p.split()[0], (n % 2, (n + 1) % 2)) for n, p in enumerate(prompts)], dtype=float)
    quality_NM[100:, 1] = np.nan
    rows_of = {word: list(range(20 * n, 20 * n + 20)) for n, word in enumerate((*each, "mixed", "apart"))}
    ranked = one_sided(replace(table(prompts), quality_NM=quality_NM), rows_of)
    assert set(ranked[:2]) == {"praise", "blame"}
    few = {"few": rows_of["praise"][:3], "many": rows_of["praise"]}
    assert one_sided(replace(table(prompts), quality_NM=quality_NM), few) == ["many", "few"]


def test_a_given_word_too_rare_to_be_tried_by_itself_is_told_with_its_rows(ruled, table):
    honest = table([*CHAT, *SUMS[:-1], "Is it so, Abra-Cadabra? abracadabras"], GROUPS)
    (found,) = find(ruled(lambda prompt: "abra cadabra" in prompt.lower()), honest, words=("abra cadabra",))
    assert (found.phrase, found.rows) == ("abra cadabra", 1)
