"""Curves of quality over cost, as RouterBench draws and sums them.  Suffixes: P points, H corners of a hull, M models.

Source: Hu et al., RouterBench (arXiv 2403.12031), section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.types import Floats

Hull = tuple[Floats, Floats]
Corner = tuple[float, float, int]


@dataclass(frozen=True, eq=False)
class Curve:
    """All that one router does as money gets dearer: a point for each ``usd`` weight, from the least weight on.

    ``quality_P`` and ``usd_P`` are means over the questions measured at that point, of which ``missing_P`` were not;
    ``share_PM`` is how many calls a measured question each model gets.

    >>> curve = Curve("r", np.array([0.0, 20.0]), np.array([0.02, 0.01]), np.array([0.9, 0.7]), np.eye(2), ("a", "b"))
    >>> curve.willingness_P.tolist(), curve.missing_P.tolist()
    ([inf, 0.05], [0, 0])
    """

    name: str
    weight_P: Floats
    usd_P: Floats
    quality_P: Floats
    share_PM: Floats
    models: tuple[str, ...]
    missing_P: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    def __post_init__(self) -> None:
        if not self.missing_P.size:
            object.__setattr__(self, "missing_P", np.zeros(len(self.weight_P), dtype=np.intp))

    @property
    def willingness_P(self) -> Floats:
        """USD that a whole point of quality is worth at each point: RouterBench's λ, one over the weight."""
        willingness_P = np.full(len(self.weight_P), np.inf)
        np.divide(1.0, self.weight_P, out=willingness_P, where=self.weight_P > 0)
        return willingness_P


def hull(usd_P: Floats, quality_P: Floats) -> Hull:
    """The corners of the non-decreasing convex hull of some points: what mixing them at random can reach.

    NDCH(c) = max{Σ p·quality : Σ p·usd ≤ c, Σ p = 1, p ≥ 0}, for c from the cheapest point on.  Both arrays of
    corners rise.  O(P log P).

    RouterBench's code differs: it takes a convex hull in O(P³) and drops points below the previous one.

    Raises:
        BadInput: a cost or quality is missing or infinite.

    >>> hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.5, 0.9, 0.8]))
    (array([1., 3.]), array([0.5, 0.9]))
    """
    at_H = corners(usd_P, quality_P)
    return usd_P[at_H], quality_P[at_H]


def corners(usd_P: Floats, quality_P: Floats) -> NDArray[np.intp]:
    """Which points are the corners of their `hull`, cheapest first, (H,); of equal points the first.

    Raises:
        BadInput: a cost or quality is missing or infinite.

    >>> corners(np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.8, 0.9, 0.5, 0.5]))
    array([3, 1])
    """
    check_points(usd_P, quality_P)
    order_P = np.lexsort((-quality_P, usd_P))
    # Only points better than all cheaper ones can be corners.
    best_P = np.maximum.accumulate(quality_P[order_P])
    record_P = order_P[np.diff(best_P, prepend=-np.inf) > 0]
    found: list[Corner] = []
    for point in zip(usd_P[record_P].tolist(), quality_P[record_P].tolist(), record_P.tolist(), strict=True):
        while len(found) > 1 and _below(found[-2], found[-1], point):
            found.pop()
        found.append(point)
    return np.array([p for _, _, p in found], dtype=np.intp)


def at(usd: Floats | float, usd_H: Floats, quality_H: Floats) -> Floats:
    """The quality of a hull at some costs: NaN below its cheapest corner, flat above its dearest.

    >>> at(np.array([0.5, 2.0, 9.0]), np.array([1.0, 3.0]), np.array([0.5, 0.9]))
    array([nan, 0.7, 0.9])
    """
    if not len(usd_H):
        return np.full(np.shape(usd), np.nan)
    return np.asarray(np.interp(usd, usd_H, quality_H, left=np.nan))


def aiq(usd_P: Floats, quality_P: Floats, low: float, high: float) -> float:
    """Average improvement in quality: the mean height of the points' hull between two costs.

    AIQ = 1/(high − low) · ∫ NDCH(c) dc from low to high, with the same range for all that is compared (see
    `common_range`).  Exact: the hull is piecewise linear.

    RouterBench's code differs: it integrates from the router's own cheapest point to the largest cost of all that
    are compared, and divides by that cost, not by the length of the range.  Its price table is in USD per ten million
    tokens where it says per million; the costs published with the answers are right, and no AIQ depends on the unit.

    Raises:
        BadInput: the range is empty, or begins below the cheapest point, where the hull is not defined.

    >>> aiq(np.array([1.0, 3.0]), np.array([0.5, 0.9]), low=1.0, high=5.0)
    0.8
    """
    usd_H, quality_H = hull(usd_P, quality_P)
    if not low < high < np.inf:
        raise BadInput(f"a range of costs must rise and be finite, got ${low:g} to ${high:g}")
    if not len(usd_H) or low < usd_H[0]:
        cheapest = f"its cheapest point costs ${usd_H[0]:g}" if len(usd_H) else "there are no points"
        raise BadInput(f"the hull is not defined from ${low:g} on: {cheapest}; see common_range")
    knots = np.concatenate([[low], usd_H[(usd_H > low) & (usd_H < high)], [high]])
    return float(np.trapezoid(at(knots, usd_H, quality_H), knots) / (high - low))


def common_range(usd: Iterable[Floats]) -> tuple[float, float]:
    """The costs over which several sets of points can be compared: from the dearest cheapest point to the dearest.

    Raises:
        BadInput: there is nothing to compare, or one set has no points.

    >>> common_range([np.array([1.0, 3.0]), np.array([2.0, 9.0])])
    (2.0, 9.0)
    """
    sets = list(usd)
    if not sets or not all(len(usd_P) for usd_P in sets):
        raise BadInput("a common range of costs needs at least one set of points, and none of them empty")
    return float(max(usd_P.min() for usd_P in sets)), float(max(usd_P.max() for usd_P in sets))


def _below(first: Corner, middle: Corner, last: Corner) -> bool:
    """Whether the middle point lies on or below the line between the two others."""
    return (middle[1] - first[1]) * (last[0] - first[0]) <= (last[1] - first[1]) * (middle[0] - first[0])


def check_points(usd_P: Floats, quality_P: Floats) -> None:
    """Refuse points of which a cost or a quality is missing.

    Raises:
        BadInput: the sentence names the point.
    """
    if usd_P.shape != quality_P.shape or usd_P.ndim != 1:
        raise BadInput(f"costs and qualities must be two lists of one length, got {usd_P.shape} and {quality_P.shape}")
    bad_P = ~(np.isfinite(usd_P) & np.isfinite(quality_P))
    if bad_P.any():
        p = int(bad_P.argmax())
        raise BadInput(f"point {p} has cost {usd_P[p]} and quality {quality_P[p]}; leave out what is not measured")
