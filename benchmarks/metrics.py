"""What do the field's measures say by our definitions, and what would each project's public code say?

The public formulas are written here from what that code was read to do, so that both stand on the same choices:

    python benchmarks/metrics.py                  # on the shipped table
    python benchmarks/metrics.py --data FOLDER    # on RouterBench's CSV files
    python benchmarks/metrics.py --show           # the last rows on RouterBench as the documentation's table
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import softmax
from threadpoolctl import threadpool_limits

import rows
from waypost import embedded
from waypost.evaluation import Earned, baselines, measures, play
from waypost.evaluation.sweep import sweep
from waypost.objective import Objective
from waypost.outcomes import Outcomes, readers
from waypost.routers import Router, make
from waypost.types import Floats, ModelCard

ROUTERS = ("knn", "ridge", "domain")
AIQ = "public: from its own cheapest point on, but divided by the largest cost, so what lies left of it counts as 0"
NO_CODE = "no public code for it was found"
CARROT = "public: one missing cell makes the mean unknown; a declined answer is taken, where ours asks the next model"
SKIPS = "public (one version): leaves out first what the router got wrong"


@dataclass(frozen=True)
class Case:
    """One router on one test table, and what it is compared with."""

    router: Router
    train: Outcomes
    test: Outcomes
    usd: float
    curves: Mapping[str, measures.Curve]
    name: str

    @cached_property
    def earned(self) -> Earned:
        """What it earns where a USD is worth ``usd`` points."""
        return play(self.router, self.test, Objective(usd=self.usd))

    @property
    def curve(self) -> measures.Curve:
        """What it earns at every weight."""
        return self.curves[self.name]

    @cached_property
    def best(self) -> Earned:
        """The best single model, in hindsight."""
        return baselines.single(self.test, baselines.best_single(self.test))

    @cached_property
    def pair(self) -> tuple[Floats, Floats, Floats]:
        """Score, weak quality and strong quality of each question: the cheapest model and the best in training."""
        weak, strong = baselines.cheapest(self.train), baselines.best_single(self.train)
        predicted = self.router.predict(self.test.prompts)
        score_N = np.subtract(*(predicted.quality_NM[:, predicted.models.index(name)] for name in (strong, weak)))
        return score_N, *(self.test.quality_NM[:, self.test.models.index(name)] for name in (weak, strong))

    def choices(self, prompts: list[str]) -> list[str]:
        """The model chosen for each prompt."""
        predicted = self.router.predict(prompts)
        cards = {name: ModelCard(name) for name in predicted.models}
        return [predicted.models[m] for m in Objective(usd=self.usd).choose_many(predicted, cards)]


def aiq(case: Case) -> tuple[float, float]:
    return _aiq(case, measures.hull(case.curve.usd_P, case.curve.quality_P))


def zero_aiq(case: Case) -> tuple[float, float]:
    return _aiq(case, measures.zero_router(case.test)[:2])


def _aiq(case: Case, hull: tuple[Floats, Floats]) -> tuple[float, float]:
    hulls = [measures.hull(curve.usd_P, curve.quality_P) for curve in case.curves.values()]
    compared = [*(usd_H for usd_H, _ in hulls), measures.zero_router(case.test).usd_H]
    usd_H, quality_H = hull
    most = max(usd_H[-1] for usd_H in compared)
    public = np.trapezoid(np.append(quality_H, quality_H[-1]), np.append(usd_H, most)) / most
    return measures.aiq(*hull, *measures.common_range(compared)), public


def apgr(case: Case) -> tuple[float, float]:
    found = measures.thresholds(*case.pair)
    share_P, quality_P = _deciles(*case.pair)
    public = np.trapezoid(measures.pgr(quality_P, found.weak, found.strong), share_P) / (share_P[-1] - share_P[0])
    return measures.apgr(found.share_P, found.quality_P), public


def cpt(target: float) -> Callable[[Case], tuple[float, float]]:
    def both(case: Case) -> tuple[float, float]:
        found = measures.thresholds(*case.pair)
        share_P, quality_P = _deciles(*case.pair)
        bar = found.weak + target * (found.strong - found.weak)
        return measures.cpt(target, found.share_P, found.quality_P), float(np.interp(bar, quality_P, share_P))

    return both


def _deciles(score_N: Floats, weak_N: Floats, strong_N: Floats) -> tuple[Floats, Floats]:
    """RouteLLM's ten thresholds, least share first; the last lets nothing through."""
    known_N = ~np.isnan(weak_N + strong_N)
    score_N, weak_N, strong_N = score_N[known_N], weak_N[known_N], strong_N[known_N]
    edges = np.unique(np.quantile(score_N, np.linspace(0, 1, 11)))[::-1]
    sent_PN = np.array([score_N > edge if edge == edges[0] else score_N >= edge for edge in edges])
    return sent_PN.mean(axis=1), np.where(sent_PN, strong_N, weak_N).mean(axis=1)


def carrot_quality(case: Case) -> tuple[float, float]:
    return tuple(pair[1] for pair in _carrot(case))


def carrot_usd(case: Case) -> tuple[float, float]:
    return tuple(1000 * pair[0] for pair in _carrot(case))


def _carrot(case: Case) -> Iterator[tuple[float, float]]:
    mu = case.usd / (1 + case.usd)
    usd_L, quality_L = measures.cost_score(case.curve, np.array([mu]))
    yield float(usd_L[0]), float(quality_L[0])
    predicted = case.router.predict(case.test.prompts)
    column_N = ((1 - mu) * predicted.quality_NM - mu * predicted.usd_NM).argmax(axis=1)
    earned = baselines.chosen(case.test.only(predicted.models), column_N)
    yield float(earned.usd_N.mean()), float(earned.quality_N.mean())


def arena(case: Case) -> tuple[float, float]:
    ours = measures.arena_score(case.earned.quality, case.earned.usd)
    cost = np.nansum(case.earned.usd_N) / len(case.test) * 1000
    cheap = np.log2(200 / np.clip(cost, 0.0044, 200)) / np.log2(200 / 0.0044)
    quality = case.earned.quality
    return ours, 1.1 * quality * cheap / (0.1 * quality + cheap)


def optimality(part: str) -> Callable[[Case], tuple[float, float]]:
    def both(case: Case) -> tuple[float, float]:
        right_N = np.nan_to_num(case.earned.quality_N) >= 1
        found = measures.optimality(case.earned, case.test)
        skipping = measures.optimality(case.earned.select(right_N), case.test.select(right_N))
        return getattr(found, part), getattr(skipping, part)

    return both


def robustness(case: Case) -> tuple[float, float]:
    """Every tenth character is left out."""
    before = case.choices(list(case.test.prompts))
    after = case.choices(["".join(c for i, c in enumerate(p) if i % 10 != 9) or p for p in case.test.prompts])
    flips = sum(one != other for one, other in zip(before, after, strict=True))
    return measures.robustness(before, after).value, 1 - flips / len(before)


def v_b(case: Case) -> tuple[float, float]:
    return measures.v_b(case.earned, case.test).value, case.earned.quality / case.best.quality


def e_p(case: Case) -> tuple[float, float]:
    """The fork fidd1er5381/RouterEval has the public code: entropy of the softmax of each question's predictions."""
    quality_NM = case.router.predict(case.test.prompts).quality_NM
    p_NM = softmax(quality_NM, axis=1)
    return measures.e_p(case.earned).value, float(-(p_NM * np.log2(p_NM)).sum(axis=1).mean())


def gain_at_b(case: Case) -> tuple[float, float]:
    return measures.gain_at_b(case.earned, case.test).value, _by_set(case, lambda part: part.best.quality)


def gain_at_r(case: Case) -> tuple[float, float]:
    draw = random.Random(42)
    quality_N = [draw.choice([q for q in row if not np.isnan(q)]) for row in case.test.quality_NM]
    return measures.gain_at_r(case.earned, case.test).value, case.earned.quality / np.mean(quality_N) - 1


def gap_at_o(case: Case) -> tuple[float, float]:
    oracle = (np.nan_to_num(case.test.quality_NM) > 0).any(axis=1).mean()
    return measures.gap_at_o(case.earned, case.test).value, 1 - case.earned.quality / oracle


def _by_set(case: Case, reference: Callable[[Case], float]) -> float:
    """Mean quality over the data sets against the same mean of a reference, each set by itself."""
    groups = np.array(case.test.groups)
    masks = [groups == group for group in dict.fromkeys(case.test.groups)]
    parts = [Case(case.router, case.train, case.test.select(mask), case.usd, {}, case.name) for mask in masks]
    mean = np.mean([case.earned.select(mask).quality for mask in masks])
    return mean / np.mean([reference(part) for part in parts]) - 1


def perf_gain(case: Case) -> tuple[float, None]:
    return measures.perf_gain(case.curve.quality_P, case.best.quality), None


def cost_save(case: Case) -> tuple[float, None]:
    return measures.cost_save(case.curve.usd_P, case.curve.quality_P, case.best.quality, case.best.usd), None


def pareto_dist(case: Case) -> tuple[float, None]:
    front = measures.frontier(*(np.concatenate(each) for each in _points(case)))
    return measures.pareto_dist(case.curve.usd_P, case.curve.quality_P, *front), None


def _points(case: Case) -> Iterator[list[Floats]]:
    yield [curve.usd_P for curve in case.curves.values()]
    yield [curve.quality_P for curve in case.curves.values()]


def regret(case: Case) -> tuple[float, None]:
    return measures.regret(case.earned, case.test, case.usd).value, None


METRICS: Mapping[str, tuple[Callable[[Case], tuple[float, float | None]], str]] = {
    "AIQ": (aiq, AIQ),
    "AIQ of the zero router": (zero_aiq, AIQ),
    "APGR": (apgr, "public: trapezoids between ten thresholds; ours uses all"),
    "CPT(50 %)": (cpt(0.5), "public: ten thresholds, and the inverse of a curve that may fall"),
    "CPT(80 %)": (cpt(0.8), "public: ten thresholds, and the inverse of a curve that may fall"),
    "CARROT score": (carrot_quality, CARROT),
    "CARROT $ / 1,000": (carrot_usd, CARROT),
    "Arena score": (arena, "public: an unknown cost adds zero and its question still counts"),
    "Opt.Sel": (optimality("sel"), SKIPS),
    "Opt.Cost": (optimality("cost"), SKIPS),
    "Opt.Acc": (optimality("acc"), f"{SKIPS}, so always 1"),
    "robustness": (robustness, "the same formula"),
    "V_b": (v_b, "public: means over different questions where cells are missing"),
    "E_p": (
        e_p,
        "public (a fork): mean entropy of the softmax of each question's predictions, near log₂ M for any router",
    ),
    "Gain@R": (gain_at_r, "public: one random draw; ours is the expectation"),
    "Gain@B": (gain_at_b, "public (earlier): against the best model of each data set, which no single model is"),
    "Gap@O": (
        gap_at_o,
        "public: the oracle takes any score above 0 for right, and questions that the router lacks",
    ),
    "PerfGain": (perf_gain, NO_CODE),
    "CostSave": (cost_save, NO_CODE),
    "ParetoDist": (pareto_dist, NO_CODE),
    "regret": (regret, NO_CODE),
}


def main() -> None:
    """Append one row for each router and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of RouterBench's CSV files; without it the shipped table")
    parser.add_argument("--usd", type=float, default=30.0, help="quality points per USD, for measures of one choice")
    parser.add_argument("--seed", type=int, default=0, help="of the split, 70 to 30 by prompt")
    parser.add_argument("--show", metavar="ROUTER", nargs="?", const="ridge", help="measure nothing, show a router")
    asked = parser.parse_args()
    if asked.show:
        print("\n".join(shown(asked.show)))
        return
    with threadpool_limits(1, "blas"):
        for row in measured(table(asked.data), asked.usd, asked.seed):
            rows.append("metrics", {"table": "routerbench" if asked.data else "embedded", "seed": asked.seed, **row})


def shown(router: str) -> Iterator[str]:
    """The last row of each measure of a router on RouterBench, as lines of Markdown."""
    lines = (rows.ROOT / "benchmarks" / "results" / "metrics.jsonl").read_text().splitlines()
    found = [row for row in map(json.loads, lines) if (row["table"], row["router"]) == ("routerbench", router)]
    yield "| measure | ours | public formula | difference | why |"
    yield "|---|---|---|---|---|"
    for row in {row["metric"]: row for row in found}.values():
        numbers = [_digits(row[name], sign) for name, sign in (("ours", "-"), ("public", "-"), ("difference", "+"))]
        yield f"| {row['metric']} | {' | '.join(numbers)} | {row['why']} |"


def _digits(value: float | None, sign: str) -> str:
    return "–" if value is None else f"{value:{sign}.4f}"


def table(folder: Path | None) -> Outcomes:
    if folder is None:
        return readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")])[0]
    return Outcomes.concat(readers.read("routerbench", sorted(folder.glob("*.csv")), print))


def measured(whole: Outcomes, usd: float, seed: int) -> Iterator[dict[str, object]]:
    """Every measure of every router, by our definition and by the public formula."""
    train, test = whole.split(seed=seed)
    routers = {name: make(name).fit(train) for name in ROUTERS}
    curves = {name: sweep(router.predict(test.prompts), test, name=name) for name, router in routers.items()}
    for name, router in routers.items():
        case = Case(router, train, test, usd, curves, name)
        for metric, (both, why) in METRICS.items():
            ours, public = both(case)
            same = public is not None and abs(ours - public) < 1e-9
            yield {
                "router": name,
                "metric": metric,
                "usd": usd,
                "n": case.earned.n,
                "missing": case.earned.missing,
                "ours": _finite(ours),
                "public": _finite(public),
                "difference": None if public is None else _finite(ours - public),
                "why": f"no difference here; {why}" if same and "same formula" not in why else why,
            }


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6) + 0.0


if __name__ == "__main__":
    main()
