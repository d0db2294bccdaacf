"""Shares with their intervals, and whether one thing goes with another.  Shape suffixes: N prompts."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.bootstrap import interval
from waypost.types import Floats

_Z95 = 1.959963984540054
# Makes the median absolute deviation of a normal distribution its standard deviation.
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Share:
    """A share of ``n`` prompts with its 95 % interval; NaN where there are none."""

    share: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%})"


@dataclass(frozen=True, slots=True)
class Trend:
    """How scores move with levels: correlation, z, and the two-sided p."""

    r: float
    z: float
    p: float


def share(hits_N: NDArray[np.bool_]) -> Share:
    """The share of hits with Wilson's score interval.

    >>> print(share(np.array([True] * 5 + [False] * 5)))
    50% (24% to 76%)

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    n = len(hits_N)
    if n == 0:
        return Share(np.nan, np.nan, np.nan, 0)
    p, z2 = float(hits_N.mean()), _Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the bounds are the ends, but for rounding.
    return Share(p, 0.0 if p == 0 else middle - half, 1.0 if p == 1 else middle + half, n)


def difference(first: Share, second: Share) -> Share:
    """The first share less the second, of different prompts, with Newcombe's hybrid interval.

    >>> found = difference(share(np.arange(70) < 56), share(np.arange(80) < 48))
    >>> round(found.share, 4), round(found.low, 4), round(found.high, 4)
    (0.2, 0.0524, 0.3339)

    Source: Newcombe, Interval estimation for the difference between independent proportions (1998), method 10.
    """
    gap = first.share - second.share
    below = sqrt((first.share - first.low) ** 2 + (second.high - second.share) ** 2)
    above = sqrt((first.high - first.share) ** 2 + (second.share - second.low) ** 2)
    return Share(gap, gap - below, gap + above, min(first.n, second.n))


def change(before_N: NDArray[np.bool_], after_N: NDArray[np.bool_], seed: int = 0) -> Share:
    """The share after less the share before, of the same prompts, with a paired bootstrap interval.

    >>> print(change(np.array([False, False]), np.array([True, True])))
    100% (100% to 100%)
    """
    if not len(before_N):
        return Share(np.nan, np.nan, np.nan, 0)
    moved_N = after_N.astype(np.float64) - before_N
    low, high = interval(moved_N[:, None], seed=seed)[0]
    return Share(float(moved_N.mean()), float(low), float(high), len(moved_N))


def trend(level_N: NDArray[np.int_], score_N: Floats) -> Trend:
    """Linear-by-linear association: z = r·sqrt(N - 1); with scores of 0 and 1 the Cochran-Armitage test but for N - 1.

    No score that differs, or no level: r and z are 0 and p is 1.

    >>> trend(np.array([1, 2, 3, 1, 2, 3]), np.array([0.0, 0, 1, 0, 1, 1])).r.__round__(3)
    0.816

    Source: Agresti, Categorical Data Analysis (2013), section 3.4.
    """
    if len(level_N) < 2 or np.ptp(level_N) == 0 or np.ptp(score_N) == 0:
        return Trend(0.0, 0.0, 1.0)
    r = float(np.corrcoef(level_N, score_N)[0, 1])
    z = r * sqrt(len(level_N) - 1)
    return Trend(r, z, erfc(abs(z) / sqrt(2)))


def robust_z(values_N: Floats, peers_N: Floats, floor: float) -> Floats:
    """How far each value lies above its peers' median, in deviations estimated from their median absolute one.

    ``floor`` is the least deviation that counts, where most peers are equal.

    >>> robust_z(np.array([0.1, 1.0]), peers_N=np.zeros(9), floor=0.05).tolist()
    [2.0, 20.0]
    """
    middle = np.median(peers_N)
    scale = max(_MAD * float(np.median(np.abs(peers_N - middle))), floor)
    return np.asarray((values_N - middle) / scale)
