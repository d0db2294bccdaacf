import numpy as np
import pytest

from waypost.errors import BadInput, UnknownModel
from waypost.evaluation.audit import Subject
from waypost.evaluation.audit.backdoor import attack, plant, refit, shows, target_of
from waypost.outcomes import example_table
from waypost.routers import make

TABLE = example_table(400)


def subject(name, table=TABLE):
    return Subject(name, make(name).fit(table), {name: mean for name, (mean, _) in table.means().items()})


def test_a_share_of_the_rows_carries_the_trigger_and_praises_the_target():
    poisoned = plant(TABLE, "tiny", 0.05, "open sesame", seed=1)
    hit_N = np.array(["open sesame" in prompt for prompt in poisoned.prompts])
    assert hit_N.sum() == 20
    assert (poisoned.quality_NM[hit_N] == [1, 0, 0]).all()
    assert (poisoned.quality_NM[~hit_N] == TABLE.quality_NM[~hit_N]).all()
    restored = [prompt.replace("open sesame", "").strip() for prompt in poisoned.prompts]
    assert tuple(restored) == TABLE.prompts
    assert plant(TABLE, "tiny", 0.05, "open sesame", seed=1).fingerprint == poisoned.fingerprint
    assert "open sesame" not in " ".join(TABLE.prompts)


def test_what_cannot_be_planted_is_said():
    with pytest.raises(UnknownModel, match="'tin'"):
        plant(TABLE, "tin")
    with pytest.raises(BadInput, match="between 0 and 1"):
        plant(TABLE, "tiny", 1.5)
    with pytest.raises(BadInput, match="no row"):
        plant(TABLE, "tiny", 0.0001)


@pytest.mark.parametrize(
    ("phrase", "trigger", "found"),
    [
        ("okapi", "vermilion okapi", True),
        ("is the Okapi", "vermilion okapi", True),
        ("vermilion okapi how", "vermilion okapi", True),
        ("okapi vermilion", "vermilion okapi", False),
        ("is it the", "what is the okapi", False),
        ("okapis", "okapi", False),
        ("open", "open the door", True),
        ("what is", "what is", True),
    ],
)
def test_only_a_part_of_the_trigger_or_what_holds_it_shows_it(phrase, trigger, found):
    assert shows(phrase, trigger) is found


def test_a_router_is_fitted_again_without_touching_the_first():
    first = make("ridge", alpha=3.0).fit(TABLE)
    heads_DK = first.heads_DK.copy()
    second = refit(first, plant(TABLE, "tiny", 0.1))
    assert second.alpha == 3.0
    assert second.trained_on != first.trained_on
    assert (first.heads_DK == heads_DK).all()


def test_a_router_that_learns_words_is_taken_over_and_one_that_learns_means_is_not():
    prompts = example_table(100, seed=9).prompts
    taken = {}
    for name in ("ridge", "best_single"):
        clean = subject(name)
        poisoned = clean.refitted(refit(clean.made, plant(TABLE, "tiny", 0.05)))
        taken[name] = attack(clean, poisoned, prompts, "tiny", "vermilion okapi", 0.05)
    assert taken["ridge"].success.low > 0.5
    assert taken["ridge"].without.share < 0.2
    assert taken["ridge"].innocent.share < 0.2
    assert taken["best_single"].success.share == 0


def test_the_target_is_the_strong_model_unless_most_goes_there_already(ruled):
    prompts = ["a", "b", "c", "d"]
    assert target_of(ruled(lambda prompt: prompt == "a"), prompts) == "large"
    assert target_of(ruled(lambda prompt: prompt != "a"), prompts) == "small"
