"""How hard a prompt is for all models, which routers that learn who is better than whom do not see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from waypost.routers.parts.linear import Features, fit_heads
from waypost.routers.parts.targets import column_means
from waypost.types import Floats


@dataclass
class Level:
    """A ridge head for how far the models' mean quality at a prompt is above usual, a part of a router.

    >>> quality_NM = np.array([[1.0, 0.8], [0.2, 0.0]] * 20)
    >>> Level.fitted(np.array([[1.0, 0.0], [0.0, 1.0]] * 20), quality_NM, np.ones(40), dim=2)(np.eye(2)).round(1)
    array([ 0.4, -0.4])
    """

    weight_D: Floats = field(default_factory=lambda: np.empty(0))
    bias: float = 0.0

    @classmethod
    def fitted(cls, features_ND: Features, quality_NM: Floats, weight_N: Floats, *, dim: int) -> Self:
        """Fit on features of which the first ``dim`` are a unit vector.

        What is regressed is the mean over the models that were measured, each less its own mean, so that it does not
        matter which they are.
        """
        above_NM = quality_NM - column_means(quality_NM, weight_N)
        known_NM = ~np.isnan(above_NM)
        count_N = known_NM.sum(axis=1)
        above_N = np.where(count_N, np.nan_to_num(above_NM).sum(axis=1) / np.maximum(count_N, 1), np.nan)
        fit = fit_heads(features_ND, above_N[:, None], weight_N, dim=dim, alpha=None)
        weight_D = fit.heads_DK[:, 0] / fit.scale_D
        return cls(weight_D, float(fit.bias_K[0] - fit.center_D @ weight_D))

    def __call__(self, features_ND: Floats) -> Floats:
        """What to add to every model's quality, (N,)."""
        return np.asarray(features_ND @ self.weight_D + self.bias)
