"""The matrix factorisation: the paper's formula, learnt on all pairs, and new models without training again."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.encoders import StaticEncoder
from waypost.outcomes import example_table
from waypost.routers import PreferenceFactors
from waypost.types import ModelCard

ASKED = ("What is 17 plus 26?", "Fix the bug in the method ink.", "Say hello to Cairo for me.")
QUICK = {"dim": 16, "lr": 0.01, "epochs": 30}


@pytest.fixture(scope="module")
def router():
    return PreferenceFactors(**QUICK).fit(example_table(600))


def test_between_two_models_the_probability_is_the_papers():
    router = PreferenceFactors(dim=8, lr=0.03, epochs=5).fit(example_table(200).only(("tiny", "large")))
    weak, strong = router.factor_MF
    for prompt, chance_MM in zip(ASKED, router.beats(ASKED), strict=True):
        projected = router.projection_DF.T @ StaticEncoder().encode([prompt])[0]
        # RouteLLM: sigmoid of the classifier on the difference of the normalised model vectors times the projection.
        delta = router.weight_F @ ((strong / np.linalg.norm(strong) - weak / np.linalg.norm(weak)) * projected)
        assert chance_MM[1, 0] == pytest.approx(1 / (1 + np.exp(-delta)), abs=1e-6)
    assert np.abs(router.beats(ASKED)[:, 1, 0] - 0.5).max() > 0.1


def test_who_beats_whom_by_kind_of_prompt_is_found(router):
    tiny, expert, large = range(3)
    maths, code, chat = router.beats(ASKED)
    assert maths[expert, tiny] > 0.75 and maths[expert, large] > 0.55
    assert code[large, tiny] > 0.75 and code[large, expert] > 0.65
    assert chat[tiny, expert] > 0.7


def test_qualities_are_near_what_models_do_on_such_prompts(router):
    expected = router.predict(ASKED)
    assert expected.quality_NM == pytest.approx(
        np.array([[0.2, 0.98, 0.55], [0.1, 0.3, 0.9], [0.85, 0.1, 0.9]]), abs=0.3
    )


def test_without_ties_only_what_was_won_counts():
    table = example_table(300).only(("tiny", "large"))
    # Where both are right or both wrong on every maths prompt, those prompts say nothing.
    quality_NM = np.array(table.quality_NM)
    maths_N = np.array(table.groups) == "maths"
    quality_NM[maths_N] = 1.0
    without = PreferenceFactors(**QUICK, ties=False).fit(replace(table, quality_NM=quality_NM))
    with_ties = PreferenceFactors(**QUICK).fit(replace(table, quality_NM=quality_NM))
    assert abs(with_ties.beats(ASKED)[0, 1, 0] - 0.5) < 0.15
    assert without.beats(ASKED)[1, 1, 0] > with_ties.beats(ASKED)[1, 1, 0]


def test_a_new_model_is_learnt_from_fifty_rows_and_changes_no_other():
    table = example_table(600, seed=8)
    router = PreferenceFactors(**QUICK).fit(table.only(("tiny", "maths-expert")))
    grown = router.with_model(ModelCard("large"), example_table(50, seed=9))
    before, after = router.predict(ASKED), grown.predict(ASKED)
    assert after.models == ("tiny", "maths-expert", "large")
    for old, new in zip(before[1:], after[1:], strict=True):
        # Cost and seconds are products in float32, which some processors sum in another order for more columns.
        np.testing.assert_allclose(new[:, :2], old, rtol=1e-6)
    assert np.linalg.norm(grown.factor_MF, axis=1) == pytest.approx(1.0)
    known = example_table(400, seed=10)
    off_N = grown.predict(known.prompts).quality_NM[:, 2] - known.quality_NM[:, 2]
    assert abs(off_N.mean()) < 0.1
    assert grown.beats(ASKED)[1, 2, 0] > 0.55  # it beats the tiny model at code


def test_the_seed_changes_what_is_drawn():
    table = example_table(100)
    one, other = (PreferenceFactors(dim=4, epochs=2, seed=seed).fit(table) for seed in (0, 1))
    assert not np.allclose(one.factor_MF, other.factor_MF)


@pytest.mark.parametrize("setting", ["dim", "lr", "batch", "epochs"])
def test_settings_are_above_zero(setting):
    with pytest.raises(ValueError, match=f"{setting} must be above 0"):
        PreferenceFactors(**{setting: 0})


@pytest.mark.parametrize("setting", ["noise", "weight_decay"])
def test_noise_and_decay_are_not_negative(setting):
    with pytest.raises(ValueError, match=f"{setting} must be 0 or more"):
        PreferenceFactors(**{setting: -0.1})
