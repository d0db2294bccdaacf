"""Gateways side by side: what a hop through each costs, on one core, before a provider that answers at once.

    python benchmarks/gateway/run.py                     # all, three rounds; appends rows, writes docs/speed.md
    python benchmarks/gateway/run.py --quick             # the provider itself, Waypost and LiteLLM, once; keeps nothing
    python benchmarks/gateway/run.py --quick --json      # one JSON object a line on stdout, nothing else
    python benchmarks/gateway/run.py --only waypost,nginx --concurrency 16

The gateway has a core of its own; the mock provider and the load share another.  Rounds are interleaved, so that what
else the machine does strikes all alike, and each figure is the median over the rounds.  Other gateways are installed
into the user's cache folder on first use; one that cannot be is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

import load
import ours
import page
import processes
import targets
from peers import CannotInstall
from targets import Target

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rows

SHOWN = (
    "target",
    "concurrency",
    "cpu_us_per_request",
    "p50_ms",
    "p99_ms",
    "requests_per_s",
    "ttft_ms",
    "cpu_us_per_chunk",
)

TARGETS = (
    Target("direct", "no gateway: the mock provider itself", None, quick=True),
    Target("nginx", "a reverse proxy that looks at nothing", targets.nginx),
    Target("waypost", "the model named, nothing kept", ours.by_name, quick=True),
    Target("waypost-full", "the model named; keys, limits, metrics, decisions in SQLite", ours.everything, quick=True),
    Target("waypost-learned", "`ridge` chooses among ten models, prompts of 500 characters", ours.learned, True, 500),
    Target("vllm-router", "0.1.17, one worker behind it", targets.vllm_router),
    Target("tensorzero", "2026.6.0, no store", targets.tensorzero),
    Target("litellm", "1.106.2, a master key, no database", targets.litellm, quick=True),
)

Row = dict[str, Any]


def main() -> None:
    """Measure, and print a table or rows."""
    asked = _asked()
    chosen = [target for target in TARGETS if (target.name in asked.only if asked.only else _wanted(target, asked))]
    levels = asked.concurrency or ([1, 16, 64] if asked.quick else [1, 16, 64, 256])
    core, others = processes.cores()
    processes.pin(0, others)
    found: dict[tuple[str, int | None], list[Row]] = {}
    with targets.provider(others) as upstream:
        for number in range(asked.rounds or (1 if asked.quick else 3)):
            for target in chosen:
                _say(f"round {number + 1}: {target.name}")
                for row in measured(target, levels, asked.seconds, upstream, core):
                    found.setdefault((target.name, row["concurrency"]), []).append(row)
    run = datetime.now(UTC).isoformat(timespec="seconds")
    results = [{"run": run, **_median(repeated)} for repeated in found.values()]
    results = [row for row in results if row["concurrency"] is not None or _alone(row, results)]
    if not asked.quick and not asked.only:
        _keep(results)
    if asked.json:
        for row in results:
            print(json.dumps({name: row.get(name) for name in SHOWN}))
    else:
        page.show(results)


def measured(target: Target, levels: Sequence[int], seconds: float, upstream: str, core: set[int]) -> Iterator[Row]:
    """Start a target and yield a row for each concurrency, or one that says why there is none."""
    about: Row = {"target": target.name, "about": target.about}
    with tempfile.TemporaryDirectory() as folder:
        try:
            with targets.running(target, Path(folder), upstream, core) as served:
                about |= {"ready_s": served.ready_s, "ready_mb": served.rss_mb}
                for level in levels:
                    point = _point(target, served, level, seconds)
                    yield {**about, "concurrency": level, "rss_mb": served.rss_mb, **point, "note": None}
        except (CannotInstall, targets.DidNotStart) as error:
            _say(f"{target.name} is left out: {error}")
            yield {**about, "concurrency": None, "note": str(error)}


def _point(target: Target, served: targets.Running, level: int, seconds: float) -> Row:
    """Whole answers, then streams."""
    model, key = (served.started.model, served.started.key) if served.started else (targets.MODEL, targets.KEY)
    asked = load.Load(
        served.url, model, concurrency=level, seconds=seconds, prompt=target.prompt, key=key, pid=served.pid
    )
    whole = uvloop.run(load.run(asked))
    streamed = uvloop.run(load.run(replace(asked, stream=True)))
    errors = {kind: whole.errors.get(kind, 0) + streamed.errors.get(kind, 0) for kind in whole.errors | streamed.errors}
    return {
        **{name: value for name, value in asdict(whole).items() if name in _WHOLE},
        **{name: value for name, value in asdict(streamed).items() if name in _STREAMED},
        "stream_p50_ms": streamed.p50_ms,
        "streams_per_s": streamed.requests_per_s,
        "errors": errors,
    }


_WHOLE = ("requests_per_s", "p50_ms", "p95_ms", "p99_ms", "cpu_us_per_request")
_STREAMED = ("ttft_ms", "ttft_p95_ms", "ttft_p99_ms", "cpu_us_per_chunk")


def _median(repeated: Sequence[Row]) -> Row:
    """One row out of those of several rounds: medians of numbers, sums of errors."""
    row = dict(repeated[0])
    for name, value in row.items():
        known = [one[name] for one in repeated if isinstance(one[name], float)]
        if known and isinstance(value, float | None):
            row[name] = round(statistics.median(known), 3)
    if "errors" in row:
        kinds = {kind for one in repeated for kind in one["errors"]}
        row["errors"] = {kind: sum(one["errors"].get(kind, 0) for one in repeated) for kind in sorted(kinds)}
    return {**row, "rounds": len(repeated)}


def _alone(row: Row, results: Sequence[Row]) -> bool:
    """Whether a target has no row but this one."""
    return sum(other["target"] == row["target"] for other in results) == 1


def _keep(results: Sequence[Row]) -> None:
    origin = rows.origin()
    with page.KEPT.open("a") as out:
        out.writelines(json.dumps({**origin, **row}) + "\n" for row in results)
    page.PAGE.write_text(page.text())


def _wanted(target: Target, asked: argparse.Namespace) -> bool:
    return target.quick or not asked.quick


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    def split(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
        return lambda text: [kind(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer targets, one round, no row is kept")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    parser.add_argument("--only", type=split(str), help="some targets only; no row is kept")
    parser.add_argument("--concurrency", type=split(int), help="default: 1,16,64,256; quick: 1,16,64")
    parser.add_argument("--rounds", type=int, help="default: 3; quick: 1")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each point, once of whole answers, once of streams"
    )
    asked = parser.parse_args()
    unknown = set(asked.only or ()) - {target.name for target in TARGETS}
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there is {', '.join(t.name for t in TARGETS)}")
    return asked


if __name__ == "__main__":
    main()
