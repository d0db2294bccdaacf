"""How far off a router may be at a prompt: the standard error of a linear head on its features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from waypost.types import Floats


@dataclass
class Doubt:
    """The spread ``sigma_m * sqrt(1/n + x' (X'WX + alpha I)^-1 x)``, a part of a router.

    ``sigma_m`` is the deviation of model m's errors on rows that were held out, x the features less their mean.  Near
    much that was seen the doubt is small, far from all of it it is large (Laplace's approximation of a last layer,
    MacKay 1992; for a linear head it is exact).
    """

    center_D: Floats = field(default_factory=lambda: np.empty(0))
    roots_DD: Floats = field(default_factory=lambda: np.empty((0, 0)))
    sigma_M: Floats = field(default_factory=lambda: np.empty(0))
    rows: float = 1.0

    @classmethod
    def fitted(cls, features_ND: Floats, residual_RM: Floats, weight_N: Floats, *, alpha: float = 1.0) -> Self:
        """Fit on the features of all rows, and on errors (R, M) of rows that were held out, NaN where not measured."""
        share_N = weight_N / max(weight_N.sum(), 1e-12)
        center_D = share_N @ features_ND
        x_ND = features_ND - center_D
        scaled_N1 = (weight_N / max(weight_N.mean(), 1e-12))[:, None]
        values_D, vectors_DD = np.linalg.eigh((x_ND * scaled_N1).T @ x_ND)
        known_RM = ~np.isnan(residual_RM)
        squares_M = np.where(known_RM, np.square(np.nan_to_num(residual_RM)), 0).sum(axis=0)
        # A model with hardly any held-out error is not known to be exact: as one further row of error 1/2.
        sigma_M = np.sqrt((squares_M + 0.25) / (known_RM.sum(axis=0) + 1))
        return cls(center_D, vectors_DD / np.sqrt(np.maximum(values_D, 0) + alpha), sigma_M, float(len(features_ND)))

    def __call__(self, features_ND: Floats) -> Floats:
        """One standard deviation of each model's expected quality, (N, M)."""
        leverage_N = 1 / self.rows + np.square((features_ND - self.center_D) @ self.roots_DD).sum(axis=1)
        return np.asarray(np.sqrt(leverage_N)[:, None] * self.sigma_M)
