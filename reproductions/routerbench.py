"""RouterBench: curves of simple routers, and a cascade against the error of its judge.

Claim: Routers that predict from the prompt (kNN, MLP) do about as well as the zero router, which tosses a coin between
models; a cascade does far better while its judge errs in at most one answer in ten, and worse past one in five.

Paper: Hu et al. 2024, arXiv 2403.12031; shown in figures of 11 models on 8 data sets, without intervals.

Tested: On RouterBench's rows of ARC-Challenge, MBPP and Winogrande (11 models), each data set by itself and all
together: AIQ of knn and ridge less that of the zero router, over a common range of costs; and the same for the cascade,
models by ascending price, whose judge knows whether an answer is right and says the contrary with probability 0 to 0.8.
Each number is the mean over splits 70 to 30 by prompt; its interval is of one split, questions resampled, and
turned round (2·found − resampled), since a hull is a maximum and luck in the resamples only adds to it.

Not tested: The MLP and SVM routers, MMLU, HellaSwag, GSM8K and MT-Bench, and the paper's sentence encoder (ours is
static).  Questions on which some model was not measured are left out, as the paper's cascade does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from claims import Finding, Options, run
from threadpoolctl import threadpool_limits

from waypost import embedded
from waypost.evaluation import measures, play
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.evaluation.sweep import sweep
from waypost.objective import Objective
from waypost.outcomes import Outcomes, readers
from waypost.routers import make
from waypost.types import Floats, Prediction

ROUTERS = ("knn", "ridge")
ERRORS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
POINTS = 40
BUDGETS = 20
GOOD, BAD = (0.0, 0.01, 0.05, 0.1), (0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Points:
    """What one way of choosing pays and earns on each question, at each of its settings: two (N, P) arrays."""

    usd_NP: Floats
    quality_NP: Floats


@dataclass(frozen=True)
class Known:
    """A router that has made its predictions."""

    prediction: Prediction
    places: Mapping[str, int]

    @property
    def models(self) -> tuple[str, ...]:
        """What it predicts for."""
        return self.prediction.models

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Look them up."""
        rows = [self.places[prompt] for prompt in prompts]
        return Prediction(self.models, *(array[rows] for array in self.prediction[1:]))


def routed(name: str, train: Outcomes, test: Outcomes) -> Points:
    """A router at weights of money from none to where nothing changes any more."""
    prediction = make(name).fit(train).predict(test.prompts)
    known = Known(prediction, {prompt: n for n, prompt in enumerate(test.prompts)})
    weight_P = sweep(prediction, test, name=name, points=POINTS).weight_P
    earned = [play(known, test, Objective(usd=weight)) for weight in weight_P]
    return Points(*(np.column_stack([getattr(one, part) for one in earned]) for part in ("usd_N", "quality_N")))


def cascade(train: Outcomes, test: Outcomes, error: float) -> Points:
    """The exact expectation over the judge's errors, at budgets a question from one call to all of them.

    The first model is always asked; another only while its cost is below what is left of the budget.
    """
    means = train.means()
    order_M = sorted(range(len(test.models)), key=lambda m: means[test.models[m]][1])
    quality_NM, usd_NM = test.quality_NM[:, order_M], test.usd_NM[:, order_M]
    right_NM = quality_NM >= np.quantile(train.quality_NM[~np.isnan(train.quality_NM)], 0.95)
    stops_NM = np.where(right_NM, 1 - error, error)
    spent_NM = usd_NM.cumsum(axis=1)
    dearest = float(spent_NM[:, -1].max())
    budgets = np.append(np.geomspace(usd_NM[:, 0].mean(), dearest, BUDGETS - 1), 2 * dearest)
    columns = [_spend(quality_NM, usd_NM, stops_NM, budget) for budget in budgets]
    return Points(*(np.column_stack(part) for part in zip(*columns, strict=True)))


def _spend(quality_NM: Floats, usd_NM: Floats, stops_NM: Floats, budget: float) -> tuple[Floats, Floats]:
    """Expected USD and quality of each question within a budget."""
    before_NM = usd_NM.cumsum(axis=1) - usd_NM
    affordable_NM = usd_NM < budget - before_NM
    affordable_NM[:, 0] = True
    asked_NM = np.logical_and.accumulate(affordable_NM, axis=1)
    last_NM = asked_NM & ~np.pad(asked_NM[:, 1:], ((0, 0), (0, 1)))
    stops_NM = np.where(last_NM, 1.0, stops_NM)  # the last one's answer is given whatever the judge says
    passed_NM = np.cumprod(1 - stops_NM, axis=1)
    reached_NM = asked_NM * np.pad(passed_NM[:, :-1], ((0, 0), (1, 0)), constant_values=1.0)
    return (reached_NM * usd_NM).sum(axis=1), (reached_NM * stops_NM * quality_NM).sum(axis=1)


def differences(ways: Mapping[str, Points], singles: Points, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """AIQ of each way less the zero router's, and the zero router's own last: of all questions, and of resamples."""
    every = [*ways.values(), singles]
    columns_NK = np.column_stack([part for one in every for part in (one.usd_NP, one.quality_NP)])
    edges = np.cumsum([part.shape[1] for one in every for part in (one.usd_NP, one.quality_NP)])[:-1]

    def aiqs(means_K: Floats) -> Floats:
        usd_and_quality = np.split(means_K, edges)
        hulls = [measures.hull(*pair) for pair in zip(usd_and_quality[::2], usd_and_quality[1::2], strict=True)]
        low = max(usd_H[0] for usd_H, _ in hulls)
        high = hulls[-1][0][-1]  # the best single model's cost: a cascade may spend more, and gets no room for it
        found = np.array([measures.aiq(*hull, low, high) for hull in hulls])
        return np.append(found[:-1] - found[-1], found[-1])

    means_BK = resample(columns_NK, resamples=resamples, seed=seed)
    return aiqs(columns_NK.mean(axis=0)), np.array([aiqs(means_K) for means_K in means_BK])


def one_split(whole: Outcomes, seed: int, resamples: int, judged: bool) -> tuple[list[str], Floats, Floats]:
    """The names of the ways, their differences, and those of the resamples."""
    train, test = whole.split(seed=seed)
    ways: dict[str, Points] = {name: routed(name, train, test) for name in ROUTERS}
    if judged:
        ways |= {_judge(error): cascade(train, test, error) for error in ERRORS}
    found, resampled = differences(ways, Points(test.usd_NM, test.quality_NM), resamples, seed)
    return [*ways, "zero router"], found, resampled


def measure(options: Options) -> Finding:
    """Every data set by itself, then all together."""
    seeds = range(2 if options.quick else 10)
    resamples = 200 if options.quick else 1000
    values: dict[str, float] = {}
    bounds: dict[str, list[float]] = {}
    for name, table in tables(options.folder("routerbench")):
        splits = [one_split(table, seed, resamples, judged=name == "all") for seed in seeds]
        mean_K = np.mean([found for _, found, _ in splits], axis=0)
        low_high_K2 = percentiles(np.vstack([2 * found - resampled for _, found, resampled in splits]))
        for way, mean, low_high in zip(splits[0][0], mean_K, low_high_K2, strict=True):
            values[f"{name}: {way}"] = round(float(mean), 4)
            bounds[f"{name}: {way}"] = [round(float(bound), 4) for bound in low_high]
    zero = [name for name in values if name.endswith("zero router")]
    return Finding(
        measured={name: value for name, value in values.items() if name not in zero},
        baselines={name: values[name] for name in zero},
        ci95=bounds,
        seeds=list(seeds),
        **judgement(values, bounds),
    )


def judgement(values: Mapping[str, float], bounds: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Whether each part of the claim holds, and one sentence."""
    alone = [name for name in values if not name.startswith("all:") and name.endswith(ROUTERS)]
    match = [name for name in alone if bounds[name][0] <= 0 <= bounds[name][1]]
    best = max(bounds[f"all: {name}"][1] for name in ROUTERS)
    wins = all(bounds[f"all: {_judge(error)}"][0] > max(0, best) for error in GOOD)
    falls = all(bounds[f"all: {_judge(error)}"][1] < 0 for error in BAD)
    routers = " and ".join(f"{name} {values[f'all: {name}']:+.3f}" for name in ROUTERS)
    judges = ", ".join(f"{values[f'all: {_judge(error)}']:+.3f} at {error:g}" for error in (0.0, 0.1, 0.2, 0.4))
    if not alone:
        found = "Its rows are needed to test it; on the shipped table, in AIQ over the zero router"
        return {"holds": None, "note": f"{found}, {routers}, and the cascade by its judge's error {judges}."}
    return {
        "holds": len(match) == len(alone) and wins and falls,
        "note": f"In AIQ over the zero router: within one data set {len(match)} of {len(alone)} predicting routers "
        f"cannot be told from it, and over all together they gain by telling the sets apart ({routers}); the cascade "
        f"by its judge's error {judges}.",
    }


def _judge(error: float) -> str:
    return f"cascade, judge errs in {error:.0%}"


def tables(folder: Path | None) -> Iterator[tuple[str, Outcomes]]:
    """Each data set, then all of them, without the questions that some model was not asked; or the shipped table."""
    if folder is None:
        shipped = Path(embedded.__file__).with_name("outcomes.parquet")
        yield "all", complete(readers.read("waypost", [shipped])[0])
        return
    files = sorted(folder.glob("*.csv"))
    parts = [complete(part) for part in readers.read("routerbench", files)]
    yield from ((file.stem.removesuffix("_train"), part) for file, part in zip(files, parts, strict=True))
    yield "all", Outcomes.concat(parts)


def complete(table: Outcomes) -> Outcomes:
    """The questions of which every model's quality and cost is known."""
    return table.select(~np.isnan(table.quality_NM + table.usd_NM).any(axis=1))


def limited(measured: Callable[[Options], Finding]) -> Callable[[Options], Finding]:
    """On one thread: products this small gain nothing from more."""

    def on_one(options: Options) -> Finding:
        with threadpool_limits(1, "blas"):
            return measured(options)

    return on_one


if __name__ == "__main__":
    run(__doc__, limited(measure), system="RouterBench")
