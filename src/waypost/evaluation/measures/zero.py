"""The zero router: a coin tossed between single models, which knows nothing of the question.

Source: Hu et al., RouterBench (arXiv 2403.12031), section 3.  Shape suffixes: B resamples, M models, H corners of a
hull, K costs asked for, N questions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.measures.curves import at, corners, hull
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import Floats


class ZeroRouter(NamedTuple):
    """The corners of its hull, over ``n`` questions; ``missing`` others lack a model, ``unpriced`` models a cost."""

    usd_H: Floats
    quality_H: Floats
    n: int
    missing: int
    unpriced: tuple[str, ...]


def zero_router(table: Outcomes) -> ZeroRouter:
    """The hull of the single models' mean costs and qualities: what tossing a coin between models reaches.

    All means are over the questions on which every model was measured (`complete`): means over different questions
    are no choice that anybody has.  A model with an answer of unknown cost among them is left out and named.  Without
    such a question or any cost the hull is empty, and `at` gives NaN.

    >>> from waypost.outcomes import example_table
    >>> found = zero_router(example_table(200))
    >>> bool((np.diff(found.quality_H) > 0).all()), found.n, found.missing, found.unpriced
    (True, 200, 0, ())
    """
    usd_M, quality_M, n = _means(table)
    priced_M = ~np.isnan(usd_M)
    unpriced = tuple(name for name, is_priced in zip(table.models, priced_M, strict=True) if n and not is_priced)
    return ZeroRouter(*hull(usd_M[priced_M], quality_M[priced_M]), n, len(table) - n, unpriced)


def complete(table: Outcomes) -> NDArray[np.bool_]:
    """The questions on which every model was measured: only there can the models' means make one hull."""
    missing_N: NDArray[np.bool_] = np.isnan(table.quality_NM.sum(axis=1))
    return ~missing_N


def priced(table: Outcomes) -> bool:
    """Whether no model is missing in the hull: some question has every model, and each answer to such has a cost."""
    usd_M, _, _ = _means(table)
    return not np.isnan(usd_M).any()


def quality_at(usd_BK: Floats, usd_BM: Floats, quality_BM: Floats) -> Floats:
    """The zero router's quality at some mean costs in each resample, (B, K), each with a hull of its own.

    It is flat above the dearest corner.  Below the cheapest, where no mixture is that cheap, it is the cheapest
    model's, so that what costs less than every model is compared with one that costs more.  A resample in which a
    model was not measured (NaN) has none.

    >>> quality_at(np.array([[0.5, 2.0, 9.0]]), np.array([[1.0, 3.0]]), np.array([[0.5, 0.9]]))
    array([[0.5, 0.7, 0.9]])
    """
    quality_BK = np.full(usd_BK.shape, np.nan)
    for b in np.flatnonzero(~np.isnan(usd_BM + quality_BM).any(axis=1)):
        usd_H, quality_H = hull(usd_BM[b], quality_BM[b])
        quality_BK[b] = at(np.maximum(usd_BK[b], usd_H[0]), usd_H, quality_H)
    return quality_BK


def mixture(table: Outcomes, usd: float) -> Earned:
    """What the zero router of a priced table earns in expectation at a mean cost, on questions that its models have.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(400)
    >>> half = mixture(table, usd=2e-4)
    >>> round(half.usd, 6), {name: round(share, 2) for name, share in half.share.items()}
    (0.0002, {'tiny': 0.0, 'maths-expert': 0.51, 'large': 0.49})
    """
    usd_M, quality_M, _ = _means(table)
    at_H = corners(usd_M, quality_M)
    share_M = np.zeros(len(table.models))
    # The weight of a corner falls in straight lines from itself to its neighbours.
    share_M[at_H] = [np.interp(usd, usd_M[at_H], alone_H) for alone_H in np.eye(len(at_H))]
    used = np.flatnonzero(share_M)
    quality_N, usd_N, seconds_N = (
        values_NM[:, used] @ share_M[used] for values_NM in (table.quality_NM, table.usd_NM, table.seconds_NM)
    )
    return Earned(table.models, quality_N, usd_N, seconds_N, np.broadcast_to(share_M, table.quality_NM.shape))


def _means(table: Outcomes) -> tuple[Floats, Floats, int]:
    """Mean cost and quality of each model on the questions that every model has, and how many these are."""
    complete_N = complete(table)
    n = int(complete_N.sum())
    if not n:
        return np.full(len(table.models), np.nan), np.full(len(table.models), np.nan), 0
    return table.usd_NM[complete_N].mean(axis=0), table.quality_NM[complete_N].mean(axis=0), n
