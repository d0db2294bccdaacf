from random import Random

import pytest

from waypost.evaluation.audit.triggers import find, phrases

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
