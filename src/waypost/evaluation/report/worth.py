"""What choices are worth by the trade-off that was asked for.  Shape suffixes: N questions, K ways, B resamples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation import baselines
from waypost.evaluation.bootstrap import interval
from waypost.evaluation.metrics import Earned, mean
from waypost.evaluation.report.findings import Worth
from waypost.outcomes import Outcomes
from waypost.types import Floats


def worths(
    table: Outcomes,
    earned: Mapping[str, Earned],
    weights: Mapping[str, float],
    *,
    clusters_N: NDArray[np.intp] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[str | None, tuple[Worth, ...]]:
    """The best single model by quality less weighed money and time, and each way of choosing beside it.

    Only questions of which all of that is known for every single model count for the model, as in `compare`, and of
    each way those that it shares with that model.  Nothing where neither money nor time has a weight, or where no
    model has a question left.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> best, (found,) = worths(table, {"all": baselines.single(table, "large")}, {"quality": 1.0, "usd": 1000.0})
    >>> best, found.gain < 0
    ('maths-expert', True)
    """
    if not weights.get("usd") and not weights.get("seconds"):
        return None, ()
    alone_NM = np.column_stack([_worth(baselines.single(table, name), weights) for name in table.models])
    complete_NM = alone_NM[~np.isnan(alone_NM).any(axis=1)]
    if not len(complete_NM):
        return None, ()
    best = int(complete_NM.mean(axis=0).argmax())
    worth_NK = np.column_stack([_worth(each, weights) for each in earned.values()])
    gain_NK = worth_NK - alone_NM[:, [best]]
    bounds_K2 = interval(gain_NK, resamples, seed, clusters_N=clusters_N)
    found = (
        Worth(name, mean(worth_NK[:, k]), mean(gain_NK[:, k]), (float(bounds_K2[k, 0]), float(bounds_K2[k, 1])))
        for k, name in enumerate(earned)
        if not np.isnan(gain_NK[:, k]).all()
    )
    return table.models[best], tuple(found)


def _worth(earned: Earned, weights: Mapping[str, float]) -> Floats:
    worth_N = weights.get("quality", 1.0) * earned.quality_N
    for name, cost_N in (("usd", earned.usd_N), ("seconds", earned.seconds_N)):
        if weights.get(name):
            worth_N = worth_N - weights[name] * cost_N
    return worth_N
