"""The network that is trained with torch predicts the same with numpy, and learns what each divergence is for."""

import numpy as np
import pytest
import torch

from waypost.routers.parts.perceptron import Descent, Perceptron, check_descent

RNG = np.random.default_rng(0)
X = np.hstack([RNG.normal(size=(400, 6)) / np.sqrt(6), RNG.normal(5, 30, size=(400, 2))])
PROMPTS = tuple(map(str, range(400)))
ONES = np.ones(400)
DESCENT = Descent(hidden=16, layers=2, dropout=0.0, lr=0.01, weight_decay=0.0, batch=64, epochs=60, patience=10, seed=0)


def fitted(values_NK, divergence="squared", weight_N=ONES, **changed):
    how = {"dim": 6, "divergence": divergence, "descent": DESCENT._replace(**changed), "router": "tryage"}
    return Perceptron.fitted(X, values_NK, weight_N, PROMPTS, **how)


@pytest.mark.parametrize("divergence", ["squared", "kl"])
def test_numpy_predicts_what_torch_would(divergence):
    made, _ = fitted(RNG.uniform(size=(400, 3)), divergence, epochs=3)
    out = torch.from_numpy((X - made.center_D) / made.scale_D)
    for layer in range(3):
        out = out @ torch.from_numpy(made.layers[f"weight{layer}"]) + torch.from_numpy(made.layers[f"bias{layer}"])
        out = torch.relu(out) if layer < 2 else out
    expected = torch.sigmoid(out).numpy() if divergence == "kl" else out.numpy() * made.unit_K + made.shift_K
    np.testing.assert_allclose(made(X), expected, rtol=1e-12)


def test_a_curve_that_no_line_follows_is_learnt():
    curve = np.abs(X[:, :1]) - np.abs(X[:, 1:2])
    made, trained = fitted(np.hstack([curve, 1000 * curve]), epochs=200, patience=30)
    held = trained.held_N
    for k, unit in enumerate((1, 1000)):  # a unit changes nothing
        error = np.square(made(X)[held, k] - unit * curve[held, 0]).mean()
        assert error < 0.3 * unit**2 * curve.var()


def test_chances_are_estimated_from_labels_and_from_soft_labels_alike():
    chance = 1 / (1 + np.exp(-6 * X[:, :1]))
    hard = (RNG.random(chance.shape) < chance).astype(float)
    made, _ = fitted(np.hstack([hard, chance]), "kl")
    assert np.abs(made(X)[:, 0] - chance[:, 0]).mean() < 0.15
    assert np.abs(made(X)[:, 1] - chance[:, 0]).mean() < 0.05


def test_missing_cells_and_rows_without_weight_teach_nothing():
    known = RNG.uniform(size=(400, 2))
    holes, wrong = known.copy(), known.copy()
    holes[::2, 1] = np.nan
    wrong[::2, 1] = np.nan
    weight_N = np.where(np.arange(400) % 4 == 1, 0.0, 1.0)
    wrong[weight_N == 0] = 7.0
    one, _ = fitted(holes, weight_N=weight_N, epochs=5)
    other, _ = fitted(wrong, weight_N=weight_N, epochs=5)
    np.testing.assert_array_equal(one(X), other(X))


def test_a_target_that_was_never_measured_stays_unknown():
    values = RNG.uniform(size=(400, 2))
    values[:, 1] = np.nan
    for divergence in ("squared", "kl"):
        found = fitted(values, divergence, epochs=2)[0](X)
        assert np.isfinite(found[:, 0]).all()
        assert np.isnan(found[:, 1]).all()


def test_before_the_first_step_the_mean_is_expected_everywhere():
    values = RNG.uniform(size=(400, 2))
    for divergence in ("squared", "kl"):
        made, _ = fitted(values, divergence, epochs=1, lr=1e-12)
        np.testing.assert_allclose(made(X), np.broadcast_to(values.mean(axis=0), (400, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"hidden": 0}, "hidden"), ({"epochs": 0}, "epochs"), ({"dropout": 1.0}, "dropout"), ({"lr": 0.0}, "lr")],
)
def test_settings_that_train_nothing_are_refused(changed, word):
    with pytest.raises(ValueError, match=word):
        check_descent(DESCENT._replace(**changed))


def test_a_later_head_is_the_logistic_regression_of_its_rows():
    from sklearn.linear_model import LogisticRegression

    made, _ = fitted(RNG.uniform(size=(400, 2)), "kl", epochs=3)
    hard = (RNG.random(400) < 1 / (1 + np.exp(-4 * X[:, 0]))).astype(float)
    wider = made.with_heads(X, hard[:, None], ONES, [2])
    reference = LogisticRegression(C=1 / 3, tol=1e-10, max_iter=2000).fit(made.hidden(X), hard)
    np.testing.assert_allclose(wider(X)[:, 2], reference.predict_proba(made.hidden(X))[:, 1], atol=0.01)
    np.testing.assert_allclose(wider(X)[:, :2], made(X), rtol=1e-12)


def test_later_heads_stand_where_they_are_put():
    made, _ = fitted(RNG.uniform(size=(400, 4)), epochs=2)
    later = np.column_stack([5 + X[:, 0], np.full(400, np.nan)])
    wider = made.with_heads(X, later, ONES, [2, 4])
    np.testing.assert_allclose(wider(X)[:, [0, 1, 3, 4]], made(X), rtol=1e-12)
    assert np.abs(wider(X)[:, 2] - later[:, 0]).mean() < 0.3
    assert np.isnan(wider(X)[:, 5]).all()
