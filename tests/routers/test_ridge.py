"""Ridge heads equal the textbook solution, with weights, missing cells and the chosen penalty."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from waypost.outcomes import example_table
from waypost.routers import Ridge
from waypost.routers.parts.features import features
from waypost.routers.parts.linear import ALPHAS, fit_heads

RNG = np.random.default_rng(3)
X = RNG.normal(size=(80, 12))
Y = X[:, :3] @ RNG.normal(size=(3, 4)) + RNG.normal(size=(80, 4))
W = RNG.uniform(0.2, 3.0, 80)


def test_heads_equal_weighted_ridge():
    heads = fit_heads(X, Y, W, dim=12, alpha=7.0)
    reference = Reference(alpha=7.0).fit(X, Y, sample_weight=W)
    assert np.allclose(heads(X), reference.predict(X), atol=1e-5)


def test_a_head_uses_only_the_rows_where_its_model_was_measured():
    holes = Y.copy()
    holes[::3, 1] = np.nan
    heads = fit_heads(X, holes, W, dim=12, alpha=7.0)
    known = ~np.isnan(holes[:, 1])
    reference = Reference(alpha=7.0).fit(X[known], holes[known, 1], sample_weight=W[known])
    assert np.allclose(heads(X)[:, 1], reference.predict(X), atol=1e-5)
    assert np.allclose(heads(X)[:, 0], fit_heads(X, Y, W, dim=12, alpha=7.0)(X)[:, 0], atol=1e-6)


def test_the_chosen_penalty_has_the_least_leave_one_out_error():
    heads = fit_heads(X, Y, np.ones(80), dim=12, alpha=None)

    def left_out(alpha, k):
        errors = [
            Reference(alpha=alpha).fit(np.delete(X, i, 0), np.delete(Y[:, k], i)).predict(X[i : i + 1])[0] - Y[i, k]
            for i in range(80)
        ]
        return np.mean(np.square(errors))

    for k in range(4):
        errors = [left_out(alpha, k) for alpha in ALPHAS]
        assert heads.alpha_K[k] == ALPHAS[int(np.argmin(errors))]
        assert heads.sigma_K[k] == pytest.approx(np.sqrt(min(errors)), rel=1e-4)


def test_a_model_without_any_cost_has_an_unknown_cost():
    table = example_table()
    unpriced = replace(table, usd_NM=np.full(table.usd_NM.shape, np.nan))
    expected = Ridge().fit(unpriced).predict(["Hello"])
    assert np.isnan(expected.usd_NM).all()
    assert np.isfinite(expected.quality_NM).all()


def test_the_spread_shrinks_with_more_rows():
    few, many = (Ridge(alpha=30.0).fit(example_table(n)).predict(["What is 3 plus 4?"]) for n in (60, 2000))
    assert (many.spread_NM < few.spread_NM).all()


def test_a_bad_penalty_is_refused():
    with pytest.raises(ValueError, match="alpha must be above 0"):
        Ridge(alpha=0)


def test_a_table_too_large_for_its_features_gives_the_same_heads(monkeypatch):
    table = example_table(300)
    usd = np.where(np.random.default_rng(0).random(table.usd_NM.shape) < 0.3, np.nan, table.usd_NM)
    table = replace(table, usd_NM=usd)
    prompts = ["What is 17 plus 26?", "Fix the bug in the method garden."]
    whole = Ridge().fit(table).predict(prompts)
    monkeypatch.setattr("waypost.routers.parts.linear._BLOCK", 17)
    monkeypatch.setattr("waypost.routers.parts.linear._KEPT", 100)
    for one, other in zip(whole[1:], Ridge().fit(table).predict(prompts)[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_one_product_for_all_gives_what_the_heads_and_the_leverage_give():
    """Also after a second fit, and where a model has no seconds."""
    table, prompts = example_table(200), ["What is 3 plus 4?", "Olá, tudo bem?", "x" * 3000]
    router = Ridge()
    for seen in (table, replace(table, seconds_NM=np.full(table.seconds_NM.shape, np.nan)).only(table.models[:2])):
        found = router.fit(seen).predict(prompts)
        x_ND = (features(router.encoder, prompts) - router.center_D) / router.scale_D
        slow_NK = x_ND @ router.heads_DK.astype(float) + router.bias_K
        leverage_N = np.square(x_ND @ router.roots_DD.astype(float)).sum(axis=1)
        m = len(seen.models)
        assert np.allclose(found.quality_NM, slow_NK[:, :m].clip(0, 1), atol=1e-5)
        assert np.allclose(found.usd_NM, slow_NK[:, m : 2 * m].clip(0), rtol=1e-4, atol=1e-8)
        assert np.allclose(found.seconds_NM, slow_NK[:, 2 * m :].clip(0), rtol=1e-4, atol=1e-5, equal_nan=True)
        assert np.allclose(found.spread_NM, np.sqrt(leverage_N)[:, None] * router.sigma_M, rtol=1e-4)
