"""One linear head per model for quality and one each for its costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder, surface
from waypost.outcomes import Outcomes
from waypost.routers._targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, Prediction

_ALPHAS = tuple(10.0 ** np.arange(-1, 4.5, 0.5))


@dataclass
class Ridge:
    """Ridge regression from the prompt's vector and surface to each model's quality, USD and seconds.

    ``alpha`` is the penalty; None picks one per head by leave-one-out error, in closed form (Golub, Heath & Wahba,
    1979; the PRESS statistic).  A head sees only the prompts on which its model was measured, and no other head.
    The spread is the head's standard error at the prompt: sigma * sqrt(x' (X'WX + alpha I)^-1 x).

    >>> from waypost.outcomes import example_table
    >>> router = Ridge().fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Say hello to Elm for me."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "supervised"

    alpha: float | None = None
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    center_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    scale_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    heads_DK: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    bias_K: Floats = field(default_factory=lambda: np.empty(0), init=False)
    roots_DR: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    sigma_M: Floats = field(default_factory=lambda: np.empty(0), init=False)

    def __post_init__(self) -> None:
        if self.alpha is not None and self.alpha <= 0:
            raise ValueError(f"alpha must be above 0 (or None to choose it), got {self.alpha}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit all heads; heads that were measured on the same prompts share one decomposition."""
        table = targets(outcomes)
        m = len(table.models)
        features_ND = self._features(table.prompts)
        self.center_D = np.average(features_ND, axis=0, weights=table.weight_N)
        deviation_D = np.sqrt(np.average((features_ND - self.center_D) ** 2, axis=0, weights=table.weight_N))
        # Surface facts get the mean scale of the vector's dimensions, so that one penalty suits both.
        self.scale_D = np.ones_like(deviation_D)
        typical = deviation_D[: self.encoder.dim].mean()
        self.scale_D[self.encoder.dim :] = np.maximum(deviation_D[self.encoder.dim :], 1e-9) / typical
        x_ND = (features_ND - self.center_D) / self.scale_D
        known_NK = ~np.isnan(table.values_NK)
        heads_DK, bias_K = np.zeros((x_ND.shape[1], 3 * m)), np.full(3 * m, np.nan)
        alpha_K, sigma_K = np.ones(3 * m), np.full(3 * m, np.nan)
        patterns, which_K = np.unique(known_NK.T, axis=0, return_inverse=True)
        for p, mask_N in enumerate(patterns):
            columns = np.flatnonzero(which_K == p)
            if mask_N.any():
                fit = _fit(x_ND[mask_N], table.values_NK[np.ix_(mask_N, columns)], table.weight_N[mask_N], self.alpha)
                heads_DK[:, columns], bias_K[columns], alpha_K[columns], sigma_K[columns] = fit
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.heads_DK, self.bias_K, self.sigma_M = heads_DK.astype(np.float32), bias_K, sigma_K[:m]
        gram_DD = (x_ND * table.weight_N[:, None]).T @ x_ND
        values_D, vectors_DD = np.linalg.eigh(gram_DD)
        penalty = float(np.median(alpha_K[:m]))
        self.roots_DR = (vectors_DD / np.sqrt(np.maximum(values_D, 0) + penalty)).astype(np.float32)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """One matrix product for all models."""
        check_prompts(self.models, prompts)
        x_ND = ((self._features(prompts) - self.center_D) / self.scale_D).astype(np.float32)
        leverage_N = np.square(x_ND @ self.roots_DR).sum(axis=1)
        spread_NM = np.sqrt(leverage_N)[:, None] * self.sigma_M
        return prediction(self.models, x_ND @ self.heads_DK + self.bias_K, spread_NM)

    def _features(self, prompts: Sequence[str]) -> Floats:
        return np.hstack([self.encoder.encode(prompts), surface(prompts)])

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"alpha": 10.0}]


def _fit(x_ND: Floats, y_NK: Floats, weight_N: Floats, alpha: float | None) -> tuple[Floats, Floats, Floats, Floats]:
    """Heads (D, K), intercepts, penalties and residual deviations (K,) of weighted ridge regressions on one X."""
    root_N1 = np.sqrt(weight_N)[:, None]
    mean_D, mean_K = np.average(x_ND, axis=0, weights=weight_N), np.average(y_NK, axis=0, weights=weight_N)
    x_ND, y_NK = (x_ND - mean_D) * root_N1, (y_NK - mean_K) * root_N1
    values_D, vectors_DD = np.linalg.eigh(x_ND.T @ x_ND)
    values_D = np.maximum(values_D, 0)
    z_ND = x_ND @ vectors_DD
    zy_DK = z_ND.T @ y_NK
    alphas = _ALPHAS if alpha is None else (alpha,)
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
