"""Shrunken means of units: what no evidence and all evidence give, and the formula written out."""

import numpy as np
import pytest

from waypost.routers.parts.levels import effects


def _noise(n, models, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, (n, models))


def test_units_that_do_not_differ_have_no_effect_at_all():
    unit_N = np.repeat(np.arange(8), 200)
    found = effects(_noise(1600, 4), np.ones(1600), unit_N, units=8, evidence=2)
    assert not found.effect_UM.any() and not found.error_UM.any() and not found.between_M.any()


def test_with_ever_more_rows_the_effect_is_the_mean():
    unit_N = np.tile([0, 1], 20_000)
    residual_NM = _noise(40_000, 3) + np.where(unit_N[:, None] == 0, [0.3, 0.0, -0.3], [-0.3, 0.0, 0.3])
    found = effects(residual_NM, np.ones(40_000), unit_N, units=2, evidence=2)
    means_UM = np.array([residual_NM[unit_N == unit].mean(axis=0) for unit in range(2)])
    assert np.allclose(found.effect_UM, means_UM, atol=0.005)
    assert (found.error_UM < 0.005).all()


def test_a_small_unit_leans_further_on_what_is_above_it_than_a_large_one():
    rng = np.random.default_rng(1)
    unit_N = np.repeat(np.arange(6), [400, 400, 400, 400, 400, 8])
    residual_NM = rng.normal(0, 0.4, (len(unit_N), 2)) + np.where(unit_N % 2, 0.2, -0.2)[:, None] * [1, -1]
    found = effects(residual_NM, np.ones(len(unit_N)), unit_N, units=6)
    kept_U = [found.effect_UM[u, 0] / residual_NM[unit_N == u, 0].mean() for u in (3, 5)]
    assert 0 < kept_U[1] < kept_U[0] < 1
    assert found.error_UM[5, 0] > 2 * found.error_UM[3, 0]


def test_it_is_the_formula_written_out_model_by_model():
    rng = np.random.default_rng(2)
    unit_N = rng.integers(0, 5, 300)
    residual_NM = rng.normal(0, 0.3, (300, 3)) + rng.normal(0, 0.2, (5, 3))[unit_N]
    found = effects(residual_NM, np.ones(300), unit_N, units=5, evidence=1)
    mean_UM = np.array([residual_NM[unit_N == u].mean(axis=0) for u in range(5)])
    count_U = np.bincount(unit_N)
    inside_NM = residual_NM - mean_UM[unit_N]

    def shrunken(mean_U, variance):
        precision_U = count_U / variance
        center = (precision_U @ mean_U) / precision_U.sum()
        chance = 4 + np.sqrt(2 * 4)
        excess = max(precision_U @ (mean_U - center) ** 2 - chance, 0)
        between = excess / (precision_U.sum() - (precision_U**2).sum() / precision_U.sum())
        return mean_U * count_U / (count_U + variance / between) if between else 0 * mean_U

    common_N = inside_NM.mean(axis=1)
    expected_UM = np.repeat(shrunken(mean_UM.mean(axis=1), ((common_N**2).sum() + 0.25) / 301)[:, None], 3, axis=1)
    for m in range(3):
        variance = (((inside_NM[:, m] - common_N) ** 2).sum() + 0.25) / 301
        expected_UM[:, m] += shrunken(mean_UM[:, m] - mean_UM.mean(axis=1), variance)
    assert np.allclose(found.effect_UM, expected_UM)


@pytest.mark.parametrize("answers", [1, 2])
def test_differences_are_found_where_each_prompt_was_answered_by_few_models(answers):
    rng = np.random.default_rng(3)
    unit_N = rng.integers(0, 2, 3000)
    residual_NM = rng.normal(0, 0.3, (3000, 4)) + np.where(unit_N[:, None] == 0, [0.2, 0, 0, -0.2], [-0.2, 0, 0, 0.2])
    asked_NM = rng.random((3000, 4)).argsort(axis=1) < answers
    found = effects(np.where(asked_NM, residual_NM, np.nan), np.ones(3000), unit_N, units=2, evidence=2)
    assert np.allclose(found.effect_UM, [[0.2, 0, 0, -0.2], [-0.2, 0, 0, 0.2]], atol=0.05)


def test_a_model_that_a_unit_never_asked_gets_what_the_unit_has_in_common_only():
    unit_N = np.repeat([0, 1], 500)
    residual_NM = _noise(1000, 3) / 3 + np.where(unit_N[:, None] == 0, 0.2, -0.2)
    residual_NM[unit_N == 0, 2] = np.nan
    found = effects(residual_NM, np.ones(1000), unit_N, units=2)
    assert found.effect_UM[0, 2] == pytest.approx(0.2, abs=0.02)


def test_weights_that_differ_between_units_only_change_nothing():
    unit_N = np.repeat([0, 1, 2], 100)
    residual_NM = _noise(300, 3) + unit_N[:, None] * [0.2, 0, -0.2]
    even, uneven = (effects(residual_NM, w_N, unit_N, units=3) for w_N in (np.ones(300), 1 + 5.0 * unit_N))
    assert np.allclose(even.effect_UM, uneven.effect_UM)
