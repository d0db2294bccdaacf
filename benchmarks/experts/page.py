"""The comparison as a table in the terminal and as ``docs/experts-speed.md``.

python benchmarks/experts/page.py            # writes the page from the rows of the last run
python benchmarks/experts/page.py --check    # only says whether the page is what its rows say
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "experts.jsonl"
PAGE = ROOT / "docs" / "experts-speed.md"

Row = dict[str, Any]

HEAD = """\
# Speed of experts

What a mixture of experts costs on a CPU by each way to compute it, made by `make bench-experts`; the rows are in `benchmarks/results/experts.jsonl`.

The yardstick is a dense feed-forward with as many multiplications as the chosen experts have: a ratio of 1 would mean that routing is free. Every way gets the same tokens, the same experts for each and the same weights, so only dispatch and experts are timed; `ours_layer` has the router too, and in training its balancing loss, and `lucidrains` its own router. Width 256, hidden width 512, weights of 1 MB an expert (GELU) or 1.5 MB (SwiGLU) in float32. All ways take turns in one process; a ratio is the median of those within a turn. A training step has gradients of tokens, routing weights and experts. Times on one thread are processor time, on two threads by the clock.
"""  # noqa: E501 - paragraphs of the page

ABOUT = {
    "ours": "`MoE.computed` with `FeedForward`; `ours_swiglu` with `SwiGLU`, `ours_layer` the whole `MoE` with `TopK`",
    "ours_torch": "the same where there is no C compiler, and torch's products are used",
    "loop": "each expert looks for its tokens, with `weight[e]`",
    "segments": "sorted once, a slice for each expert, with `weight[e]`",
    "grouped_mm": "sorted once, `torch.nn.functional.grouped_mm`",
    "one_hot": "multiplied into slots and back; drops what is beyond 1.25 times the mean",
    "mixtral_*": "transformers' `MixtralExperts` with each of its implementations, beside a dense SwiGLU",
    "lucidrains": "`mixture-of-experts` 0.2.3, the whole layer; drops tokens",
}

LIMITS = """\
## What bounds it

A dense layer reads its weights once for all tokens; experts read those of every expert that has a token. With E = 256 that is 268 MB a forward pass, and training reads them twice and writes gradients of the same size. The last column is the time that reading alone takes at the bandwidth measured in the same run. A library's product for each expert waits for these bytes and then multiplies; our own products, in C, prefetch the weights that come next while they multiply, so that with many tokens most of the reading costs no time. Gradients of experts take the memory of those of the step before, where these are gone; finding new pages for them would take a good part of a step. More tokens or more choices a token bring the ratio down.

A token, or a few, without gradients go to their experts without sorting, in one call: there is little to multiply, and what remains beside reading their weights is counting, the calls from Python, and caches that are full of weights.

Where the processor has no instructions for bfloat16, torch multiplies it many times slower than float32. There our products widen the weights as they read them, so a ratio can be far below 1. On processors that have them, which are twice as fast with bfloat16, rows and weights are multiplied as they are, and reading the weights counts twice as much beside.
"""  # noqa: E501 - paragraphs of the page

GELU = ("ours", "ours_torch", "grouped_mm", "segments", "loop", "one_hot", "ours_layer", "lucidrains")
SWIGLU = ("ours_swiglu", "mixtral_grouped_mm", "mixtral_eager", "mixtral_batched_mm")
PEERS = {"ours": ("grouped_mm", "segments", "loop"), "ours_swiglu": SWIGLU[1:]}
SHOWN = ("path", "N", "E", "k", "load", "dtype", "threads", "mode", "ms", "ratio_to_dense", "max_error")


def show(results: Sequence[Row]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    console, table = Console(width=None if sys.stdout.isatty() else 160), Table(*SHOWN, title="Experts")
    for row in results:
        if row["mode"] != "memory":
            table.add_row(*("–" if row.get(name) is None else str(row[name]) for name in SHOWN))
    console.print(table)
    for line in _notes(results):
        console.print(line, markup=False)


def text() -> str:
    """The page, from the rows of the last run."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    last = [row for row in kept if row["run"] == kept[-1]["run"]]
    if not last:
        return HEAD
    lines = [HEAD, *(f"- `{name}`: {words}" for name, words in ABOUT.items())]
    lines += ["", "## Times as long as dense, k = 2", ""]
    for dtype, load, threads in (
        ("float32", "even", 1),
        ("float32", "zipf", 1),
        ("float32", "even", 2),
        ("bfloat16", "even", 1),
    ):
        chosen = _where(last, dtype=dtype, load=load, threads=threads, k=2)
        if chosen:
            lines += [f"{dtype}, {'Zipf-skewed' if load == 'zipf' else 'even'} loads, {threads} thread(s):", ""]
            lines += [*_ratios(chosen), ""]
    lines += ["## Ours beside the fastest of the others", "", *_beside(last), ""]
    lines += [LIMITS, *_decode(last), ""]
    lines += ["## Memory of a training step", "", *_memory(last), ""]
    lines += [f"- {line}" for line in _notes(last)]
    loads = [row["load_average"] for row in last]
    one = last[0]
    lines += [
        f"\nMeasured at {one['commit']}, {one['date'][:10]}, on {one['machine']}, which read {one['gb_per_s']} GB/s; "
        f"its load was {min(loads)} to {max(loads)}, so it did other work at the same time.\n"
    ]
    return "\n".join(lines)


def _where(results: Sequence[Row], **wanted: object) -> list[Row]:
    return [row for row in results if all(row.get(name) == value for name, value in wanted.items())]


def _ratios(results: Sequence[Row]) -> Iterator[str]:
    """A line for each size and mode, a column for each path."""
    paths = [name for name in (*GELU, *SWIGLU) if _where(results, path=name)]
    yield f"| N | E | | dense ms | {' | '.join(paths)} |"
    yield "|---" * (len(paths) + 4) + "|"
    for tokens, experts, mode in dict.fromkeys((r["N"], r["E"], r["mode"]) for r in results if r["mode"] != "memory"):
        here = {row["path"]: row for row in _where(results, N=tokens, E=experts, mode=mode)}
        cells = [_cell(here.get(name), "ratio_to_dense", ".2f") for name in paths]
        yield f"| {tokens} | {experts} | {mode} | {_cell(here.get('dense'), 'ms', '.2f')} | {' | '.join(cells)} |"


def _cell(row: Row | None, name: str, form: str) -> str:
    return "–" if row is None or row.get(name) is None else format(row[name], form)


def _beside(results: Sequence[Row]) -> Iterator[str]:
    """How often ours is the fastest, and every point where it is not."""
    counted: dict[str, list[float]] = {}
    behind = []
    for point in dict.fromkeys(_point(row) for row in results if row["mode"] != "memory"):
        here = {row["path"]: row for row in results if _point(row) == point and row.get("ms") is not None}
        for ours, peers in PEERS.items():
            known = [here[name] for name in peers if name in here]
            if ours not in here or not known:
                continue
            best = min(known, key=lambda row: row["ratio_to_dense"])
            share = here[ours]["ratio_to_dense"] / best["ratio_to_dense"]
            counted.setdefault(f"{point[-1]}, N = {point[0]}", []).append(share)
            if share > 1.1:
                behind.append((share, ours, point, best["path"]))
    yield "Time of ours over that of the fastest other way that computes the same without dropping, over all points:"
    yield from ("", "| | points | median | worst | faster or within 10% |", "|---|---|---|---|---|")
    for name, shares in sorted(counted.items()):
        ordered = sorted(shares)
        within = sum(share <= 1.1 for share in shares)
        yield f"| {name} | {len(shares)} | {ordered[len(ordered) // 2]:.2f} | {ordered[-1]:.2f} | {within} |"
    if behind:
        yield from ("", "More than 10% behind:", "")
    for share, ours, (tokens, experts, k, load, dtype, threads, mode), other in sorted(behind, reverse=True):
        where = f"N = {tokens}, E = {experts}, k = {k}, {load}, {dtype}, {threads} thread(s), {mode}"
        yield f"- {share:.2f} × `{other}`: `{ours}`, {where}"


def _point(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("N", "E", "k", "load", "dtype", "threads", "mode"))


def _decode(results: Sequence[Row]) -> Iterator[str]:
    yield from ("| N | E | k | weights read, MB | ours ms | reading them takes ms |", "|---|---|---|---|---|---|")
    wanted = {"path": "ours", "mode": "forward", "load": "even", "dtype": "float32", "threads": 1}
    for row in sorted(_where(results, **wanted), key=lambda row: (row["N"], row["E"], row["k"])):
        floor = row["weights_mb"] / row["gb_per_s"]
        yield f"| {row['N']} | {row['E']} | {row['k']} | {row['weights_mb']:.1f} | {row['ms']:.2f} | {floor:.2f} |"


def _memory(results: Sequence[Row]) -> Iterator[str]:
    """Peaks of each path, and what the gradients alone take."""
    found = _where(results, mode="memory")
    experts = list(dict.fromkeys(row["E"] for row in found))
    heads = " | ".join(f"E = {e}" for e in experts)
    yield f"| MB at the peak of a step beside tokens and weights, N = 2048, k = 2 | {heads} |"
    yield "|---" * (len(experts) + 1) + "|"
    for name in dict.fromkeys(row["path"] for row in found):
        cells = [_cell(next(iter(_where(found, path=name, E=e)), None), "peak_mb", ".0f") for e in experts]
        yield f"| `{name}` | {' | '.join(cells)} |"
    gradients: Callable[[int], str] = lambda e: f"{_where(found, path='ours', E=e)[0]['gradients_mb']:.0f}"  # noqa: E731
    yield f"| the gradients themselves | {' | '.join(map(gradients, experts))} |"


def _notes(results: Sequence[Row]) -> Iterator[str]:
    """What is missing, and why."""
    for name, note in dict.fromkeys((row["path"], row["note"]) for row in results if row.get("note")):
        yield f"{name} was not measured everywhere: {note}"


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        sys.exit(0 if PAGE.read_text() == text() else f"{PAGE.name} is older than its rows; run {Path(__file__).name}")
    PAGE.write_text(text())


if __name__ == "__main__":
    main()
