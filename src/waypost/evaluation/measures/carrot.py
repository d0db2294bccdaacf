"""CARROT's curve and excess risk, and regret.  Shape suffixes: N questions, M models, L trade-offs.

Source: Somerstep et al., CARROT (arXiv 2502.03261): a trade-off μ weighs cost against error, and
η_{μ,m}(x) = (1 − μ)·(1 − quality of m on x) + μ·USD of m on x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.evaluation.measures.counted import Counted, average
from waypost.evaluation.measures.curves import Curve
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import Floats


def cost_score(curve: Curve, mu_L: Floats) -> tuple[Floats, Floats]:
    """Mean USD and quality at each trade-off: what argmin (1 − μ)·(1 − q̂) + μ·ĉ earns, for μ from 0 to 1.

    It is the swept curve at the weight μ / (1 − μ): exact where the curve has every weight at which a choice changes;
    between the points of one that was thinned, what was earned at the last of them.  CARROT's code sends ties to the
    first model, ours to the cheapest, and it averages a missing cell into NaN.

    Raises:
        BadInput: a trade-off outside 0..1.

    >>> curve = Curve("r", np.array([0.0, 3.0]), np.array([2.0, 1.0]), np.array([0.9, 0.5]), np.eye(2), ("a", "b"))
    >>> cost_score(curve, np.array([0.0, 0.7, 0.8, 1.0]))
    (array([2., 2., 1., 1.]), array([0.9, 0.9, 0.5, 0.5]))
    """
    if not ((mu_L >= 0) & (mu_L <= 1)).all():
        raise BadInput("a trade-off is from 0, quality alone, to 1, cost alone")
    weight_L = np.full(len(mu_L), np.inf)
    np.divide(mu_L, 1 - mu_L, out=weight_L, where=mu_L < 1)
    point_L = np.searchsorted(curve.weight_P, weight_L, side="right") - 1
    return curve.usd_P[point_L], curve.quality_P[point_L]


def risk(quality_NM: Floats, usd_NM: Floats, mu: float) -> Floats:
    """η, the risk of each model on each question, (N, M); missing where quality or cost is.

    >>> risk(np.array([[1.0, 0.5]]), np.array([[0.2, 0.0]]), mu=0.5)
    array([[0.1 , 0.25]])
    """
    return (1 - mu) * (1 - quality_NM) + mu * usd_NM


def excess_risk(column_N: NDArray[np.intp], eta_NM: Floats) -> Counted:
    """How much more risk the chosen models have than the best choice: E[η_chosen] − E[min_m η].

    ``eta_NM`` must be the true expected risks, as in a simulation.  On single recorded answers the minimum is luck
    too, and the same number is `regret`, which no router brings to zero.  A question without the risk of every model
    is left out, since its minimum is not known.

    >>> excess_risk(np.array([0, 1]), np.array([[0.1, 0.3], [0.5, 0.6]])).value
    0.04999999999999999
    """
    return average(eta_NM[np.arange(len(column_N)), column_N] - eta_NM.min(axis=1))


def regret(earned: Earned, table: Outcomes, usd: float = 0.0) -> Counted:
    """What was lost to the best choice in hindsight, in points of quality a question.

    Regret = E[max_m (q_m − w·c_m)] − E[q − w·c], with w the ``usd`` weight, as in `waypost.objective.Objective`; at
    weight 0 costs are not looked at.  The maximum is over the models that were measured on a question.

    >>> from waypost.evaluation.baselines import oracle
    >>> from waypost.outcomes import example_table
    >>> table = example_table(100)
    >>> regret(oracle(table), table).value
    0.0
    """
    paid_N, costs_NM = (usd * earned.usd_N, usd * table.usd_NM) if usd else (0.0, 0.0)
    score_NM = table.quality_NM - costs_NM
    best_N = np.where(np.isnan(score_NM), -np.inf, score_NM).max(axis=1)
    return average(np.where(np.isfinite(best_N), best_N, np.nan) - (earned.quality_N - paid_N))
