"""Does a router mean what it predicts?  Shape suffixes: N questions, M models, B bins, E edges, R resamples.

A trailing 3 is: expected, seen, count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.bootstrap import percentiles, resample
from waypost.types import Floats


@dataclass(frozen=True, slots=True)
class Bin:
    """The cells that were expected within ``low`` … ``high``: the mean expected, the mean seen and its interval."""

    low: float
    high: float
    expected: float
    seen: float
    ci95: tuple[float, float]
    count: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Expected against seen, bin by bin (empty bins are left out).

    ``error`` is the expected calibration error: the mean distance of a bin's ``expected`` to its ``seen``, each bin
    counting as often as it has cells; in the unit of what was expected, NaN without any cell.
    """

    bins: tuple[Bin, ...]
    n: int
    error: float
    error_ci95: tuple[float, float]


def reliability(
    expected_NM: Floats,
    seen_NM: Floats,
    *,
    quantiles: bool = False,
    bins: int = 10,
    clusters_N: NDArray[np.intp] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Reliability:
    """Calibration over all cells of which both are known, with intervals by resampling whole questions.

    Bins are equally wide in 0..1, or with ``quantiles`` (for costs) of about equally many cells.  The plug-in error
    is too large by chance alone and that of a resample more so; the interval is therefore the basic one, reflected
    at the estimate: [2·error − q97.5, 2·error − q2.5], kept at zero or above and never short of the estimate.

    Raises:
        ValueError: the two shapes differ, or there are no bins.

    >>> said = np.tile([0.25, 0.75], (100, 1))
    >>> found = reliability(said, (np.arange(100)[:, None] % 4 < [1, 2]).astype(float))
    >>> found.error, [(b.expected, b.seen) for b in found.bins]
    (0.125, [(0.25, 0.25), (0.75, 0.5)])

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3; Davison and Hinkley, Bootstrap
    Methods (1997), section 2.4.
    """
    if expected_NM.shape != seen_NM.shape or bins < 1:
        raise ValueError(f"expected {expected_NM.shape} and seen {seen_NM.shape} must agree, in 1 bin or more: {bins}")
    known_NM = ~(np.isnan(expected_NM) | np.isnan(seen_NM))
    asked_N = known_NM.any(axis=1)
    if not asked_N.any():
        return Reliability((), 0, float("nan"), (float("nan"), float("nan")))
    expected_NM, seen_NM, known_NM = expected_NM[asked_N], seen_NM[asked_N], known_NM[asked_N]
    edges_E = np.linspace(0, 1, bins + 1)
    if quantiles:
        edges_E = np.unique(np.quantile(expected_NM[known_NM], edges_E))
    sums_NB3 = _sums(expected_NM, seen_NM, known_NM, edges_E)
    flat_NK = sums_NB3.reshape(len(sums_NB3), -1)
    kept_N = None if clusters_N is None else clusters_N[asked_N]
    sums_RB3 = resample(flat_NK, clusters_N=kept_N, resamples=resamples, seed=seed).reshape(-1, *sums_NB3.shape[1:])
    error = float(_error(sums_NB3.sum(axis=0)))
    ((low, high),) = percentiles(_error(sums_RB3)[:, None])
    bounds = max(0.0, 2 * error - float(high)), max(error, 2 * error - float(low))
    return Reliability(_bins(sums_NB3.sum(axis=0), sums_RB3, edges_E), int(known_NM.sum()), error, bounds)


def _sums(expected_NM: Floats, seen_NM: Floats, known_NM: NDArray[np.bool_], edges_E: Floats) -> Floats:
    """Each question's expected and seen, summed, and the number of its cells, in every bin: (N, B, 3)."""
    size = max(len(edges_E) - 1, 1)
    expected, seen = expected_NM[known_NM], seen_NM[known_NM]
    bin_of = np.clip(np.searchsorted(edges_E, expected, side="right") - 1, 0, size - 1)
    place = np.nonzero(known_NM)[0] * size + bin_of
    columns = [np.bincount(place, what, len(known_NM) * size) for what in (expected, seen, np.ones(len(seen)))]
    return np.stack(columns, axis=-1).astype(np.float64).reshape(len(known_NM), size, 3)


def _error(sums_B3: Floats) -> Floats:
    """The expected calibration error of sums over questions; leading axes stay."""
    expected_B, seen_B, count_B = np.moveaxis(sums_B3, -1, 0)
    return np.asarray(np.abs(expected_B - seen_B).sum(axis=-1) / count_B.sum(axis=-1))


def _bins(sums_B3: Floats, sums_RB3: Floats, edges_E: Floats) -> tuple[Bin, ...]:
    seen_RB, count_RB = sums_RB3[:, :, 1], sums_RB3[:, :, 2]
    seen_B2 = percentiles(np.divide(seen_RB, count_RB, out=np.full(seen_RB.shape, np.nan), where=count_RB > 0))
    return tuple(
        Bin(
            low=float(edges_E[b]),
            high=float(edges_E[min(b + 1, len(edges_E) - 1)]),
            expected=float(expected / count),
            seen=float(seen / count),
            ci95=(float(seen_B2[b, 0]), float(seen_B2[b, 1])),
            count=int(count),
        )
        for b, (expected, seen, count) in enumerate(sums_B3)
        if count
    )
