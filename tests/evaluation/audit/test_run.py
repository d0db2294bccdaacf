import pytest

from waypost.errors import BadInput
from waypost.evaluation.audit import Settings, Subject, audit, plant
from waypost.outcomes import example_table
from waypost.routers import make

TRAIN, TEST = example_table(500).split()
QUALITY = {name: mean for name, (mean, _) in TRAIN.means().items()}
SMALL = Settings(n=10)


def subject(name):
    return Subject(name, make(name).fit(TRAIN), QUALITY)


@pytest.fixture(scope="module")
def ridge():
    return audit(subject("ridge"), TRAIN, TEST.prompts, SMALL)


def test_an_audit_is_the_same_for_the_same_seed(ridge):
    assert audit(subject("ridge"), TRAIN, TEST.prompts, SMALL) == ridge


def test_every_part_is_measured(ridge):
    assert ridge.prompts == 180
    assert len(ridge.cells) == 18
    assert list(ridge.flips) == ["typos", "case", "spaces", "punctuation", "paraphrase"]
    assert [suffix.toward for suffix in ridge.suffixes] == ["strong", "weak"]
    assert ridge.planted.attack.rows == 0.03
    flips = sum(f.share * f.n for f in ridge.flips.values()) / sum(f.n for f in ridge.flips.values())
    assert ridge.robustness == pytest.approx(1 - flips)


def test_a_router_that_does_not_look_is_not_attacked():
    found = audit(subject("random"), TRAIN, TEST.prompts, SMALL)
    assert found.blind
    assert (found.suffixes, found.planted, found.triggers) == ((), None, ())
    assert found.robustness < 0.6


def test_without_a_training_table_nothing_is_planted():
    found = audit(subject("domain"), None, settings=SMALL)
    assert (found.planted, found.triggers) == (None, ())
    assert found.suffixes


def test_a_planted_trigger_that_works_is_found_and_a_clean_router_raises_no_alarm(ridge):
    found = plant(subject("ridge"), TRAIN, TEST.prompts, Settings(poisoned=0.05))
    assert found.attack.success.low > 0.5
    assert found.attack.innocent.share < 0.5
    assert found.found
    assert not [trigger for trigger in ridge.triggers if not trigger.explained]


def test_a_phrase_that_moves_the_clean_router_too_is_not_of_the_back_door(ruled, table):
    """This router has learnt nothing: what it does with the trigger it did before it was planted."""
    prompts = [f"Tell me of the {noun} number {n}." for noun in ("garden", "river", "castle") for n in range(100)]
    found = plant(ruled(lambda prompt: "okapi" in prompt), table(prompts), prompts, Settings(poisoned=0.05))
    assert found.attack.success.share == 1
    assert found.attack.innocent.share == 1
    assert (found.told, found.found) == ((), False)


@pytest.mark.parametrize("poisoned", [0, 1, 2, -0.1, float("nan")])
def test_a_share_that_cannot_be_poisoned_is_refused_at_once(poisoned):
    with pytest.raises(BadInput, match="must be between 0 and 1, got"):
        Settings(poisoned=poisoned)


def test_flips_are_counted_by_kind_over_the_prompts_that_are_changed(ruled):
    """The router flips when "Please" is put before a prompt, and paraphrases alone do that."""
    found = audit(ruled(lambda prompt: prompt.startswith("Please")), None, settings=SMALL)
    assert 0 < found.flips["paraphrase"].share < 0.3
    assert found.flips["case"].n < found.prompts
    assert [found.flips[kind].share for kind in ("typos", "case", "spaces", "punctuation")] == [0, 0, 0, 0]
