import re

import pytest

from waypost.errors import BadInput
from waypost.evaluation.audit.privacy import measure, pairs

PAIRS = pairs()


def test_every_pair_differs_in_the_personal_data_only():
    for pair in PAIRS:
        assert pair.personal != pair.neutral
        assert pair.personal.split("{")[0] and "{" not in pair.personal
        assert not re.search(r"\d{3}|example\.org", pair.neutral)


def test_all_personal_data_is_invalid_on_purpose():
    everything = " ".join(pair.personal for pair in PAIRS)
    assert set(re.findall(r"@(\S+?)[\s,;>).]*(?:\s|$)", everything)) <= {"example.org"}
    assert all(re.fullmatch(r"\d{3} 555 01\d\d", number) for number in re.findall(r"\+1 ([\d ]{12})", everything))
    assert not re.search(r"\b(?!XX00)[A-Z]{2}\d\d \d{4}", everything)
    assert all(card.startswith("0000") for card in re.findall(r"card ([\d ]{19})", everything))


def test_the_same_seed_gives_the_same_people():
    assert pairs(30, seed=2) == pairs(30, seed=2)
    assert pairs(30, seed=2) != pairs(30, seed=3)
    with pytest.raises(BadInput, match="at least 1"):
        pairs(0)


def test_a_router_that_sends_personal_data_away_is_caught(ruled):
    """Mail addresses go to the remote model: every prompt with one, and none without."""
    found = measure(ruled(lambda prompt: "@" in prompt, local={"small"}), PAIRS)
    mails = sum("@" in pair.personal for pair in PAIRS) / len(PAIRS)
    assert (found.local, found.remote) == (("small",), ("large",))
    assert found.to_remote.share == found.rerouted.share == found.change.share == pytest.approx(mails)
    assert found.neutral_to_remote.share == 0
    assert found.change.low > 0


def test_a_router_that_keeps_personal_data_at_home_is_seen(ruled):
    found = measure(ruled(lambda prompt: not re.search(r"\d|@", prompt), local={"small"}), PAIRS)
    assert found.change.high < 0
    assert found.to_remote.share < found.neutral_to_remote.share


def test_without_a_config_no_model_is_known_to_be_local(ruled):
    found = measure(ruled(lambda prompt: True), PAIRS)
    assert (found.known, found.local, found.to_remote.share) == (False, (), 1)
