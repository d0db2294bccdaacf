"""The comparison as a table in the terminal and as ``docs/speed.md``.

python benchmarks/gateway/page.py            # writes the page from the rows of the last run
python benchmarks/gateway/page.py --check    # only says whether the page is what its rows say
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "gateway.jsonl"
PAGE = ROOT / "docs" / "speed.md"

Row = dict[str, Any]

HEAD = """\
# Speed

What a hop through Waypost costs, beside other gateways, made by `make bench-gateway`; the rows are in `benchmarks/results/gateway.jsonl`, with more figures than fit here.

Each gateway runs alone on one core, with one worker, before a mock provider that answers at once; provider and load share another core. Prompts have about 1 kB and differ; a whole answer has 50 words, a stream 20 words with 10 ms between them. Processor time is that of the gateway and its children, user and system: it says how much a core can carry, and is the figure to compare, since latencies contain the load's own waiting for its core. Rounds are interleaved, and every figure is the median over them. `make bench-gateway QUICK=1` repeats the core of it in a few minutes.
"""  # noqa: E501 - paragraphs of the page

COLUMNS = (
    ("added p50 ms, 1 at once", 1, "added_ms", ".2f"),
    ("p99 ms, 16", 16, "p99_ms", ".1f"),
    ("requests / s, 64", 64, "requests_per_s", ",.0f"),
    ("CPU µs / request, 64", 64, "cpu_us_per_request", ",.0f"),
    ("first word ms, 1", 1, "ttft_ms", ".2f"),
    ("first word ms, 64", 64, "ttft_ms", ".1f"),
    ("CPU µs / word, 64", 64, "cpu_us_per_chunk", ",.0f"),
    ("ready s", None, "ready_s", ".1f"),
    ("MB, ready", None, "ready_mb", ".0f"),
    ("MB, 256", 256, "rss_mb", ".0f"),
)


def show(results: Sequence[Row]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("target", *(column[0] for column in COLUMNS), title="Gateways, one core each")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cells in _lines(results):
        table.add_row(name, *cells)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for line in _notes(results):
        Console().print(line, markup=False)


def text() -> str:
    """The page, from the rows of the last run."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    last = [row for row in kept if row["run"] == kept[-1]["run"]]
    if not last:
        return HEAD
    about = {row["target"]: row["about"] for row in last}
    lines = [HEAD, f"| | {' | '.join(column[0] for column in COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| `{name}` | {' | '.join(cells)} |" for name, cells in _lines(last)]
    lines += ["", *(f"- `{name}`: {words}" for name, words in about.items()), ""]
    lines += [f"- {line}" for line in _notes(last)]
    one = last[0]
    lines.append(f"\nMeasured at {one['commit']}, {one['date'][:10]}, on {one['machine']} (load {one['load']}).\n")
    return "\n".join(lines)


def _lines(results: Sequence[Row]) -> Iterator[tuple[str, list[str]]]:
    """Each target with its cells; what is not known is a dash."""
    points = {(row["target"], row["concurrency"]): row for row in results}
    for name in dict.fromkeys(row["target"] for row in results):
        own = [row for row in results if row["target"] == name]
        cells = []
        for _, level, field, form in COLUMNS:
            row = points.get((name, level)) if level is not None else own[-1]
            value = _added(row, points.get(("direct", level))) if field == "added_ms" else (row or {}).get(field)
            cells.append("–" if value is None else format(value, form))
        yield name, cells


def _added(row: Row | None, direct: Row | None) -> float | None:
    """The median that a gateway adds to asking the provider itself."""
    if row is None or direct is None or row["p50_ms"] is None or row["target"] == "direct":
        return None
    return float(row["p50_ms"] - direct["p50_ms"])


def _notes(results: Sequence[Row]) -> Iterator[str]:
    """What is missing and what went wrong."""
    for row in results:
        if row.get("note"):
            yield f"{row['target']} was not measured: {row['note']}"
        elif row.get("errors"):
            told = ", ".join(f"{count:,} × {kind}" for kind, count in row["errors"].items())
            yield f"{row['target']} at {row['concurrency']}: {told}"


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        sys.exit(0 if PAGE.read_text() == text() else f"{PAGE.name} is older than its rows; run {Path(__file__).name}")
    PAGE.write_text(text())


if __name__ == "__main__":
    main()
