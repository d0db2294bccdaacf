"""The zero router: a coin tossed between single models, which knows nothing of the question.

Shape suffixes: B resamples, M models, H corners of a hull, K costs asked for, N questions.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import Floats


def complete(table: Outcomes) -> NDArray[np.bool_]:
    """The questions on which every model was measured: only there can the models' means make one hull."""
    missing_N: NDArray[np.bool_] = np.isnan(table.quality_NM.sum(axis=1))
    return ~missing_N


def priced(table: Outcomes) -> bool:
    """Whether there is a hull: some question has every model, and each answer to such a question has a cost."""
    complete_N = complete(table)
    return bool(complete_N.any()) and not np.isnan(table.usd_NM[complete_N]).any()


def corners(usd_BM: Floats, quality_BM: Floats) -> NDArray[np.intp]:
    """Which models are corners of the non-decreasing convex hull in each resample, cheapest first, as (B, H).

    Rows of fewer corners repeat their last.  The hull is that of `measures.curves.hull`, wrapped for all resamples at
    once: from the cheapest model on, always the steepest way up.  O(B·M·H).

    >>> corners(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[0.5, 0.5, 0.9, 0.8]]))
    array([[0, 2]])
    """
    here_B = np.lexsort((-quality_BM, usd_BM), axis=1)[:, 0]
    found = [here_B]
    while True:
        usd_B1, quality_B1 = (np.take_along_axis(a, here_B[:, None], axis=1) for a in (usd_BM, quality_BM))
        rise_BM, run_BM = quality_BM - quality_B1, usd_BM - usd_B1
        slope_BM = np.divide(rise_BM, run_BM, out=np.zeros(rise_BM.shape), where=(rise_BM > 0) & (run_BM > 0))
        further_B = slope_BM.any(axis=1)
        if not further_B.any():
            return np.column_stack(found)
        here_B = np.where(further_B, slope_BM.argmax(axis=1), here_B)
        found.append(here_B)


def quality_at(usd_BK: Floats, usd_BM: Floats, quality_BM: Floats) -> Floats:
    """The zero router's quality at some mean costs in each resample, (B, K).

    It is flat above the dearest corner.  Below the cheapest, where no mixture is that cheap, it is the cheapest
    model's, so that what costs less than every model is compared with one that costs more.

    >>> quality_at(np.array([[0.5, 2.0, 9.0]]), np.array([[1.0, 3.0]]), np.array([[0.5, 0.9]]))
    array([[0.5, 0.7, 0.9]])
    """
    at_BH = corners(usd_BM, quality_BM)
    usd_BH, quality_BH = (np.take_along_axis(a, at_BH, axis=1) for a in (usd_BM, quality_BM))
    quality_BK = np.repeat(quality_BH[:, :1], usd_BK.shape[1], axis=1)
    for h in range(1, at_BH.shape[1]):
        share_BK = _share(usd_BK, usd_BH[:, [h - 1]], usd_BH[:, [h]])
        # Each corner lies above the last, so the way to it adds to what was reached.
        quality_BK += share_BK * (quality_BH[:, [h]] - quality_BH[:, [h - 1]])
    return quality_BK


def mixture(table: Outcomes, usd: float) -> Earned:
    """What the zero router of a priced table earns in expectation at a mean cost, on questions that its models have.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(400)
    >>> half = mixture(table, usd=2e-4)
    >>> round(half.usd, 6), {name: round(share, 2) for name, share in half.share.items()}
    (0.0002, {'tiny': 0.0, 'maths-expert': 0.51, 'large': 0.49})
    """
    complete_N = complete(table)
    usd_1M, quality_1M = (a[complete_N].mean(axis=0, keepdims=True) for a in (table.usd_NM, table.quality_NM))
    at_H = corners(usd_1M, quality_1M)[0]
    share_M = np.zeros(len(table.models))
    share_M[at_H[0]] = 1.0
    for cheap, dear in pairwise(at_H):
        share = float(_share(np.array(usd), usd_1M[0, cheap], usd_1M[0, dear]))
        share_M[dear], share_M[cheap] = share * share_M[cheap], (1 - share) * share_M[cheap]
    used = np.flatnonzero(share_M)
    quality_N, usd_N, seconds_N = (
        values_NM[:, used] @ share_M[used] for values_NM in (table.quality_NM, table.usd_NM, table.seconds_NM)
    )
    return Earned(table.models, quality_N, usd_N, seconds_N, np.broadcast_to(share_M, table.quality_NM.shape))


def _share(usd: Floats, cheap: Floats, dear: Floats) -> Floats:
    """How far a cost lies on the way from one corner to the next, 0 to 1."""
    run = np.broadcast_to(dear - cheap, np.shape(usd))
    share: Floats = np.divide(usd - cheap, run, out=np.zeros(np.shape(usd)), where=run > 0)
    return share.clip(0, 1)
