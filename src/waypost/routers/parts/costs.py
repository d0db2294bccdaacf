"""The cost head of routers whose papers have none: USD and seconds of each model by ridge regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from waypost.routers.parts.linear import Features, fit_heads, unscaled
from waypost.routers.parts.targets import Targets
from waypost.types import Floats


@dataclass
class Costs:
    """Linear heads from a prompt's features to each model's USD and seconds, a part of a router.

    A model of which no cost was measured has an unknown cost (NaN), which is never zero.  Centre and scale are those of
    all rows whatever is known of costs, so that a router may standardise its features by them.
    """

    center_D: Floats = field(default_factory=lambda: np.empty(0))
    scale_D: Floats = field(default_factory=lambda: np.empty(0))
    heads_DK: Floats = field(default_factory=lambda: np.empty((0, 0)))
    bias_K: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def fitted(cls, features_ND: Features, table: Targets, *, dim: int) -> Self:
        """Fit on a table whose first ``dim`` features are a unit vector; each penalty is chosen by leave-one-out."""
        m = len(table.models)
        fit = fit_heads(features_ND, table.values_NK[:, m:], table.weight_N, dim=dim, alpha=None)
        return cls(fit.center_D, fit.scale_D, fit.heads_DK.astype(np.float64), fit.bias_K)

    def __call__(self, features_ND: Floats) -> Floats:
        """USD of each model, then seconds, (N, 2M); not negative."""
        heads_DK, shift_K = self._heads
        return np.maximum(features_ND.astype(np.float32) @ heads_DK + shift_K, 0.0)

    @cached_property
    def _heads(self) -> tuple[NDArray[np.float32], Floats]:
        heads_DK, shift_K = unscaled(self.center_D, self.scale_D, self.heads_DK)
        return heads_DK, shift_K + self.bias_K
