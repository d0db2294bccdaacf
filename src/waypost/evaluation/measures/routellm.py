"""RouteLLM's measures of a choice between two models.  Shape suffixes: N questions, P thresholds.

Source: Ong et al., RouteLLM (arXiv 2406.18665), on its metrics: W is the weak model, S the strong one, r the mean
quality, c the share of questions sent to the strong one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from waypost.errors import BadInput
from waypost.types import Floats


class Thresholds(NamedTuple):
    """The curve of a router between two models as its threshold falls from above all scores to below all.

    ``missing`` questions lack the quality of one of the models and are in none of the numbers.
    """

    share_P: Floats
    quality_P: Floats
    n: int
    missing: int

    @property
    def weak(self) -> float:
        """Mean quality of the weak model alone."""
        return float(self.quality_P[0])

    @property
    def strong(self) -> float:
        """Mean quality of the strong model alone."""
        return float(self.quality_P[-1])


def thresholds(score_N: Floats, weak_N: Floats, strong_N: Floats) -> Thresholds:
    """Mean quality at every share of the strong model that a threshold on ``score_N`` can give.

    A question goes to the strong model when its score is at least the threshold, so equal scores go together.

    RouteLLM's code differs: it looks at ten thresholds only, at deciles of the scores.

    Raises:
        BadInput: no question has the quality of both models, a score is missing, or lengths differ.

    >>> thresholds(np.array([0.9, 0.1]), weak_N=np.array([0.0, 1.0]), strong_N=np.array([1.0, 1.0])).quality_P
    array([0.5, 1. , 1. ])
    """
    if not len(score_N) == len(weak_N) == len(strong_N):
        raise BadInput(f"scores and qualities must be as many, got {len(score_N)}, {len(weak_N)} and {len(strong_N)}")
    if np.isnan(score_N).any():
        raise BadInput("a question without a score cannot be sent anywhere; leave it out")
    known_N = ~np.isnan(weak_N + strong_N)
    n = int(known_N.sum())
    if not n:
        raise BadInput("no question has the quality of both models")
    order_N = np.argsort(-score_N[known_N], kind="stable")
    gain_N = (strong_N - weak_N)[known_N][order_N]
    score_N = score_N[known_N][order_N]
    last_P = np.flatnonzero(np.append(np.diff(score_N) != 0, True))
    quality_P = weak_N[known_N].mean() + np.append(0.0, gain_N.cumsum()[last_P]) / n
    return Thresholds(np.append(0.0, (last_P + 1) / n), quality_P, n, len(known_N) - n)


def pgr(quality: Floats | float, weak: float, strong: float) -> Floats:
    """Performance gap recovered: 0 is the weak model, 1 the strong one; NaN where the two are equal.

    PGR = (r − r(W)) / (r(S) − r(W)).

    >>> pgr(np.array([0.5, 0.75]), weak=0.5, strong=1.0)
    array([0. , 0.5])
    """
    if strong == weak:
        return np.full(np.shape(quality), np.nan)
    return np.asarray((np.asarray(quality) - weak) / (strong - weak))


def apgr(share_P: Floats, quality_P: Floats) -> float:
    """Average performance gap recovered: the area under PGR over the share of the strong model.

    APGR = ∫ PGR dc from 0 to 1, exact on the curve's straight pieces; a coin gives 0.5.

    RouteLLM's paper averages ten points; its code sums trapezoids between ten, from the least share that a threshold
    gave to the greatest, and divides by that length.

    Raises:
        BadInput: the curve does not rise in share from 0 to 1.

    >>> apgr(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0]))
    0.75
    """
    _check(share_P, quality_P)
    return float(np.trapezoid(pgr(quality_P, quality_P[0], quality_P[-1]), share_P))


def cpt(target: float, share_P: Floats, quality_P: Floats) -> float:
    """Call-performance threshold: the least share of the strong model at which ``target`` of the gap is recovered.

    CPT(x) = min{c : PGR(c) ≥ x} on the straight pieces between points; right for a curve that falls in between too.
    NaN where the target is never reached, or the models are equal.

    RouteLLM's code differs: it interpolates the share over the quality, which is wrong where quality falls, and
    gives an end of the curve where the target is not reached.

    Raises:
        BadInput: the curve does not rise in share from 0 to 1.

    >>> cpt(0.5, np.array([0.0, 0.2, 0.6, 1.0]), np.array([0.0, 0.6, 0.4, 1.0]))
    0.16666666666666669
    """
    _check(share_P, quality_P)
    gap_P = pgr(quality_P, quality_P[0], quality_P[-1])
    reached_P = gap_P >= target
    if not reached_P.any():
        return float("nan")
    p = int(reached_P.argmax())
    if p == 0:
        return float(share_P[0])
    part = (target - gap_P[p - 1]) / (gap_P[p] - gap_P[p - 1])
    return float(share_P[p - 1] + part * (share_P[p] - share_P[p - 1]))


def _check(share_P: Floats, quality_P: Floats) -> None:
    if len(share_P) != len(quality_P) or len(share_P) < 2:
        raise BadInput(f"a curve needs as many shares as qualities, two or more; got {len(share_P)}, {len(quality_P)}")
    if share_P[0] != 0 or share_P[-1] != 1 or (np.diff(share_P) <= 0).any():
        raise BadInput("the shares of a curve must rise from 0, the weak model alone, to 1, the strong one alone")
    if np.isnan(quality_P).any():
        raise BadInput("a curve must have a quality at every share")
