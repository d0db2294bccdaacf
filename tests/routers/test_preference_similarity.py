"""The similarity-weighted ranking: the paper's probabilities, quickly, for any number of models."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput
from waypost.outcomes import example_table
from waypost.routers import PreferenceSimilarity
from waypost.types import ModelCard

ASKED = ("What is 17 plus 26?", "Fix the bug in the method ink.", "Say hello to Cairo for me.")


def paper(table, prompt):
    """RouteLLM's win probability of the second model: refitted for one prompt over all battles, a tie one win each."""
    encoder = StaticEncoder()
    cosine_N = encoder.encode(table.prompts) @ encoder.encode([prompt])[0]
    weight_N = 10 * 10 ** (cosine_N / cosine_N.max())
    ahead_N = table.quality_NM[:, 1] - table.quality_NM[:, 0]
    label = np.concatenate([ahead_N >= 0, ahead_N > 0])
    x = np.tile([[-np.log(10), np.log(10)]], (len(label), 1))
    fit = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10)
    weak, strong = 400 * fit.fit(x, label, sample_weight=np.tile(weight_N, 2)).coef_[0]
    return 1 / (1 + 10 ** (-(strong - weak) / 400))


def test_between_two_models_the_probability_is_the_papers():
    table = example_table(200, seed=3).only(("tiny", "large"))
    router = PreferenceSimilarity(prior=1e-9).fit(table)
    assert router.beats(ASKED)[:, 1, 0] == pytest.approx([paper(table, prompt) for prompt in ASKED], abs=1e-5)


def test_between_two_models_the_order_of_prompts_by_lead_is_that_by_probability():
    table = example_table(400, seed=3).only(("tiny", "large"))
    router = PreferenceSimilarity().fit(table)
    prompts = example_table(100, seed=4).prompts
    lead_N = np.subtract(*router.predict(prompts).quality_NM.T[::-1])
    assert router.scale.slope > 0
    order_N = router.beats(prompts)[:, 1, 0].argsort()
    assert (np.diff(lead_N[order_N]) >= -1e-9).all()


def test_battles_on_similar_prompts_count_more_the_sharper():
    table = example_table(600)
    # The expert beats the tiny model at maths.
    flat, sharp = (PreferenceSimilarity(sharpness=s).fit(table).beats(ASKED[:1])[0, 1, 0] for s in (1.0, 5.0))
    assert 0.5 < flat < 0.7 < sharp


def test_qualities_are_near_what_models_do_on_such_prompts():
    expected = PreferenceSimilarity(sharpness=10.0).fit(example_table(2000)).predict(ASKED)
    assert expected.quality_NM == pytest.approx(
        np.array([[0.2, 0.98, 0.55], [0.1, 0.3, 0.9], [0.85, 0.1, 0.9]]), abs=0.2
    )


def test_a_model_that_was_not_measured_with_another_is_compared_through_a_third():
    table = example_table(300, seed=6)
    quality_NM = np.array(table.quality_NM)
    quality_NM[::2, 0] = np.nan
    quality_NM[1::2, 2] = np.nan
    chance = PreferenceSimilarity().fit(replace(table, quality_NM=quality_NM)).beats(ASKED)
    whole = PreferenceSimilarity().fit(table).beats(ASKED)
    assert np.abs(chance - whole).max() < 0.15


def test_a_new_model_is_learnt_from_fifty_rows_and_changes_no_other():
    table = example_table(600, seed=8)
    router = PreferenceSimilarity(sharpness=5.0).fit(table.only(("tiny", "maths-expert")))
    grown = router.with_model(ModelCard("large"), example_table(50, seed=9))
    before, after = router.predict(ASKED), grown.predict(ASKED)
    assert after.models == ("tiny", "maths-expert", "large")
    for old, new in zip(before[1:], after[1:], strict=True):
        # Cost and seconds are products in float32, which some processors sum in another order for more columns.
        np.testing.assert_allclose(new[:, :2], old, rtol=1e-6)
    assert np.array_equal(router.beats(ASKED), grown.beats(ASKED)[:, :2, :2])
    known = example_table(400, seed=10)
    off_N = grown.predict(known.prompts).quality_NM[:, 2] - known.quality_NM[:, 2]
    assert abs(off_N.mean()) < 0.1
    assert after.usd_NM[:, 2] == pytest.approx(4e-4, rel=0.5)
    again = grown.with_model(ModelCard("other"), replace(example_table(50), models=("tiny", "other", "large")))
    assert np.array_equal(again.predict(ASKED).quality_NM[:, :3], after.quality_NM)


def test_a_new_model_needs_a_name_of_its_own_and_a_prompt_with_another():
    router = PreferenceSimilarity().fit(example_table(60))
    with pytest.raises(BadInput, match="already"):
        router.with_model(ModelCard("large"), example_table(50))
    strangers = replace(example_table(50), models=("a", "b", "c"))
    with pytest.raises(BadInput, match="never measured"):
        router.with_model(ModelCard("a"), strangers)


@pytest.mark.parametrize("setting", ["sharpness", "prior"])
def test_settings_are_above_zero(setting):
    with pytest.raises(ValueError, match=f"{setting} must be above 0"):
        PreferenceSimilarity(**{setting: 0.0})


def test_a_table_of_one_prompt_is_its_models_means():
    table = replace(example_table(30), prompts=("What is 2 plus 3?",) * 30)
    expected = PreferenceSimilarity().fit(table).predict(["What is 2 plus 3?", "zork"])
    assert expected.quality_NM == pytest.approx(np.tile(table.quality_NM.mean(axis=0), (2, 1)), abs=0.1)
    assert (expected.spread_NM > 0).all()
