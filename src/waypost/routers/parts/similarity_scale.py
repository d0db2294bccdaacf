"""From similarities to qualities: a logistic curve of one slope for all models, and a level for each domain.

Because the slope is one, and positive, the model that is most similar is the one of which most is expected, and a
model that comes or goes changes nothing for the others.  Shape suffixes: N prompts, M models, G domains, R cells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

_STEPS = 50
_LEAST_SLOPE = 1e-3  # where similarity says nothing of quality it still decides, and costs nothing


@dataclass
class SimilarityScale:
    """``quality = logistic(level_g + slope · (similarity - usual) / scale)``, fitted by weighted likelihood.

    Levels and slope lean on 0 as by a normal prior of variance 1.
    """

    level_G: Floats = field(default_factory=lambda: np.empty(0))
    slope: float = 1.0
    usual: float = 0.0
    scale: float = 1.0

    @classmethod
    def fitted(
        cls, similarity_NM: Floats, quality_NM: Floats, domain_N: NDArray[np.intp], weight_N: Floats, *, domains: int
    ) -> Self:
        """Fit on the cells where both are known (not NaN)."""
        row_R, column_R = np.nonzero(~np.isnan(similarity_NM + quality_NM))
        made = cls(np.zeros(domains))
        if not len(row_R):
            return made
        x_R, y_R = similarity_NM[row_R, column_R], quality_NM[row_R, column_R]
        weight_R = weight_N[row_R] / max(weight_N[row_R].mean(), 1e-12)
        made.usual, made.scale = float(x_R.mean()), float(x_R.std())
        if made.scale < 1e-9:
            made.scale = 1.0  # where all are equally similar, a step away is no reason to expect all or nothing
        x_R = (x_R - made.usual) / made.scale
        made.level_G, made.slope = _newton(x_R, y_R, domain_N[row_R], weight_R, domains, None)
        if made.slope < _LEAST_SLOPE:
            made.level_G, made.slope = _newton(x_R, y_R, domain_N[row_R], weight_R, domains, _LEAST_SLOPE)
        return made

    def __call__(self, similarity_NM: Floats, domain_N: NDArray[np.intp]) -> Floats:
        """Expected qualities (N, M), between 0 and 1; NaN where the similarity is."""
        logit_NM = self.level_G[domain_N][:, None] + self.slope * (similarity_NM - self.usual) / self.scale
        return _logistic(logit_NM)


def _newton(
    x_R: Floats, y_R: Floats, domain_R: NDArray[np.intp], weight_R: Floats, domains: int, slope: float | None
) -> tuple[Floats, float]:
    """Levels and slope of greatest penalised likelihood; a slope that is given stays."""
    free = domains + (slope is None)
    values = np.append(np.zeros(domains), slope or 0.0)

    def by_domain(values_R: Floats) -> Floats:
        return np.bincount(domain_R, values_R, domains).astype(np.float64)

    for _ in range(_STEPS):
        expected_R = _logistic(values[domain_R] + values[-1] * x_R)
        error_R, curve_R = weight_R * (y_R - expected_R), weight_R * expected_R * (1 - expected_R)
        gradient = np.append(by_domain(error_R), error_R @ x_R) - values
        hessian = np.diag(np.append(by_domain(curve_R), curve_R @ np.square(x_R)) + 1.0)
        hessian[-1, :-1] = hessian[:-1, -1] = by_domain(curve_R * x_R)
        step = np.linalg.solve(hessian[:free, :free], gradient[:free])
        values[:free] += np.clip(step, -1, 1)  # a whole step may overshoot where all cells are alike
        if np.abs(step).max() < 1e-10:
            break
    return values[:-1], float(values[-1])


def _logistic(logit: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(logit / 2)))
