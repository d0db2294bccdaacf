"""CARROT: how fast its plug-in router gets near the best choice, and what predicting costs brings on RouterBench.

Claim: Choosing by plugged-in estimates of quality and cost comes near the best choice at the minimax rate, and on
RouterBench it is only marginally better than a router that is not aware of how costs depend on the prompt.

Paper: Somerstep et al. 2025, arXiv 2502.03261: a theorem on the rate; figures of RouterBench, without intervals.

Tested: The kNN form, carrot_knn. First, on a law of two models whose best choice is known, the slope of log excess risk
on log n, from 256 to 4096 rows, against the rate of the theory, in 1, 2 and 3 dimensions, with margins of order 1/2 and
1 (the script derives the rate), of 24 seeds; k is chosen as always. The rate is an upper bound, so it is kept where the
interval of the slope (seeds resampled) ends below the theory's slope + 0.05, and broken where it begins above that.
Second, on RouterBench's rows of ARC-Challenge, MBPP and Winogrande (11 models), each by itself and all together, 10
splits: AIQ of carrot_knn less that of the same expected qualities with each model's mean cost. Marginal means that the
whole interval lies within 0.02, two answers in a hundred; wholly outside speaks against the claim. Both margins were
set before the first run. The claim holds where all parts say so, and does not where one speaks against it.

Not tested: That no router could be faster (the lower bound); SPROUT, whose rows are not at hand; the form with an
encoder that is trained; the paper's vectors (ours are static), and RouterBench's other data sets.  Questions on which
some model was not measured are left out.

The rate.  Let each model's quality and cost be Hölder continuous of order beta = 1 in d dimensions.  The mean of k of n
neighbours has a bias of the order of their distance, (k/n)^(1/d), and a deviation of k^(-1/2).  They balance at k of
order n^(2/(2+d)), where both are delta = n^(-1/(2+d)).  A choice by estimates is wrong only where the best two models
lie within 2 delta of each other, and costs no more than that gap there.  If the gap is positive and at most t with
probability C t^alpha (the margin condition of order alpha), the excess risk is at most of the order of
delta * delta^alpha = n^(-(1+alpha)/(2+d)): Audibert & Tsybakov's (2007) rate of plug-in classifiers.  Without a margin
(alpha = 0) it is n^(-1/(2+d)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from claims import Finding, Options, run
from numpy.typing import NDArray
from routerbench import MARGIN, ZERO, Points, differences, limited, played, routed, side, tables, verdict

from waypost.evaluation.bootstrap import percentiles
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import CarrotKNN, make
from waypost.types import Floats, ModelCard, Prediction

MODELS = ("one", "other")
SIZES = (256, 512, 1024, 2048, 4096)
DIMENSIONS = (1, 2, 3)
MARGINS = (0.5, 1.0)
SLACK = 0.05
FRESH = 4000
CARROTS = ("carrot_knn",)  # what is compared with itself at mean costs
BESIDE = ("knn",)
UNAWARE = "at mean costs"


@dataclass(frozen=True)
class Cube:
    """Points of a cube as unit vectors, so that a router of prompts can be tried on them; a text holds coordinates.

    A small piece of a sphere is nearly flat: who is near by cosine is near in the cube.
    """

    dim: int
    name: str = "cube"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, dim)."""
        points_ND = np.array([[float(word) for word in text.split()] for text in texts]).reshape(len(texts), -1)
        flat_ND = 0.5 * (points_ND - 0.5)
        up_N = np.sqrt(1 - np.square(flat_ND).sum(axis=1))
        return np.column_stack([flat_ND, up_N]).astype(np.float32)


def wave(points_ND: Floats, shift: float) -> Floats:
    """Tents side by side along every dimension, averaged: from -1 to 1, of slope 8 at most, with kinks."""
    steps_ND = (2 * points_ND + shift) % 1
    return np.asarray((4 * np.abs(steps_ND - 0.5) - 1).mean(axis=1))


def law(points_ND: Floats, margin: float) -> tuple[Floats, Floats]:
    """Quality and cost of both models, (N, 2) each: the first model's lead, both weighed, is a wave to 1 / margin.

    So near the border the lead is at most t with a probability of the order of t^margin.  Quality and cost each
    depend on the prompt in another way, and neither tells by itself which model is the better choice.
    """
    height_N = wave(points_ND, 0.1)
    lead_N = 0.5 * np.sign(height_N) * np.abs(height_N) ** (1 / margin)
    extra_N = 0.4 * wave(points_ND, 0.37)
    sides_2 = np.array([1, -1]) / 2
    return 0.5 + (lead_N + extra_N)[:, None] * sides_2, 0.5 + extra_N[:, None] * sides_2


def laws(quick: bool) -> int:
    """How many seeds a slope is the mean of."""
    return 4 if quick else 24


def splits(quick: bool) -> int:
    """How many seeds, each a split of a table, an AIQ is the mean of."""
    return 2 if quick else 10


def excess(n: int, dimensions: int, margin: float, seed: int) -> float:
    """What is lost to the best choice, on fresh prompts, by a router fitted on n rows."""
    rng = np.random.default_rng([seed, n, dimensions, int(10 * margin)])
    points_ND, fresh_ND = rng.random((n, dimensions)), rng.random((FRESH, dimensions))
    quality_NM, usd_NM = law(points_ND, margin)
    right_NM = (rng.random(quality_NM.shape) < quality_NM).astype(float)
    paid_NM = usd_NM + rng.uniform(-0.2, 0.2, usd_NM.shape)
    ids = tuple(map(str, range(n)))
    table = Outcomes(ids, _texts(points_ND), ("",) * n, MODELS, right_NM, paid_NM)
    found = CarrotKNN(encoder=Cube(dimensions + 1)).fit(table).predict(_texts(fresh_ND))
    quality_NM, usd_NM = law(fresh_ND, margin)
    chosen_N = Objective(usd=1.0).choose_many(found, {name: ModelCard(name) for name in MODELS})
    worth_NM = quality_NM - usd_NM
    return float((worth_NM.max(axis=1) - worth_NM[np.arange(FRESH), chosen_N]).mean())


def _texts(points_ND: Floats) -> tuple[str, ...]:
    return tuple(" ".join(map(repr, point)) for point in points_ND.tolist())


def rate(dimensions: int, margin: float) -> float:
    """The theory's slope."""
    return -(1 + margin) / (2 + dimensions)


def slope(excess_SN: Floats, sizes: Sequence[int]) -> float:
    """The slope of log mean excess on log n."""
    return float(np.polyfit(np.log(sizes), np.log(excess_SN.mean(axis=0)), 1)[0])


@dataclass
class Found:
    """What was measured, with intervals, what it is compared with, and what each part says of the claim."""

    values: dict[str, float]
    bounds: dict[str, list[float]]
    baselines: dict[str, float]
    sides: dict[str, bool | None]

    def add(self, name: str, value: float, bounds: Sequence[float], says: bool | None) -> None:
        """One part of the claim."""
        self.values[name] = round(value, 4)
        self.bounds[name] = [round(float(bound), 4) for bound in bounds]
        self.sides[name] = says


def rates(options: Options, found: Found) -> None:
    """The slope of every law."""
    sizes = SIZES[:3] if options.quick else SIZES
    seeds = range(laws(options.quick))
    rng = np.random.default_rng(0)
    for dimensions in DIMENSIONS[: 2 if options.quick else None]:
        for margin in MARGINS:
            excess_SN = np.array([[excess(n, dimensions, margin, seed) for n in sizes] for seed in seeds])
            drawn = rng.integers(len(seeds), size=(2000, len(seeds)))
            low, high = np.percentile([slope(excess_SN[rows], sizes) for rows in drawn], [2.5, 97.5])
            theory = rate(dimensions, margin)
            kept = True if high <= theory + SLACK else False if low > theory + SLACK else None
            name = f"slope, {dimensions} dimensions, margin {margin:g}"
            found.add(name, slope(excess_SN, sizes), (low, high), kept)
            found.baselines[f"{name}: theory"] = round(theory, 4)
            found.baselines[f"{name}: excess at {sizes[-1]}"] = round(float(excess_SN[:, -1].mean()), 5)


def ways(train: Outcomes, test: Outcomes, carrots: Sequence[str], beside: Sequence[str]) -> Mapping[str, Points]:
    """Each CARROT aware of costs and not, other routers, and the oracle."""
    made: dict[str, Points] = {}
    mean_M = train.usd_NM.mean(axis=0)
    for name in carrots:
        aware = make(name).fit(train).predict(test.prompts)
        made[name] = played(aware, test, name)
        unaware = aware._replace(usd_NM=np.tile(mean_M, (len(test), 1)))
        made[f"{name} {UNAWARE}"] = played(unaware, test, name)
    made |= {name: routed(name, train, test) for name in beside}
    knows = Prediction(test.models, test.quality_NM, test.usd_NM, test.usd_NM * 0, test.usd_NM * 0)
    made["oracle"] = played(knows, test, "oracle")
    return made


def curves(options: Options, found: Found, carrots: Sequence[str] = CARROTS, beside: Sequence[str] = BESIDE) -> None:
    """AIQ of each CARROT less that of the same at mean costs; of the others less the zero router's."""
    seeds = range(splits(options.quick))
    for table_name, table in tables(options.folder("routerbench")):
        differ: dict[str, list[Floats]] = {}
        for seed in seeds:
            train, test = table.split(seed=seed)
            made = ways(train, test, carrots, beside)
            singles = Points(test.usd_NM, test.quality_NM)
            over_K, over_BK = differences(made, singles, 200 if options.quick else 1000, seed)
            names = [*made, ZERO]
            for carrot in carrots:
                aware, unaware = names.index(carrot), names.index(f"{carrot} {UNAWARE}")
                gain, gain_B = over_K[aware] - over_K[unaware], over_BK[:, aware] - over_BK[:, unaware]
                differ.setdefault(carrot, []).append(np.append(gain, 2 * gain - gain_B))
            for name, over in zip(names, over_K, strict=True):
                differ.setdefault(f"-{name}", []).append(np.array([over]))
        for name, drawn in differ.items():
            mean = float(np.mean([one[0] for one in drawn]))
            if name.startswith("-"):
                what = "AIQ" if name == f"-{ZERO}" else "AIQ over the zero router"
                found.baselines[f"{table_name}: {name[1:]}, {what}"] = round(mean, 4)
            else:
                low_high = percentiles(np.concatenate([one[1:] for one in drawn])[:, None])[0]
                says = side(-MARGIN, MARGIN, low_high) if options.folder("routerbench") else None
                found.add(f"{table_name}: {name} over itself {UNAWARE}", mean, low_high, says)


def measure(options: Options) -> Finding:
    """Both parts."""
    found = Found({}, {}, {}, {})
    rates(options, found)
    curves(options, found)
    return judged(found, options.quick)


def judged(found: Found, quick: bool) -> Finding:
    """What all parts say together, and one sentence."""
    slopes = {name: says for name, says in found.sides.items() if name.startswith("slope")}
    gains = {name: says for name, says in found.sides.items() if name not in slopes}

    def shown(names: Mapping[str, bool | None]) -> str:
        return ", ".join(
            f"{name} {found.values[name]:+.3f} ({found.bounds[name][0]:+.3f} to {found.bounds[name][1]:+.3f})"
            for name in names
        )

    kept, within = list(slopes.values()), list(gains.values())
    note = (
        f"The rate is kept in {kept.count(True)} of {len(kept)} laws and broken in {kept.count(False)}: "
        f"{shown(slopes)}.  What is gained by predicting costs is marginal in {within.count(True)} of {len(within)} "
        f"tables and not in {within.count(False)}: {shown(gains)}.  Slopes are of {laws(quick)} seeds, AIQ of "
        f"{splits(quick)}."
    )
    seeds = list(range(laws(quick)))
    return Finding(found.values, verdict([*kept, *within]), note, found.baselines, found.bounds, seeds)


if __name__ == "__main__":
    run(__doc__, limited(measure), system="CARROT", routers=CARROTS)
