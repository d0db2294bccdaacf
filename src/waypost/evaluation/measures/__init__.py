"""The field's measures, one file a source, each with one stated definition."""

from waypost.evaluation.measures.carrot import cost_score, excess_risk, regret, risk
from waypost.evaluation.measures.counted import Counted
from waypost.evaluation.measures.curves import Curve, aiq, at, common_range, hull
from waypost.evaluation.measures.llmrouterbench import (
    cost_save,
    frontier,
    gain_at_b,
    gain_at_r,
    gap_at_o,
    pareto_dist,
    perf_gain,
)
from waypost.evaluation.measures.routellm import Thresholds, apgr, cpt, pgr, thresholds
from waypost.evaluation.measures.routerarena import Optimality, arena_score, optimality, robustness
from waypost.evaluation.measures.routereval import e_p, r_o, v_b, v_r
from waypost.evaluation.measures.zero import ZeroRouter, zero_router

__all__ = [
    "Counted",
    "Curve",
    "Optimality",
    "Thresholds",
    "ZeroRouter",
    "aiq",
    "apgr",
    "arena_score",
    "at",
    "common_range",
    "cost_save",
    "cost_score",
    "cpt",
    "e_p",
    "excess_risk",
    "frontier",
    "gain_at_b",
    "gain_at_r",
    "gap_at_o",
    "hull",
    "optimality",
    "pareto_dist",
    "perf_gain",
    "pgr",
    "r_o",
    "regret",
    "risk",
    "robustness",
    "thresholds",
    "v_b",
    "v_r",
    "zero_router",
]
