"""LLMRouterBench's measures.  Shape suffixes: P points, F points of a frontier.

Source: Li et al., LLMRouterBench (arXiv 2601.07206).
"""

from __future__ import annotations

import numpy as np

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.evaluation.measures.counted import Counted, ratio
from waypost.evaluation.measures.curves import check_points
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import Floats


def gain_at_b(earned: Earned, table: Outcomes) -> Counted:
    """Gain@B: mean quality relative to the best single model's, less one; above 0 routing pays.

    Gain@B = μ / μ(best single) − 1, on the questions that both have, the best single model in hindsight over the
    whole table.  LLMRouterBench's earlier code compared with the best model of each data set ("Max Expert"), which
    is a router itself: one call of this on each data set.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> gain_at_b(baselines.single(table, baselines.best_single(table)), table).value
    0.0
    """
    return _less_one(ratio(earned.quality_N, baselines.single(table, baselines.best_single(table)).quality_N))


def gain_at_r(earned: Earned, table: Outcomes) -> Counted:
    """Gain@R: mean quality relative to a model at random, less one.

    Gain@R = μ / μ(chance) − 1, chance as its exact expectation; LLMRouterBench's code draws it once, with seed 42.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> gain_at_r(baselines.chance(table), table).value
    0.0
    """
    return _less_one(ratio(earned.quality_N, baselines.chance(table).quality_N))


def gap_at_o(earned: Earned, table: Outcomes) -> Counted:
    """Gap@O: what is missing to the oracle, relative to it; 0 at the oracle.

    Gap@O = 1 − μ / μ(oracle).  LLMRouterBench's code calls any score above 0 right, so that its oracle is too good
    where scores are graded.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> gap_at_o(baselines.oracle(table), table).value
    0.0
    """
    found = ratio(earned.quality_N, baselines.oracle(table).quality_N)
    return found._replace(value=1 - found.value)


def perf_gain(quality_P: Floats, best: float) -> float:
    """PerfGain: the best that a router's curve reaches, relative to the best single model's quality, less one.

    PerfGain = max_p quality_p / best − 1.

    >>> perf_gain(np.array([0.5, 0.9, 0.8]), best=0.75)
    0.19999999999999996
    """
    return float(quality_P.max()) / best - 1 if len(quality_P) and best > 0 else float("nan")


def cost_save(usd_P: Floats, quality_P: Floats, best: float, best_usd: float) -> float:
    """CostSave: what a router's cheapest point that is as good as the best single model saves of its cost.

    CostSave = 1 − min{usd_p : quality_p ≥ best} / best_usd; negative where the curve is as good only at a higher
    cost, NaN where it never is.  Points only: no mixture of two points is used.

    Raises:
        BadInput: a point without cost or quality.

    >>> cost_save(np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.8, 0.9]), best=0.8, best_usd=8.0)
    0.75
    """
    check_points(usd_P, quality_P)
    enough_P = quality_P >= best
    return 1 - float(usd_P[enough_P].min()) / best_usd if enough_P.any() and best_usd > 0 else float("nan")


def frontier(usd_P: Floats, quality_P: Floats) -> tuple[Floats, Floats]:
    """The points that no other point beats in cost and quality at once, cheapest first.

    Raises:
        BadInput: a point without cost or quality.

    >>> frontier(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.4, 0.9]))
    (array([1., 3.]), array([0.5, 0.9]))
    """
    check_points(usd_P, quality_P)
    order_P = np.lexsort((-quality_P, usd_P))
    best_P = np.maximum.accumulate(quality_P[order_P])
    kept_F = order_P[np.diff(best_P, prepend=-np.inf) > 0]
    return usd_P[kept_F], quality_P[kept_F]


def pareto_dist(usd_P: Floats, quality_P: Floats, usd_F: Floats, quality_F: Floats) -> float:
    """ParetoDist: how far a router's points are from the frontier of all that is compared, on average.

    Mean over p of min over f of √(Δusd² + Δquality²), each axis divided by the frontier's own extent, so that the
    currency does not matter; the source leaves the scale of the axes open.  NaN where the frontier is a single point,
    which has no extent.

    Raises:
        BadInput: a point without cost or quality, or no point at all.

    >>> pareto_dist(np.array([1.0, 3.0]), np.array([0.5, 0.4]), np.array([1.0, 3.0]), np.array([0.5, 0.9]))
    0.5153882032022076
    """
    check_points(usd_P, quality_P)
    if not len(usd_P) or not len(usd_F):
        raise BadInput(f"a distance needs points on both sides, got {len(usd_P)} and a frontier of {len(usd_F)}")
    if len(usd_F) == 1:
        return float("nan")
    usd_PF = (usd_P[:, None] - usd_F) / np.ptp(usd_F)
    quality_PF = (quality_P[:, None] - quality_F) / np.ptp(quality_F)
    return float(np.hypot(usd_PF, quality_PF).min(axis=1).mean())


def _less_one(found: Counted) -> Counted:
    return found._replace(value=found.value - 1)
