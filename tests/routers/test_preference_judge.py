"""The judge: the paper's rule where it is believed as it is, and what its marks are worth where outcomes say so."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.encoders import LanguageModel
from waypost.outcomes import Outcomes, example_table
from waypost.routers import PreferenceJudge
from waypost.routers.parts.linear import fit_heads

ASKED = ("What is 17 plus 26?", "Fix the bug in the method ink.", "Say hello to Cairo for me.")


def told(table):
    """The table with an outcome that the judge's marks tell: a model is right where 1 or 2 is likelier than 4 or 5."""
    chance_NL = LanguageModel().probabilities(table.prompts)
    hard_N = chance_NL[:, :2].sum(axis=1) > np.median(chance_NL[:, :2].sum(axis=1))
    quality_NM = np.column_stack([~hard_N, hard_N, np.ones(len(table))]).astype(float)
    return replace(table, quality_NM=quality_NM)


def test_uncalibrated_the_lead_between_two_models_is_the_papers_probability(smollm2):
    table = example_table(30).only(("tiny", "large"))
    router = PreferenceJudge(calibrated=False, rows=5).fit(table)
    quality_NM = router.predict(ASKED).quality_NM
    chance_NL = LanguageModel().probabilities(ASKED)
    # RouteLLM: the strong model with the probability of a mark of 3 or less, 1 - P(4 or 5).
    assert quality_NM[:, 1] - quality_NM[:, 0] == pytest.approx(1 - chance_NL[:, 3:].sum(axis=1), abs=1e-6)


def test_uncalibrated_a_model_in_between_is_expected_in_between(smollm2):
    table = example_table(30)
    quality_NM = np.tile([0.2, 0.6, 1.0], (30, 1))
    expected_NM = PreferenceJudge(calibrated=False, rows=5).fit(replace(table, quality_NM=quality_NM)).predict(ASKED)[1]
    assert expected_NM[:, 1] == pytest.approx((expected_NM[:, 0] + expected_NM[:, 2]) / 2)
    assert expected_NM[:, 2] == pytest.approx(1.0)


def test_calibrated_it_finds_what_the_marks_tell(smollm2):
    table = told(example_table(30))
    router = PreferenceJudge(alpha=0.1).fit(table)
    expected_NM = router.predict(table.prompts).quality_NM
    right = (expected_NM[:, 1] > expected_NM[:, 0]) == (table.quality_NM[:, 1] == 1)
    assert right.mean() > 0.8
    assert expected_NM[:, 2] == pytest.approx(1.0, abs=0.05)


def test_calibration_is_ridge_on_the_vectors_of_the_marks(smollm2):
    table = example_table(30)
    router = PreferenceJudge(alpha=3.0).fit(table)
    order = sorted(range(30), key=lambda n: (table.prompts[n], table.ids[n]))
    vectors_NL = LanguageModel().encode([table.prompts[n] for n in order]).astype(np.float64)
    heads = fit_heads(vectors_NL, table.quality_NM[order] - router.mean_M, np.ones(30), dim=5, alpha=3.0)
    asked_NL = LanguageModel().encode(ASKED).astype(np.float64)
    expected_NM = np.clip(heads(asked_NL) + router.mean_M, 0, 1)
    assert router.predict(ASKED).quality_NM == pytest.approx(expected_NM, abs=1e-5)


def test_the_doubt_is_as_large_as_errors_on_prompts_that_were_left_out(smollm2):
    """Beside refitting without each prompt in turn; of a model that chance decides, a fit knows its own rows well."""
    table = example_table(12)
    quality_NM = np.random.default_rng(0).integers(0, 2, size=(12, 3)).astype(float)
    quality_NM[4, 0] = np.nan
    table = replace(table, quality_NM=quality_NM)
    router = PreferenceJudge(alpha=0.01).fit(table)
    vectors_NL = LanguageModel().encode(table.prompts).astype(np.float64)
    for m in range(3):
        rows = np.flatnonzero(~np.isnan(quality_NM[:, m]))
        missed = []
        for row in rows:
            others = rows[rows != row]
            heads = fit_heads(
                vectors_NL[others], quality_NM[others, m : m + 1], np.ones(len(others)), dim=5, alpha=0.01
            )
            missed.append(quality_NM[row, m] - heads(vectors_NL[[row]])[0, 0])
        expected = np.sqrt((np.square(missed).sum() + 0.25) / (len(rows) + 1))
        assert router.doubt.sigma_M[m] == pytest.approx(expected, rel=1e-3)


def test_of_a_model_on_no_prompt_that_was_read_the_mean_is_expected(smollm2):
    table = example_table(60)
    order = sorted(range(60), key=lambda n: (table.prompts[n], table.ids[n]))
    quality_NM = np.array(table.quality_NM)
    quality_NM[order[0], 0] = quality_NM[order[-1], 0] = np.nan
    table = replace(table, quality_NM=quality_NM)
    expected_NM = PreferenceJudge(rows=2).fit(table).predict(ASKED).quality_NM  # the first and the last are read
    assert expected_NM[:, 0] == pytest.approx(np.nanmean(quality_NM[:, 0]), abs=0.03)


def test_no_more_prompts_are_read_than_asked(smollm2, monkeypatch):
    counted = []
    encode = LanguageModel.encode
    monkeypatch.setattr(LanguageModel, "encode", lambda self, texts: counted.append(len(texts)) or encode(self, texts))
    PreferenceJudge(rows=7).fit(Outcomes.concat([example_table(50)]))
    assert counted == [7]


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [("good", 1, "a mark from 2 to 5"), ("alpha", 0.0, "above 0"), ("rows", 0, "at least 1")],
)
def test_settings_are_checked(setting, value, sentence):
    with pytest.raises(ValueError, match=f"{setting} must be.*{sentence}"):
        PreferenceJudge(**{setting: value})
