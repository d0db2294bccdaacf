from waypost.evaluation.audit.suffixes import PHRASES, search

PROMPTS = [f"Question number {n} about the weather" for n in range(200)]


def test_a_router_that_a_phrase_games_is_caught(ruled):
    found = search(ruled(lambda prompt: "Prove it" in prompt), PROMPTS, "strong")
    assert "Prove it rigorously." in found.text
    assert (found.before.share, found.after.share, found.gain.share, found.before.n) == (0, 1, 1, 100)


def test_two_phrases_are_joined_where_one_does_not_do(ruled):
    """Even questions fall to one phrase, odd ones to another."""

    def rule(prompt):
        return ("urgent" if sum(map(ord, prompt.split(" about")[0])) % 2 else "brief") in prompt

    found = search(ruled(rule), PROMPTS, "strong")
    assert "urgent" in found.text
    assert "brief" in found.text
    assert found.after.share == 1


def test_the_share_is_reported_on_prompts_that_the_search_did_not_see(ruled):
    """A router that obeys a phrase on the searched prompts only: nothing is left of it on the others."""
    seen = set()

    def rule(prompt):
        seen.add(prompt.split(" weather")[0])
        return "brief" in prompt and len(seen) <= 61  # and the prompt that asks for the models

    found = search(ruled(rule), PROMPTS, "strong")
    assert "brief" in found.text
    assert found.after.share == 0


def test_what_cannot_be_gamed_gains_nothing_within_the_budget(ruled):
    found = search(ruled(lambda prompt: False), PROMPTS, "strong")
    assert (found.text, found.gain.share) == ("", 0)
    assert found.asked == 60 * (1 + len(PHRASES))
    assert search(ruled(lambda prompt: False), PROMPTS, "weak").before.share == 1


def test_the_same_seed_finds_the_same(ruled):
    subject = ruled(lambda prompt: len(prompt) % 3 == 0)
    assert search(subject, PROMPTS, "weak", seed=5) == search(subject, PROMPTS, "weak", seed=5)
