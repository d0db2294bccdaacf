"""RouterEval's measures.  Shape suffixes: N questions, M models.

Source: Huang et al., RouterEval (arXiv 2503.10657).  Its μ, the mean quality, is `Earned.quality`.
"""

from __future__ import annotations

import numpy as np

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.evaluation.measures.counted import Counted, average, ratio
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes


def v_b(earned: Earned, table: Outcomes) -> Counted:
    """Mean quality as a multiple of the best single model's, on the questions that both have.

    V_B = μ / μ(best single); above 1 routing pays.  RouterEval takes the best single model in hindsight, as here.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> v_b(baselines.single(table, baselines.best_single(table)), table).value
    1.0
    """
    return ratio(earned.quality_N, baselines.single(table, baselines.best_single(table)).quality_N)


def v_r(earned: Earned, reference: float) -> Counted:
    """Mean quality as a multiple of a reference that is no part of the pool, such as a model that all know.

    V_R = μ / reference.  RouterEval's code has one constant a data set (MMLU 0.864, GSM8K 0.92, ARC 0.852).

    Raises:
        BadInput: a reference that is not above zero.

    >>> earned = Earned(("a",), np.array([1.0, 0.0]), np.zeros(2), np.zeros(2), np.ones((2, 1)))
    >>> v_r(earned, reference=0.8)
    Counted(value=0.625, n=2, missing=0)
    """
    if not reference > 0:
        raise BadInput(f"a reference quality must be above zero, got {reference:g}")
    mean = average(earned.quality_N)
    return mean._replace(value=mean.value / reference)


def e_p(earned: Earned) -> Counted:
    """Classification bias: how evenly questions are spread over the models, in bits; 0 when one model gets all.

    E_p = −Σ_m p_m·log2 p_m, with p_m the share of all calls that model m gets; at most log2 M.

    RouterEval's code for kNN, as a public fork keeps it, differs: it takes the softmax over the models of the expected
    qualities and averages its entropy question by question.  Qualities lie within 0..1, so a softmax of them is nearly
    even: that number is close to log2 M whatever the router does, and says little about where the questions go.

    >>> e_p(Earned(("a", "b"), np.ones(2), np.zeros(2), np.zeros(2), np.eye(2)))
    Counted(value=1.0, n=2, missing=0)
    """
    measured_N = ~np.isnan(earned.quality_N)
    calls_M = earned.calls_NM[measured_N].sum(axis=0)
    n = int(measured_N.sum())
    p_M = calls_M[calls_M > 0] / calls_M.sum() if n else np.array([np.nan])
    # The sum of nothing but certainty is a negative zero.
    return Counted(abs(float((p_M * np.log2(p_M)).sum())), n, len(measured_N) - n)


def r_o(table: Outcomes, p: float) -> Earned:
    """The baseline router that knows the best model with probability p and else takes any: exact expectations.

    r_o(1) is the oracle, r_o(0) chance; in between, what drawing it many times would average.

    Raises:
        BadInput: p outside 0..1.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> r_o(table, 1.0).quality == baselines.oracle(table).quality
    True
    """
    if not 0 <= p <= 1:
        raise BadInput(f"p is the probability of the best model, 0..1, got {p:g}")
    best, any_ = baselines.oracle(table), baselines.chance(table)
    return Earned(
        table.models,
        p * best.quality_N + (1 - p) * any_.quality_N,
        p * best.usd_N + (1 - p) * any_.usd_N,
        p * best.seconds_N + (1 - p) * any_.seconds_N,
        p * best.calls_NM + (1 - p) * any_.calls_NM,
    )
