"""RouterArena's measures.  Shape suffixes: N questions, M models.

Source: Lu et al., RouterArena (arXiv 2510.00202), and its evaluation code.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import NamedTuple

import numpy as np

from waypost.errors import BadInput
from waypost.evaluation.measures.counted import Counted
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes

_ROUNDING = 1e-9  # of a score that was meant to be 1


class Optimality(NamedTuple):
    """Opt.Sel, Opt.Cost and Opt.Acc over the ``n`` questions that some model answers fully.

    ``missing`` of such questions were left out, as the choice was not measured or its cost is unknown.
    """

    sel: float
    cost: float
    acc: float
    n: int
    missing: int


def arena_score(quality: float, usd: float, beta: float = 0.1, usd_min: float = 4.4e-6, usd_max: float = 0.2) -> float:
    """One number of mean quality A and mean USD a question c, 0..1.

    S = (1 + β)·A·C / (β·A + C), with C = (log2 c_max − log2 c) / (log2 c_max − log2 c_min) and c held within
    [c_min, c_max].  RouterArena's own bounds are the defaults: $0.0044 and $200 per 1,000 questions.  NaN where
    quality or cost is unknown; 0 where quality is 0 or the cost reaches c_max.

    RouterArena's code differs: it refuses a cost of zero, which a local model has, adds an unknown cost as zero, and
    one published version does not hold c within its bounds.

    Raises:
        BadInput: quality outside 0..1, a negative cost, or bounds that do not rise.

    >>> arena_score(0.7, usd=0.001)
    0.674439419535773
    """
    if np.isnan(quality) or np.isnan(usd):
        return float("nan")
    if not 0 <= quality <= 1 or usd < 0:
        raise BadInput(f"an arena score needs a quality in 0..1 and a cost, got {quality:g} and ${usd:g}")
    if not 0 < usd_min < usd_max:
        raise BadInput(f"the bounds of an arena score must rise from above zero, got ${usd_min:g} to ${usd_max:g}")
    held = min(max(usd, usd_min), usd_max)
    cheapness = log2(usd_max / held) / log2(usd_max / usd_min)
    bottom = beta * quality + cheapness
    return (1 + beta) * quality * cheapness / bottom if bottom else 0.0


def optimality(earned: Earned, table: Outcomes) -> Optimality:
    """How near the choices are to the cheapest model that answers each question fully (quality 1).

    Opt.Sel = share of questions sent to it and to no other; Opt.Cost = Σ its USD / Σ USD paid; Opt.Acc = Σ quality
    earned / Σ 1.  All over the questions that some priced model answers fully, right or wrong.

    RouterArena's code has had two versions: one as here; the other leaves out first what the router got wrong, so
    that Opt.Acc is 1 by construction, and Opt.Sel and Opt.Cost are of what was right anyway.

    >>> from waypost.evaluation.baselines import oracle
    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> optimality(oracle(table), table)[:3]
    (1.0, 1.0, 1.0)
    """
    full_NM = (table.quality_NM >= 1 - _ROUNDING) & ~np.isnan(table.usd_NM)
    price_NM = np.where(full_NM, table.usd_NM, np.inf)
    least_N = price_NM.min(axis=1)
    asked_N = full_NM.any(axis=1)
    kept_N = asked_N & ~np.isnan(earned.quality_N + earned.usd_N)
    n, missing = int(kept_N.sum()), int((asked_N & ~kept_N).sum())
    if not n:
        return Optimality(float("nan"), float("nan"), float("nan"), 0, missing)
    optimal_NM = full_NM & (price_NM == least_N[:, None])
    alone_N = np.isclose(earned.calls_NM.sum(axis=1), 1)
    sel_N = (earned.calls_NM * optimal_NM).sum(axis=1) * alone_N
    paid = float(earned.usd_N[kept_N].sum())
    return Optimality(
        sel=float(sel_N[kept_N].mean()),
        cost=float(least_N[kept_N].sum()) / paid if paid else 1.0,
        acc=float(earned.quality_N[kept_N].mean()),
        n=n,
        missing=missing,
    )


def robustness(before: Sequence[str | None], after: Sequence[str | None]) -> Counted:
    """The share of questions whose model stays the same when the wording is disturbed.

    Robustness = 1 − flips / pairs; a pair without one of the two choices (None) is left out and counted.

    Raises:
        BadInput: choices of different numbers of questions.

    >>> robustness(["a", "b", "b", None], ["a", "b", "a", "a"])
    Counted(value=0.6666666666666666, n=3, missing=1)
    """
    if len(before) != len(after):
        raise BadInput(f"choices before and after must be of the same questions, got {len(before)} and {len(after)}")
    pairs = [(one, other) for one, other in zip(before, after, strict=True) if one is not None and other is not None]
    same = sum(one == other for one, other in pairs)
    return Counted(same / len(pairs) if pairs else float("nan"), len(pairs), len(before) - len(pairs))
