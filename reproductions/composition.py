"""Composition of Experts: a category's expert, of the experts that fit into memory together.

Claim: Under a memory budget, guessing a prompt's category and giving each category the expert that an integer program
picked does better than the best single model that fits; and sending the prompts of an unsure category to a strong
generalist (the robust form) does better still.

Paper: Jain et al. 2024, arXiv 2412.01868: Arena-Hard 59.4 at 31B mean active parameters, MT-Bench 9.06 at 54B, judged
by a model; no code.

Tested: On RouterDC (7 models of 7-8B, six sets of questions) and on RouterBench's six open models (7B-70B, three
sets), composition at a sweep of budgets, with and without the fallback, on held-out questions; against the best
single model that fits, the program's value against a greedy choice's and against enumeration, kNN among the same
resident models and among all, the oracle and chance. Memory is two bytes a published parameter; a closed model cannot
be loaded, so those are left out. First part: the gain over the best single model that fits half of all the memory
lies above 0.01, one answer in a hundred, with its whole interval, on both tables. Second part: the gain by the
fallback lies above 0 with its whole interval on both. An interval wholly below speaks against, and any other decides
nothing. (Margins were set before the first run; after the first full one the generalist, until then the model that
did best on unsure training prompts, became the paper's, the best overall: when one of the nine sets was not trained
on, the fallback had gained on one and lost on two; now it gains on none and loses on one.) Also measured: the
fallback on each set of questions when the other sets alone are trained on, and how many requests find their expert
loaded when held-out prompts come in sessions (a set of questions at a time, five prompts long on average) and memory
holds half of the experts that are in use, by three rules; loading at 2 GB/s is assumed. Means over splits 70 to 30 by
prompt; an interval is of one split, questions resampled.

Not tested: The paper's models, judge and benchmarks, and its embedding router of 7B parameters (ours is linear on a
static encoder).  Both tables have clean categories, the sets of questions; a user's prompts do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from claims import Finding, Options, run
from numpy.typing import NDArray
from routerbench import complete, limited, verdict

from waypost import embedded
from waypost.control.residency import RULES, Memory, replay
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.outcomes import Outcomes, readers
from waypost.routers import KNN, Composition
from waypost.types import Floats, ModelCard, Prediction

GAIN = 0.01
GB_PER_SECOND = 2.0
SESSION = 5.0  # prompts, on average
REQUESTS = 4000
# Billions of parameters as published; the last is assumed to be a Mistral 7B with a larger vocabulary.
PARAMETERS: Mapping[str, float] = {
    "mistralai/Mistral-7B-v0.1": 7.24,
    "meta-math/MetaMath-Mistral-7B": 7.24,
    "HuggingFaceH4/zephyr-7b-beta": 7.24,
    "cognitivecomputations/dolphin-2.6-mistral-7b": 7.24,
    "meta-llama/Meta-Llama-3-8B": 8.03,
    "cognitivecomputations/dolphin-2.9-llama3-8b": 8.03,
    "WizardLM/WizardLM-13B-V1.2": 13.0,
    "meta/code-llama-instruct-34b-chat": 33.7,
    "meta/llama-2-70b-chat": 69.0,
    "mistralai/mistral-7b-chat": 7.24,
    "mistralai/mixtral-8x7b-chat": 46.7,
    "zero-one-ai/Yi-34B-Chat": 34.4,
    "itpossible/Chinese-Mistral-7B-v0.1": 7.5,
}
CARDS = {name: ModelCard(name, parameters=billions) for name, billions in PARAMETERS.items()}
SHIPPED = {"arithmetic": 0.01, "translate": 0.05, "smollm2-135m": 0.27}  # GB, for a run without data
BUDGETS = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)  # shares of the memory of all models; those that hold no model are left out
HALF = 0.5


@dataclass
class Rows:
    """What was measured of one table: per-question numbers of each split by name, and figures by name."""

    questions: dict[str, list[Floats]] = field(default_factory=dict)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, name: str, got_N: Floats) -> None:
        """Add a split's questions."""
        self.questions.setdefault(name, []).append(got_N)

    def note(self, name: str, figure: float) -> None:
        """Add a split's figure."""
        self.figures.setdefault(name, []).append(float(figure))


def measure(options: Options) -> Finding:
    """Every table, every budget."""
    seeds = range(2 if options.quick else 10)
    measured: dict[str, float] = {}
    ci95: dict[str, Sequence[float]] = {}
    for name, table, sizes in tables(options):
        rows = Rows()
        for seed in seeds:
            split(rows, thinned(table, 1500) if options.quick else table, sizes, seed)
        strangers(rows, thinned(table, 1500) if options.quick else table)
        resamples = 200 if options.quick else 1000
        for what, parts in rows.questions.items():
            measured[f"{name}: {what}"] = round(float(np.mean([part.mean() for part in parts])), 4)
            drawn = [resample(part[:, None], resamples=resamples, seed=seed)[:, 0] for seed, part in enumerate(parts)]
            low, high = percentiles(np.concatenate(drawn)[:, None])[0]
            ci95[f"{name}: {what}"] = [round(float(low), 4), round(float(high), 4)]
        for what, found in rows.figures.items():
            measured[f"{name}: {what}"] = round(float(np.mean(found)), 4)
    line = ("best single", "oracle", "chance", "kNN of all")
    baselines = {key: value for key, value in measured.items() if key.partition(": ")[2].startswith(line)}
    measured = {key: value for key, value in measured.items() if key not in baselines}
    holds, note = judgement(measured, ci95, whole=options.folder("routerdc") is not None)
    return Finding(measured, holds, note, baselines, ci95, list(seeds))


def split(rows: Rows, table: Outcomes, sizes: Mapping[str, float], seed: int) -> None:
    """Fit on one part of a table, and ask the other."""
    train, test = table.split(seed=seed)
    quality_NM, all_gb = test.quality_NM, sum(sizes[name] for name in table.models)
    size_M = np.array([sizes[name] for name in table.models])
    plain, robust = Composition(unsure=0.0).fit(train), Composition().fit(train)
    known = KNN().fit(train).predict(test.prompts)
    best_M = np.nanmean(train.quality_NM, axis=0)
    rows.ask("oracle", quality_NM.max(axis=1))
    rows.ask("chance", quality_NM.mean(axis=1))
    rows.ask("kNN of all", got(known, quality_NM))
    expected = robust.router.probabilities(test.prompts).max(axis=1)
    rows.note("sent to the generalist", (expected < robust.threshold).mean())
    for share in BUDGETS:
        budget = share * all_gb
        fits = np.flatnonzero(size_M <= budget)
        if not len(fits):
            continue
        at = f"at {share:.0%} of memory"
        single_N = quality_NM[:, fits[best_M[fits].argmax()]]
        planned, sure = robust.planned(budget, sizes), plain.planned(budget, sizes)
        robust_N, plain_N = (got(one.predict(test.prompts), quality_NM) for one in (planned, sure))
        rows.ask(f"best single {at}", single_N)
        rows.ask(f"composition {at}", robust_N)
        rows.ask(f"gain over best single {at}", robust_N - single_N)
        rows.ask(f"gain by the fallback {at}", robust_N - plain_N)
        kept_M = np.isin(table.models, planned.resident)
        rows.ask(f"oracle of the kept {at}", quality_NM[:, kept_M].max(axis=1))
        beside = known._replace(quality_NM=np.where(kept_M, known.quality_NM, -1.0))
        rows.ask(f"gain over kNN of the kept {at}", robust_N - got(beside, quality_NM))
        value_CM = robust.share_C[:, None] * robust.means_CM
        exact = worth(value_CM, np.flatnonzero(kept_M))
        rows.note(f"program less enumeration {at}", exact - enumerated(value_CM, size_M, budget))
        rows.note(f"program less greedy {at}", exact - worth(value_CM, greedy(value_CM, size_M, budget)))
    cached(rows, robust, test, sizes, seed)


def strangers(rows: Rows, table: Outcomes) -> None:
    """What the fallback does for each set of questions when the training table has none of it."""
    group_N = np.array(table.groups)
    for name in sorted(set(table.groups)) if len(set(table.groups)) > 2 else ():
        rest, test = table.select(group_N != name), table.select(group_N == name)
        robust_N, plain_N = (
            got(router.fit(rest).predict(test.prompts), test.quality_NM)
            for router in (Composition(), Composition(unsure=0.0))
        )
        rows.ask(f"gain by the fallback on {name}, never seen", robust_N - plain_N)


def got(expected: Prediction, quality_NM: Floats) -> Floats:
    """The quality of the model of which most is expected."""
    return np.asarray(quality_NM[np.arange(len(quality_NM)), expected.quality_NM.argmax(axis=1)])


def worth(value_CM: Floats, kept: Sequence[int] | NDArray[np.intp]) -> float:
    """What the program counts: each category's best kept model."""
    return float(value_CM[:, kept].max(axis=1).sum())


def enumerated(value_CM: Floats, size_M: Floats, budget: float) -> float:
    """The best of all subsets."""
    m = len(size_M)
    subsets = (list(chosen) for n in range(1, m + 1) for chosen in combinations(range(m), n))
    return max(worth(value_CM, chosen) for chosen in subsets if size_M[chosen].sum() <= budget)


def greedy(value_CM: Floats, size_M: Floats, budget: float) -> list[int]:
    """One model after the other, each the one that adds most a GB among those that still fit."""
    kept: list[int] = []
    while True:
        before = worth(value_CM, kept) if kept else 0.0
        fits = [m for m in range(len(size_M)) if m not in kept and size_M[[*kept, m]].sum() <= budget]
        if not fits:
            return kept
        kept.append(max(fits, key=lambda m: (worth(value_CM, [*kept, m]) - before) / size_M[m]))


def cached(rows: Rows, router: Composition, test: Outcomes, sizes: Mapping[str, float], seed: int) -> None:
    """Requests in sessions, with memory for half of the experts that they use."""
    chosen = router.predict(test.prompts).quality_NM.argmax(axis=1)
    order = sessions(np.array(test.groups), np.random.default_rng(seed))
    trace = [test.models[chosen[n]] for n in order]
    used = sorted(set(trace))
    room = max(sum(sizes[name] for name in used) / 2, *(sizes[name] for name in used))
    memory = Memory.of(sizes, room=room, gb_per_second=GB_PER_SECOND)
    rows.note("experts in use", len(used))
    for rule in RULES:
        found = replay(trace, memory, rule)
        rows.note(f"{rule}: share that finds its expert loaded", found.hit_rate)
        rows.note(f"{rule}: seconds a request waits for loading", found.seconds / len(trace))


def sessions(group_N: NDArray[np.str_], rng: np.random.Generator) -> list[int]:
    """Rows in sessions: a set of questions by its share of the rows, then a run of its rows."""
    order: list[int] = []
    while len(order) < REQUESTS:
        rows = np.flatnonzero(group_N == rng.choice(group_N))
        order += rng.choice(rows, rng.geometric(1 / SESSION)).tolist()
    return order[:REQUESTS]


def side(low: float, high: float, least: float) -> bool | None:
    """Whether an interval lies above a number (True), below it (False), or on both sides of it."""
    return True if low > least else False if high < least else None


def judgement(
    measured: Mapping[str, float], ci95: Mapping[str, Sequence[float]], whole: bool
) -> tuple[bool | None, str]:
    """Whether both parts of the claim hold, and one sentence."""
    at = f"at {HALF:.0%} of memory"
    names = sorted({key.partition(": ")[0] for key in measured})
    gains = {name: side(*ci95[f"{name}: gain over best single {at}"], GAIN) for name in names}
    robust = {name: side(*ci95[f"{name}: gain by the fallback {at}"], 0.0) for name in names}

    def told(what: str) -> str:
        keys = [f"{name}: {what}" for name in names]
        return "; ".join(f"{key.partition(': ')[0]} {measured[key]:+.3f} ({_span(ci95[key])})" for key in keys)

    greedy_gap = max(value for key, value in measured.items() if "less greedy" in key)
    off = max(abs(value) for key, value in measured.items() if "less enumeration" in key)
    note = (
        f"With half of the memory, over the best single model that fits: {told(f'gain over best single {at}')}; by the "
        f"fallback: {told(f'gain by the fallback {at}')}.  The program is the best of all subsets (off by {off:.1g}), "
        f"and worth up to {greedy_gap:.3f} more than the greedy choice."
    )
    if not whole:
        return None, f"Its tables are needed to test it; on the shipped one: {note}"
    return verdict([*gains.values(), *robust.values()]), note


def _span(bounds: Sequence[float]) -> str:
    return " to ".join(f"{bound:+.3f}" for bound in bounds)


def tables(options: Options) -> Iterator[tuple[str, Outcomes, Mapping[str, float]]]:
    """The tables with the GB of each model."""
    sizes = Composition.sizes_of(CARDS)
    found = False
    for name, pattern in (("routerdc", "*.json"), ("routerbench", "*.csv")):
        if (folder := options.folder(name)) is not None:
            table = Outcomes.concat(readers.read(name, sorted(folder.glob(pattern))))
            opened = table.only([model for model in table.models if model in sizes])
            yield name, opened.select(~np.isnan(opened.quality_NM).any(axis=1)), sizes
            found = True
    if not found:
        shipped = Path(embedded.__file__).with_name("outcomes.parquet")
        yield "shipped", complete(readers.read("waypost", [shipped])[0]), SHIPPED


def thinned(table: Outcomes, most: int) -> Outcomes:
    """About so many of its rows, from all over."""
    return table.select(np.arange(0, len(table), max(1, round(len(table) / most))))


if __name__ == "__main__":
    run(__doc__, limited(measure), system="Composition of Experts", routers=("composition",))
