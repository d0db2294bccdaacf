"""Every router on every table: makes ``docs/results.md``, its rows and its figures.

    python benchmarks/results.py                  # the shipped table
    python benchmarks/results.py --data FOLDER    # and the public ones that FOLDER holds, in folders named as below
    python benchmarks/results.py --check          # only says whether the page is what its rows say

Public tables are read in their owners' own formats and split 70 to 30 with near duplicates on one side, but for
LLMRouter's, which bring a split of their own.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any

import orjson

import rows

PAGE = rows.ROOT / "docs" / "results.md"
FIGURES = rows.ROOT / "docs" / "figures"
FIGURES_SHOWN = {"curves": "cost and quality", "quality": "quality", "shares": "who gets which questions"}
_READERS = ("label", "preference_judge")  # they take long
_ASKED = 205  # prompts, of which the first five only warm up
KEPT = rows.ROOT / "benchmarks" / "results" / "results.jsonl"


HEAD = """\
# Results

Every router on the shipped table and on five public ones, made by `python benchmarks/results.py --data FOLDER` (`make bench DATA=FOLDER`); the rows are in `benchmarks/results/results.jsonl`, with more figures than fit here. How to read them: [evaluation](evaluation.md).

Each table is split 70 to 30 with near duplicates on one side. A verdict is on the paired difference to the best single model *in hindsight*, corrected for all that was asked; "a mix of equal cost" tosses a coin between single models. Where money has a weight, losing quality to the dearest model is what was asked for: read that column. AIQ is the mean height of a router's cost–quality hull over the costs that all curves of the table share ([measures](metrics.md)). The last columns are what a router takes: processor seconds to fit it on the 70 %, the median processor time of one prompt asked by itself, its encoder included, and the megabytes that it is saved in, on the machine that the rows name. `label` and `preference_judge` ask a small language model about every prompt, a tenth of a second each, and are measured on the shipped table and RouterArena only.
"""  # noqa: E501 - a paragraph of the page


@dataclass(frozen=True)
class Source:
    """A table: where its files lie below the data folder, their format, the trade-offs asked for, and what it is.

    ``read``: a language model reads its prompts too, which takes a minute for a few hundred.
    """

    title: str
    about: str
    files: str = ""
    format: str = ""
    test: str = ""
    objectives: tuple[str, ...] = ("",)
    routers: str = ""
    read: bool = False


SOURCES = {
    "shipped": Source(
        "The shipped table", "2,520 prompts × the three models of the embedded pool, answered for real.", read=True
    ),
    "routerdc": Source(
        "RouterDC",
        "Six sets of questions × seven open models of 7 to 8 billion parameters; no costs.",
        "routerdc/*.json",
        "routerdc",
    ),
    "routerbench": Source(
        "RouterBench",
        "The rows of ARC-C, MBPP and Winogrande that RouterDC keeps × 11 models, with USD of every call.",
        "routerbench/*.csv",
        "routerbench",
        objectives=("", "usd=30"),
    ),
    "llmrouter": Source(
        "LLMRouter",
        "5,608 training and 500 test questions × nine models, split by its authors; no costs. "
        "119 of the test questions stand in the training file too, which flatters a router that only remembers: "
        "`nearest:Nearest` (`benchmarks/nearest.py`) takes the outcomes of the one nearest training question.",
        "llmrouter/train.json",
        "llmrouter",
        "llmrouter/test.json",
        routers="all,nearest:Nearest",
    ),
    "routellm": Source(
        "RouteLLM, MMLU",
        "14,042 questions × GPT-4 and Mixtral 8x7B, right or wrong; no costs.",
        "routellm_mmlu/*.csv",
        "routellm",
    ),
    "routerarena": Source(
        "RouterArena",
        "809 questions × Claude 3 Haiku and Gemini 2.0 Flash, with USD of every call.",
        "routerarena/*.jsonl",
        "routerarena",
        objectives=("", "usd=30"),
        read=True,
    ),
}


def main() -> None:
    """Measure what there is data for, then write the page from the last rows of every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the public tables")
    parser.add_argument("--only", choices=SOURCES, help="measure one table only")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.check:
        sys.exit(0 if PAGE.read_text() == page() else f"{PAGE.name} is older than its rows; run {Path(__file__).name}")
    for name, source in SOURCES.items():
        if asked.only in (None, name) and (not source.files or asked.data):
            measure(name, source, asked.data)
    PAGE.write_text(page())


def measure(name: str, source: Source, data: Path | None) -> None:
    """Fit every router on a table, measure it and what it costs to train, keep and ask; keep the rows and figures."""
    run = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory() as folder:
        table = list(_tables(source, data, Path(folder)))
        for objective, row in _measured(table, source):
            rows.append("results", {"source": name, "objective": objective, "run": run, **row})
        figures = Path(folder) / "figures"
        weighed = ["--objective", source.objectives[-1]] if source.objectives[-1] else []
        _waypost("report", str(Path(folder) / "report.html"), *table, *weighed, "--figures", str(figures))
        FIGURES.mkdir(exist_ok=True)
        for figure in FIGURES_SHOWN:
            if (figures / f"{figure}.svg").exists():
                shutil.copy(figures / f"{figure}.svg", FIGURES / f"{name}-{figure}.svg")


def _measured(words: Sequence[str], source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows by objective, as ``waypost eval --json`` has them, with what each router costs beside its AIQ."""
    from waypost.cli import lines, measured, named
    from waypost.evaluation.report.measure import Measuring
    from waypost.outcomes.leaks import clusters

    options = dict(zip(words[:-1:2], words[1::2], strict=True)) if len(words) > 1 else {}
    table = Path(words[0]) if len(words) == 1 else None
    train, test = ([options[option]] if options else [] for option in ("--train", "--test"))
    data = measured.read(table, "waypost", train, test, seed=0)
    ((name, tested),) = data.tests.items()
    with named.one_thread(fits=True):
        made, costs = _fitted(data, source)
        for objective in source.objectives:
            asked = named.objective([objective] if objective else [])
            cards = measured.cards(data, None, asked)
            measuring = Measuring(made, dict.fromkeys(made, asked), cards, data.train, asked.weights)
            found = measuring.tested(name, tested, data.leaks.get(name), clusters(tested.prompts, tested.sources))
            parts = {"clean": found.found, "all": found.with_leaks, "leaked": found.on_leaks}
            known = {part: one for part, one in parts.items() if one is not None}
            for row in lines.rows(name, known):
                spec = row["router"]
                aiq = {"aiq": _number(found.method(spec).aiq), "zero_aiq": _number(found.aiq)}
                # As `waypost eval --json` writes it, where a missing number is null.
                yield objective, orjson.loads(orjson.dumps({**row, **aiq, **costs[spec]}))


def _fitted(data: Any, source: Source) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Each router, fitted on the training table alone, and what that took: seconds, bytes, microseconds a prompt."""
    from waypost.cli import measured
    from waypost.routers import KINDS, ROUTERS

    (tested,) = data.tests.values()
    specs = source.routers.split(",") if source.routers else list(ROUTERS)
    if not source.read:
        specs = [name for spec in specs for name in (ROUTERS if spec == "all" else [spec]) if name not in _READERS]
    heads = [name for name in KINDS if name not in ROUTERS] if tested.keeps_answers and not source.routers else []
    found = measured.made(data, specs, heads, seed=0)
    made, costs = {}, {}
    for spec, router in found.items():
        started = process_time()
        fitted = measured.tried(spec, router, data.train, [])
        if fitted is not None:
            made[spec], seconds = fitted, process_time() - started
            costs[spec] = {
                "trained_on": len(data.train),
                "fit_seconds": round(seconds, 3),
                "bytes": _size(fitted) if spec in KINDS else None,
                "predict_us": round(1e6 * _asked(fitted, tested.prompts[:_ASKED])),
            }
    return made, costs


def _size(router: Any) -> int:
    """Bytes of a saved router."""
    from waypost.routers import save

    with tempfile.TemporaryDirectory() as folder:
        save(router, folder)
        return sum(file.stat().st_size for file in Path(folder).iterdir())


def _asked(router: Any, prompts: Sequence[str]) -> float:
    """The median processor seconds of one prompt, each asked once and by itself, after a few to warm up."""
    router.predict(prompts[:5])
    taken = []
    for prompt in prompts[5:]:
        started = process_time()
        router.predict([prompt])
        taken.append(process_time() - started)
    return statistics.median(taken)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _tables(source: Source, data: Path | None, folder: Path) -> Iterator[str]:
    """The words that name a table on the command line; public files are brought into one table first."""
    if not source.files or data is None:
        return
    if not source.test:
        yield _imported(source, data, source.files, folder / f"{Path(source.files).parent}.parquet")
        return
    for option, files in (("--train", source.files), ("--test", source.test)):
        yield option
        yield _imported(source, data, files, folder / f"{Path(files).stem}.parquet")


def _imported(source: Source, data: Path, files: str, out: Path) -> str:
    found = sorted(data.resolve().glob(files))
    _waypost("import", *map(str, found), "--format", source.format, "--out", str(out))
    return str(out)


def _waypost(*words: str) -> str:
    command = [sys.executable, "-m", "waypost", *words]
    # In this folder, where the classes of our own lie.
    here = Path(__file__).parent
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=here).stdout


def page() -> str:
    """The results page, from the rows of each table's last run."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()]
    sections = [HEAD]
    for name, source in SOURCES.items():
        here = [row for row in kept if row["source"] == name]
        if not here:
            continue
        here = [row for row in here if row["run"] == here[-1]["run"]]
        sections += [f"## {source.title}", "", source.about, ""]
        for objective in source.objectives:
            sections += _section([row for row in here if row["objective"] == objective], objective)
        sections += [
            f"![{source.title}: {words}](figures/{name}-{figure}.svg)\n"
            for figure, words in FIGURES_SHOWN.items()
            if (FIGURES / f"{name}-{figure}.svg").exists()
        ]
        sections.append(f"Measured at {here[0]['commit']}, {here[0]['date'][:10]}.\n")
    return "\n".join(sections)


def _section(found: Sequence[Mapping[str, Any]], objective: str) -> list[str]:
    """One table of the page, and what leaks change where there are any."""
    one = found[0]
    asked = f"`--objective {objective}`" if objective else "Quality alone"
    lines = [
        f"{asked}: {one['n'] + one['missing']:,} test questions; best single model {one['best_single_model']}, "
        f"{100 * one['best_single']:.1f} %{_paid(one['best_single_usd'])}; oracle {100 * one['oracle']:.1f} %, "
        f"a model by chance {100 * one['chance']:.1f} %.",
        "",
        "| | quality % | less the best single model's, 95 % | less a mix's of equal cost, 95 % | $ / 1,000 | AIQ "
        "| verdict | fit s | one prompt µs | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(found, key=lambda row: -row["quality"]):
        cells = [
            f"`{row['router']}`",
            f"{100 * row['quality']:.1f}",
            _points(row["gain_ci95"]),
            _points(row["zero_gain_ci95"]),
            "–" if row["usd"] is None else f"{1000 * row['usd']:.3g}",
            _shown(row.get("aiq"), 1, ".3f"),
            row["verdict"],
            _shown(row.get("fit_seconds"), 1, ".2g"),
            _shown(row.get("predict_us"), 1, ".0f"),
            _shown(row.get("bytes"), 1e-6, ".2g"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *(_leaks(found) if one["leaked"] else [])]


def _leaks(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each router would be said to gain with the leaked questions and on them alone."""
    lines = [
        f"{found[0]['leaked']} test questions are also in training, and are left out above. "
        "What would be said with them, and of them alone (gain on the best single model, 95 %):",
        "",
        "| | without | with | alone |",
        "|---|---|---|---|",
    ]
    for row in sorted(found, key=lambda row: -row["by_part"]["all"]["gain"]):
        parts = (row, row["by_part"]["all"], row["by_part"]["leaked"])
        cells = [f"{100 * part['gain']:+.1f} ({_points(part['gain_ci95'])}), {part['verdict']}" for part in parts]
        lines.append(f"| `{row['router']}` | {' | '.join(cells)} |")
    return [*lines, ""]


def _points(bounds: Sequence[float | None]) -> str:
    return "–" if bounds[0] is None else " … ".join(f"{100 * bound:+.1f}" for bound in bounds)


def _shown(value: float | None, scale: float, form: str) -> str:
    return "–" if value is None else format(scale * value, form)


def _paid(usd: float | None) -> str:
    return "" if usd is None else f" at ${1000 * usd:.3g} per 1,000"


if __name__ == "__main__":
    main()
