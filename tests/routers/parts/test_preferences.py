"""Battles from scores, Bradley-Terry strengths from battles, and qualities from standings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from waypost.errors import BadInput
from waypost.outcomes import example_table
from waypost.routers import PreferenceEncoder, PreferenceFactors, PreferenceSimilarity, Retrieval
from waypost.routers.parts import preferences
from waypost.types import ModelCard

RNG = np.random.default_rng(4)


def battles(quality_NM):
    """Every battle, one by one: (row, a, b, 1 if a won, 1/2 if they tied)."""
    for n, row_M in enumerate(quality_NM):
        known = [m for m, value in enumerate(row_M) if not np.isnan(value)]
        for i, a in enumerate(known):
            for b in known[i + 1 :]:
                yield n, a, b, (np.sign(row_M[a] - row_M[b]) + 1) / 2


def logistic_regression(quality_NM, weight_N):
    """The paper's fit: x = +-ln 10, every battle twice, a tie one win for each side; ratings on a scale of 400."""
    x, y, w = [], [], []
    for n, a, b, won in battles(quality_NM):
        for label in (won >= 0.5, won > 0.5):
            row = np.zeros(quality_NM.shape[1])
            row[a], row[b] = np.log(10), -np.log(10)
            x.append(row)
            y.append(label)
            w.append(weight_N[n])
    fit = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y, sample_weight=w)
    return 400 * fit.coef_[0]


def sums(quality_NM, weight_N):
    known_NM = (~np.isnan(quality_NM)).astype(float)
    return (weight_N @ preferences.wins(quality_NM))[None], ((known_NM * weight_N[:, None]).T @ known_NM)[None]


@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("models", [2, 5])
def test_strengths_are_those_of_the_logistic_regression_over_all_battles(models, holes):
    quality_NM = RNG.integers(0, 3, (80, models)) / 2
    quality_NM[RNG.random(quality_NM.shape) < holes] = np.nan
    weight_N = 10 * 10 ** RNG.random(80)
    rating_M = logistic_regression(quality_NM, weight_N)
    strength_M = preferences.strengths(*sums(quality_NM, weight_N), prior=1e-9)[0]
    expected_MM = 1 / (1 + 10 ** (-(rating_M[:, None] - rating_M) / 400))
    assert np.allclose(preferences.beats(strength_M[None])[0], expected_MM, atol=1e-5)


def test_between_two_models_the_probability_is_the_share_of_battles_won():
    won = preferences.strengths(np.array([[30.0, 10.0]]), np.full((1, 2, 2), 40.0), prior=1e-12)
    assert preferences.beats(won)[0, 0, 1] == pytest.approx(0.75)


def test_a_model_that_always_wins_has_a_finite_strength():
    quality_NM = np.column_stack([np.ones(50), np.zeros(50), RNG.integers(0, 2, 50)])
    strength_M = preferences.strengths(*sums(quality_NM, np.ones(50)), prior=1e-6)[0]
    assert np.isfinite(strength_M).all()
    assert strength_M[0] > strength_M[2] > strength_M[1]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_at_the_strengths_each_model_is_expected_to_win_what_it_won(models, rows, seed):
    rng = np.random.default_rng(seed)
    quality_NM = rng.integers(0, 3, (rows, models)) / 2
    quality_NM[rng.random(quality_NM.shape) < 0.2] = np.nan
    won_BM, met_BMM = sums(quality_NM, rng.uniform(0.1, 10, rows))
    strength_BM = preferences.strengths(won_BM, met_BMM, prior=0.5)
    pairs_MM = (met_BMM[0] + 0.5) * (1 - np.eye(models))
    expected_M = (pairs_MM * preferences.beats(strength_BM)[0]).sum(axis=1)
    assert np.allclose(expected_M, won_BM[0] + 0.25 * (models - 1), atol=1e-6)


def test_one_more_model_gets_the_strength_that_it_has_in_a_fit_of_all():
    quality_NM = RNG.integers(0, 3, (60, 4)) / 2
    won_BM, met_BMM = sums(quality_NM, np.ones(60))
    all_M = preferences.strengths(won_BM, met_BMM, prior=1.0)[0]
    last = preferences.strength_among(won_BM[:, -1], met_BMM[:, -1, :-1], all_M[None, :-1], prior=1.0)
    assert last[0] == pytest.approx(all_M[-1], abs=1e-6)


def test_wins_count_each_pair_once():
    quality_NM = RNG.integers(0, 3, (30, 5)) / 2
    quality_NM[RNG.random(quality_NM.shape) < 0.3] = np.nan
    counted_NM = np.zeros(quality_NM.shape)
    for n, a, b, won in battles(quality_NM):
        counted_NM[n, a] += won
        counted_NM[n, b] += 1 - won
    assert np.array_equal(preferences.wins(quality_NM), counted_NM)


def test_equal_prompts_are_in_one_fold():
    assert preferences.folds(("a", "a", "b", "c", "c"), 2).tolist() == [0, 0, 1, 0, 0]


def test_a_scale_finds_the_law_and_takes_noise_for_none():
    standing_NM = RNG.uniform(0.3, 0.7, (2000, 3))
    fold_N, held_N, weight_N = np.arange(2000) % 5, np.ones(2000, bool), np.ones(2000)
    chance_NM = 0.5 + 0.8 * (standing_NM - 0.5)
    quality_NM = (RNG.random((2000, 3)) < chance_NM).astype(float)
    scale = preferences.Scale.fitted(standing_NM, quality_NM, weight_N, fold_N, held_N)
    assert scale.slope == pytest.approx(0.8, abs=0.15)
    assert np.abs(scale(standing_NM) - chance_NM).max() < 0.06
    backwards = preferences.Scale.fitted(standing_NM, 1 - quality_NM, weight_N, fold_N, held_N)
    assert backwards.slope == 0


ROUTERS = [
    PreferenceSimilarity(),
    PreferenceFactors(dim=8, lr=0.03, epochs=3),
    PreferenceEncoder(hidden=8, epochs=3),
    Retrieval(),
]


@pytest.mark.parametrize("router", ROUTERS, ids=lambda router: type(router).__name__)
def test_a_new_model_is_learnt_from_rows_as_they_weigh_and_once(router):
    table, asked = example_table(120, seed=2), list(example_table(20, seed=3).prompts)
    new = ModelCard(table.models[1])
    fitted = replace(router).fit(table.only([table.models[0], table.models[2]]))
    weight_N = np.ones(120)
    weight_N[60:] = 0
    some, first = (
        fitted.with_model(new, replace(table, weight_N=weight_N)),
        fitted.with_model(new, table.select(range(60))),
    )
    for one, other in zip(some.predict(asked)[1:], first.predict(asked)[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
    with pytest.raises(BadInput, match="already"):
        some.with_model(new, table)


def test_a_row_of_a_new_model_counts_as_much_as_it_weighs():
    """Of a hundred rows each, the mean of those that weigh three times as much is leant on three times as much."""
    scale = preferences.Scale(*(np.full(2, value) for value in (0.5, 0.5, 0.3, 100.0)), slope=0.2)
    quality_n, weight_n = np.repeat([1.0, 0.0], 100), np.repeat([3.0, 1.0], 100)
    wider = scale.with_model(np.repeat([0.6, 0.2], 100), quality_n, weight_n)
    assert wider.mean_M[2] == pytest.approx(0.75, abs=0.01)
    assert wider.usual_M[2] == pytest.approx(0.5)
