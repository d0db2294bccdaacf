"""What of a question's own knowledge is real?  The hierarchical router, its parts, and the others, on unseen questions.

Three ways to keep questions apart: ``folds`` (five, near duplicates together), ``groups`` (whole groups of the table
are left out, at most eight lots, as a stand-in for prompts of a new kind) and ``splits`` (70 to 30, for AIQ).  Files
weigh the same.  ``free`` is the quality of the model that is expected to be best; ``priced`` the mean of quality less
price at sixty prices of the models, drawn once, since many more decisions are near under prices than without.
``missed`` is the squared error of the expected quality, ``apart`` that of the differences between models.  A gain over
another router is of the same questions, its interval from resampling them file by file.

    python benchmarks/hierarchical.py --data FOLDER          # appends to results/hierarchical.jsonl: half an hour
    python benchmarks/hierarchical.py --quick                # the shipped table: a minute; only prints
    python benchmarks/hierarchical.py --show                 # the documentation's tables
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import rows
from waypost import embedded
from waypost.encoders import StaticEncoder
from waypost.evaluation import measures
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.evaluation.sweep import sweep
from waypost.outcomes import Outcomes, readers
from waypost.outcomes.leaks import clusters
from waypost.outcomes.readers import Intake
from waypost.routers import make
from waypost.routers.parts.folded import folds_of
from waypost.types import Floats

Settings = Mapping[str, Any]
OTHERS = ("best_single", "domain", "knn", "ridge")
OURS = "hierarchical"
# The defaults with one thing changed.
PARTS: Mapping[str, Settings] = {
    "evidence 0": {"evidence": 0.0},
    "evidence 4": {"evidence": 4.0},
    "cell 0": {"cell": 0},
    "far 0": {"far": 0.0},
}
PRICES = 60
MEASURES = ("free", "priced", "missed", "apart")


class Table(NamedTuple):
    """A table with the file of each row."""

    name: str
    outcomes: Outcomes
    file_N: NDArray[np.intp]


class Remembering(StaticEncoder):
    """The default encoder, which encodes each text once: the fits of one run share most of theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Any] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Looked up, or encoded."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known.update(zip(fresh, super().encode(fresh), strict=True))
        return np.array([self.known[text] for text in texts], dtype=np.float32).reshape(len(texts), self.dim)


def tables(data: Path | None, names: Sequence[str]) -> Iterator[Table]:
    """The public tables in a folder, or the shipped one."""
    if data is None:
        yield _joined("shipped", readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")]))
        return
    found = {
        "routerdc": lambda: readers.read("routerdc", sorted((data / "routerdc").glob("*train.json"))),
        "routerbench": lambda: readers.read("routerbench", sorted((data / "routerbench").glob("*.csv"))),
        "llmrouter": lambda: readers.read("llmrouter", [data / "llmrouter" / "train.json"]),
        "routerarena": lambda: [_one("routerarena", sorted((data / "routerarena").glob("*.jsonl")))],
        "routellm": lambda: [Outcomes.concat(readers.read("routellm", sorted((data / "routellm_mmlu").glob("*.csv"))))],
    }
    yield from (_joined(name, found[name]()) for name in names)


def _one(format: str, files: Sequence[Path]) -> Outcomes:
    return Outcomes.from_rows(readers.answers(format, files, Intake()))


def _joined(name: str, parts: Sequence[Outcomes]) -> Table:
    file_N = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return Table(name, Outcomes.concat(parts, equal=True), file_N)


def folds(table: Table, count: int) -> Iterator[NDArray[np.bool_]]:
    """Which rows are tested, fold by fold; near duplicates share one."""
    first_N = clusters(table.outcomes.prompts)
    fold_N = folds_of([table.outcomes.prompts[n] for n in first_N], count)
    yield from (fold_N == fold for fold in range(count))


def groups(table: Table, count: int) -> Iterator[NDArray[np.bool_]]:
    """Which rows are tested: those of whole groups."""
    names, group_N = np.unique(np.array(table.outcomes.groups), return_inverse=True)
    order = np.random.default_rng(0).permutation(len(names))
    yield from (np.isin(group_N, lot) for lot in np.array_split(order, min(count, len(names))))


def unseen(table: Table, lots: Sequence[NDArray[np.bool_]], router: str, settings: Settings) -> tuple[Floats, float]:
    """The quality expected of every question by a router that has not seen it, and CPU seconds a fit."""
    expected_NM, seconds = np.full(table.outcomes.quality_NM.shape, np.nan), 0.0
    for tested_N in lots:
        started = process_time()
        fitted = make(router, **settings).fit(table.outcomes.select(~tested_N))
        seconds += (process_time() - started) / len(lots)
        expected_NM[tested_N] = fitted.predict([table.outcomes.prompts[n] for n in np.flatnonzero(tested_N)]).quality_NM
    return expected_NM, seconds


def earned(table: Table, expected_NM: Floats) -> Floats:
    """`MEASURES` of every question, (N, 4)."""
    quality_NM = table.outcomes.quality_NM
    mean_M, n = np.nanmean(quality_NM, axis=0), np.arange(len(quality_NM))
    known_NM = ~np.isnan(quality_NM)
    free_N = np.nan_to_num(quality_NM)[n, expected_NM.argmax(axis=1)]
    filled_NM, priced_N = np.where(known_NM, quality_NM, mean_M), np.zeros(len(n))
    rng = np.random.default_rng(0)
    for _ in range(PRICES):
        # A better model is dearer, up to more than it is better by, and not exactly so.
        price_M = (mean_M - mean_M.min()) * rng.uniform(0, 1.3) + rng.uniform(-0.05, 0.05, len(mean_M))
        priced_N += (filled_NM - price_M)[n, (expected_NM - price_M).argmax(axis=1)] / PRICES
    off_NM = np.where(known_NM, quality_NM - expected_NM, 0)
    off_N1 = off_NM.sum(axis=1, keepdims=True) / np.maximum(known_NM.sum(axis=1, keepdims=True), 1)
    apart_NM = np.where(known_NM, off_NM - off_N1, 0)
    return np.column_stack([free_N, priced_N, np.square(off_NM).mean(axis=1), np.square(apart_NM).mean(axis=1)])


def by_file(table: Table, values_NK: Floats) -> tuple[Floats, Floats]:
    """Means of files, averaged (K,), and their interval (K, 2)."""
    parts = [values_NK[table.file_N == file] for file in np.unique(table.file_N)]
    means_BK = np.mean([resample(part, resamples=1000, seed=seed) for seed, part in enumerate(parts)], axis=0)
    return np.mean([part.mean(axis=0) for part in parts], axis=0), percentiles(means_BK)


def compared(table: Table, kept: str, lots: Sequence[NDArray[np.bool_]], ours: Mapping[str, Settings]) -> Iterator[Any]:
    """A row for each way of routing."""
    encoder = Remembering()
    ways: dict[str, tuple[str, Settings]] = {name: (name, {"encoder": encoder}) for name in OTHERS[1:]}
    ways["best_single"] = ("best_single", {})
    ways |= {name: (OURS, {"encoder": encoder, **changed}) for name, changed in {OURS: {}, **ours}.items()}
    found, seconds = {}, {}
    for name, (router, settings) in ways.items():
        expected_NM, seconds[name] = unseen(table, lots, router, settings)
        found[name] = earned(table, expected_NM)
    means = {name: by_file(table, values_NK)[0] for name, values_NK in found.items()}
    for name, values_NK in found.items():
        row: dict[str, Any] = {"table": table.name, "kept": kept, "way": name, "n": len(values_NK)}
        row |= {measure: round(float(mean), 5) for measure, mean in zip(MEASURES, means[name], strict=True)}
        for k, measure in enumerate(MEASURES[:2]):
            best = max(OTHERS, key=lambda other: means[other][k])
            for label, other in (("domain", "domain"), ("best", best)):
                gain_K, bounds_K2 = by_file(table, (values_NK - found[other])[:, [k]])
                row[f"{measure}_over_{label}"] = [round(float(x), 5) for x in (gain_K[0], *bounds_K2[0])]
            row[f"best_{measure}"] = best
        yield {**row, "fit_seconds": round(seconds[name], 2)}


def aiq(table: Table, seeds: Sequence[int]) -> Iterator[Any]:
    """RouterBench's AIQ over a common range of costs, mean over splits, with the zero router's."""
    encoder, found = Remembering(), []
    for seed in seeds:
        train, test = table.outcomes.split(seed=seed)
        curves = {}
        for name in (*OTHERS[1:], OURS):
            fitted = make(name, encoder=encoder).fit(train)
            curve = sweep(fitted.predict(test.prompts), test, name=name)
            curves[name] = measures.hull(curve.usd_P, curve.quality_P)
        zero = measures.zero_router(test)
        curves["zero"] = (zero.usd_H, zero.quality_H)
        common = measures.common_range([usd_H for usd_H, _ in curves.values()])
        found.append({name: measures.aiq(*hull, *common) for name, hull in curves.items()})
    for name in found[0]:
        each = [one[name] for one in found]
        apart = np.array([one[name] - max(one[other] for other in OTHERS[1:]) for one in found])
        yield {
            "table": table.name,
            "kept": "splits",
            "way": name,
            "aiq": round(float(np.mean(each)), 5),
            "aiq_of_seeds": [round(float(value), 4) for value in each],
            "aiq_over_best": [
                round(float(apart.mean()), 5),
                round(float(apart.min()), 5),
                round(float(apart.max()), 5),
            ],
        }


def measured(data: Path | None, names: Sequence[str]) -> Iterator[Any]:
    """Every row."""
    for table in tables(data, names):
        large = len(table.outcomes) > 10_000
        parts = {} if large else {name: PARTS[name] for name in PARTS if name != "far 0"}
        yield from compared(table, "folds", list(folds(table, 3 if large else 5)), parts)
        if len(set(table.outcomes.groups)) > 2 and not large:
            yield from compared(table, "groups", list(groups(table, 8)), {"far 0": PARTS["far 0"]})
        if not np.isnan(table.outcomes.usd_NM).all():
            yield from aiq(table, range(5))


def shown() -> Iterator[str]:
    """The last rows as lines of Markdown, gains in points."""
    path = rows.ROOT / "benchmarks" / "results" / "hierarchical.jsonl"
    last = {(row["table"], row["kept"], row["way"]): row for row in map(json.loads, path.read_text().splitlines())}
    yield "| table | kept apart | way | free | over the best other | priced, over the best other | missed | apart |"
    yield "|---|---|---|---|---|---|---|---|"
    for (name, kept, way), row in last.items():
        if kept != "splits":
            gains = " | ".join(f"{_gain(row[f'{m}_over_best'], 100)} `{row[f'best_{m}']}`" for m in MEASURES[:2])
            errors = f"{row['missed']:.4f} | {row['apart']:.4f}"
            yield f"| {name} | {kept} | {way} | {100 * row['free']:.2f} | {gains} | {errors} |"
    yield ""
    yield "| table | way | AIQ, mean of five splits | over the best other: mean (least to most) |"
    yield "|---|---|---|---|"
    for (name, kept, way), row in last.items():
        if kept == "splits":
            yield f"| {name} | {way} | {row['aiq']:.4f} | {_gain(row['aiq_over_best'], 1)} |"
    yield ""
    yield from nested(last)


def _gain(bounds: Sequence[float], unit: int) -> str:
    digits = 2 if unit > 1 else 4
    return "{:+.{d}f} ({:+.{d}f} to {:+.{d}f})".format(*(unit * bound for bound in bounds), d=digits)


def nested(last: Mapping[tuple[str, str, str], Any]) -> Iterator[str]:
    """For each table the setting that earns most on the others, free and priced together, and what it earns here."""
    ways = (OURS, *(name for name in PARTS if name != "far 0"))
    names = [
        name for name in dict.fromkeys(key[0] for key in last) if all((name, "folds", way) in last for way in ways)
    ]
    yield "| table | chosen on the others | gain over `domain` here: free | priced | the defaults': free | priced |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        others = [other for other in names if other != name]
        gain = {way: sum(_over_domain(last[other, "folds", way]) for other in others) for way in ways}
        chosen, default = (last[name, "folds", way] for way in (max(gain, key=lambda way: gain[way]), OURS))
        gains = (row[f"{measure}_over_domain"][0] for row in (chosen, default) for measure in MEASURES[:2])
        yield f"| {name} | {chosen['way']} | {' | '.join(f'{100 * gain:+.2f}' for gain in gains)} |"


def _over_domain(row: Mapping[str, Any]) -> float:
    return float(sum(row[f"{measure}_over_domain"][0] for measure in MEASURES[:2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of public data; without it the shipped table is used")
    parser.add_argument("--table", action="append", help="only this one of them (may be given again)")
    parser.add_argument("--quick", action="store_true", help="only print")
    parser.add_argument("--show", action="store_true", help="measure nothing, show the last rows")
    asked = parser.parse_args()
    if asked.show:
        print("\n".join(shown()))
        return
    names = asked.table or ("routerdc", "routerbench", "llmrouter", "routerarena", "routellm")
    with threadpool_limits(1):
        for row in measured(asked.data, names):
            print(json.dumps(row)) if asked.quick else rows.append("hierarchical", row)


if __name__ == "__main__":
    main()
