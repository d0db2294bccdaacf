"""Ridge regression by folds equals a fit of each fold's other rows, written out."""

import numpy as np

from waypost.routers.parts.folded import Folded, folds_of


def _case(seed=0):
    rng = np.random.default_rng(seed)
    x_ND, weight_N = rng.normal(0, 1, (90, 5)), rng.uniform(0.5, 2, 90)
    return x_ND, x_ND[:, :2] + rng.normal(0, 1, (90, 2)), weight_N / weight_N.mean(), rng.integers(0, 4, 90)


def _ridge(x_ND, y_NK, weight_N, alpha):
    """Slopes, mean of the features and of the targets, by the normal equations."""
    mean_D, mean_K = weight_N @ x_ND / weight_N.sum(), weight_N @ y_NK / weight_N.sum()
    z_ND = x_ND - mean_D
    gram_DD = (z_ND * weight_N[:, None]).T @ z_ND + alpha * np.eye(x_ND.shape[1])
    return np.linalg.solve(gram_DD, (z_ND * weight_N[:, None]).T @ (y_NK - mean_K)), mean_D, mean_K


def test_what_is_said_of_unseen_rows_is_a_fit_of_the_others():
    x_ND, y_NK, weight_N, fold_N = _case()
    folded = Folded(x_ND, weight_N, fold_N)
    slope_NK, mean_NK = folded.unseen(y_NK, np.array([1.0, 30.0]))
    for fold in range(4):
        rows, others = fold_N == fold, fold_N != fold
        for k, alpha in enumerate((1.0, 30.0)):
            slopes, mean_D, mean_K = _ridge(x_ND[others], y_NK[others], weight_N[others], alpha)
            assert np.allclose(slope_NK[rows, k], (x_ND[rows] - mean_D) @ slopes[:, k])
            assert np.allclose(mean_NK[rows, k], mean_K[k])


def test_errors_are_those_of_the_unseen_rows():
    x_ND, y_NK, weight_N, fold_N = _case(1)
    folded = Folded(x_ND, weight_N, fold_N)
    for errors_K, alpha in zip(folded.errors(y_NK, (0.1, 10.0)), (0.1, 10.0), strict=True):
        predicted_NK = np.sum(folded.unseen(y_NK, np.full(2, alpha)), axis=0)
        assert np.allclose(errors_K, weight_N @ np.square(y_NK - predicted_NK))


def test_heads_are_a_fit_of_all_rows():
    x_ND, y_NK, weight_N, fold_N = _case(2)
    slopes_DK, mean_K = Folded(x_ND, weight_N, fold_N).heads(y_NK, np.array([3.0, 3.0]))
    slopes, _, mean = _ridge(x_ND, y_NK, weight_N, 3.0)
    assert np.allclose(slopes_DK, slopes) and np.allclose(mean_K, mean)


def test_leverage_is_the_squared_distance_in_standard_deviations():
    x_ND, _, weight_N, fold_N = _case(3)
    folded = Folded(x_ND, weight_N, fold_N)
    mean_D = weight_N @ x_ND / weight_N.sum()
    covariance_DD = ((x_ND - mean_D) * weight_N[:, None]).T @ (x_ND - mean_D) / weight_N.sum()
    covariance_DD += 1e-3 * np.trace(covariance_DD) / 5 * np.eye(5)
    expected_N = np.einsum("nd,de,ne->n", x_ND - mean_D, np.linalg.inv(covariance_DD), x_ND - mean_D)
    assert np.allclose(folded.leverage(np.arange(90), folded.whole), expected_N)


def test_one_fold_of_all_rows_leaves_nothing_to_know():
    x_ND, y_NK, weight_N, _ = _case(4)
    slope_NK, mean_NK = Folded(x_ND, weight_N, np.zeros(90, dtype=int)).unseen(y_NK, np.ones(2))
    assert np.allclose(slope_NK, 0) and np.allclose(mean_NK, 0)


def test_folds_are_about_even_and_alike_in_every_table():
    prompts = [f"What is {n} plus 1?" for n in range(3000)]
    fold_N = folds_of(prompts, 5)
    assert (np.abs(np.bincount(fold_N, minlength=5) - 600) < 100).all()
    assert folds_of(prompts[::-1], 5).tolist() == fold_N[::-1].tolist()
