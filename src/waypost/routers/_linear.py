"""Weighted ridge regression with several heads, missing targets, and the penalty chosen in closed form.

Shape suffixes: N rows, D features, K targets, A candidate penalties.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

ALPHAS = tuple(10.0 ** np.arange(-1, 4.5, 0.5))


class Heads(NamedTuple):
    """Linear heads over standardised features: ``((x - center_D) / scale_D) @ heads_DK + bias_K``."""

    center_D: Floats
    scale_D: Floats
    heads_DK: NDArray[np.float32]
    bias_K: Floats
    alpha_K: Floats
    sigma_K: Floats  # standard deviation of the leave-one-out error

    def standardise(self, features_ND: Floats) -> NDArray[np.float32]:
        """The features as the heads expect them."""
        return ((features_ND - self.center_D) / self.scale_D).astype(np.float32)

    def __call__(self, features_ND: Floats) -> Floats:
        """Estimates (N, K); NaN for a target that was never measured."""
        return np.asarray(self.standardise(features_ND) @ self.heads_DK + self.bias_K, dtype=np.float64)


def fit_heads(features_ND: Floats, values_NK: Floats, weight_N: Floats, *, dim: int, alpha: float | None) -> Heads:
    """Fit one head per target on the rows where it is known (not NaN).

    The first ``dim`` features are a unit vector and stay as they are; the others are scaled to the mean deviation
    of those, so that one penalty suits both. ``alpha`` None picks a penalty per target.
    """
    center_D = np.average(features_ND, axis=0, weights=weight_N)
    deviation_D = np.sqrt(np.average((features_ND - center_D) ** 2, axis=0, weights=weight_N))
    scale_D = np.ones_like(deviation_D)
    typical = max(deviation_D[:dim].mean(), 1e-9)
    varies = deviation_D[dim:] > 1e-9
    scale_D[dim:][varies] = deviation_D[dim:][varies] / typical
    x_ND = (features_ND - center_D) / scale_D
    k = values_NK.shape[1]
    heads_DK, bias_K = np.zeros((x_ND.shape[1], k)), np.full(k, np.nan)
    alpha_K, sigma_K = np.ones(k), np.full(k, np.nan)
    # Targets measured on the same rows share one decomposition.
    patterns, which_K = np.unique(~np.isnan(values_NK.T), axis=0, return_inverse=True)
    for p, mask_N in enumerate(patterns):
        columns = np.flatnonzero(which_K == p)
        if mask_N.any():
            fit = _fit(x_ND[mask_N], values_NK[np.ix_(mask_N, columns)], weight_N[mask_N], alpha)
            heads_DK[:, columns], bias_K[columns], alpha_K[columns], sigma_K[columns] = fit
    return Heads(center_D, scale_D, heads_DK.astype(np.float32), bias_K, alpha_K, sigma_K)


def _fit(x_ND: Floats, y_NK: Floats, weight_N: Floats, alpha: float | None) -> tuple[Floats, Floats, Floats, Floats]:
    """Heads (D, K), intercepts, penalties and leave-one-out deviations (K,) on one matrix of features."""
    root_N1 = np.sqrt(weight_N)[:, None]
    mean_D, mean_K = np.average(x_ND, axis=0, weights=weight_N), np.average(y_NK, axis=0, weights=weight_N)
    x_ND, y_NK = (x_ND - mean_D) * root_N1, (y_NK - mean_K) * root_N1
    values_D, vectors_DD = np.linalg.eigh(x_ND.T @ x_ND)
    values_D = np.maximum(values_D, 0)
    z_ND = x_ND @ vectors_DD
    zy_DK = z_ND.T @ y_NK
    alphas = ALPHAS if alpha is None else (alpha,)
    errors_AK = np.empty((len(alphas), y_NK.shape[1]))
    for a, candidate in enumerate(alphas):
        shrink_D = 1 / (values_D + candidate)
        leverage_N = np.square(z_ND) @ shrink_D + weight_N / weight_N.sum()
        residual_NK = (y_NK - z_ND @ (shrink_D[:, None] * zy_DK)) / np.maximum(1 - leverage_N, 1e-6)[:, None]
        errors_AK[a] = np.square(residual_NK).sum(axis=0) / weight_N.sum()
    best_K = errors_AK.argmin(axis=0)
    alpha_K = np.array(alphas)[best_K]
    heads_DK = vectors_DD @ (zy_DK / (values_D[:, None] + alpha_K))
    sigma_K = np.sqrt(np.take_along_axis(errors_AK, best_K[None], axis=0)[0])
    return heads_DK, mean_K - mean_D @ heads_DK, alpha_K, sigma_K
