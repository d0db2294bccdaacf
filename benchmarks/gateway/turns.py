"""Two or more versions of the gateway in turns, for what is smaller than the noise between two runs.

    python benchmarks/gateway/turns.py HEAD~1 HEAD                   # CPU of whole answers with everything on
    python benchmarks/gateway/turns.py HEAD . --target waypost-learned --concurrency 1 --turns 100
    python benchmarks/gateway/turns.py HEAD~1 HEAD --stream --keep

A version is what git knows it by, or ``.`` for the files as they are.  All run at once, on one core; each turn asks one
of them for under a second, in an order that is drawn, so that whatever else the machine does strikes all alike.  What
counts are the ratios to the first version in the same turn, with an interval over turns.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

import load
import processes
import targets
from run import TARGETS, rows
from targets import Target

FIGURES = ("cpu_us_per_request", "p50_ms", "requests_per_s")
OF_STREAMS = ("cpu_us_per_chunk", "ttft_ms")
_SECONDS, _STREAMED_SECONDS = 0.4, 1.0


def main() -> None:
    """Measure, and print a row for each version."""
    asked = _asked()
    core, others = processes.cores()
    processes.pin(0, others)
    with targets.provider(others) as upstream, ExitStack() as stack:
        loads = [stack.enter_context(_served(version, asked, upstream, core)) for version in asked.versions]
        for each in loads:  # the first answers of a process are not those that follow
            uvloop.run(load.run(each))
        found = np.array([_turn(loads, asked.stream) for _ in range(asked.turns)])
    for row in summed([_named(version) for version in asked.versions], found, OF_STREAMS if asked.stream else FIGURES):
        about = {"target": asked.target, "concurrency": asked.concurrency, "stream": asked.stream, "turns": asked.turns}
        if asked.keep:
            rows.append("gateway_turns", about | row)
        else:
            print(about | row)


def summed(versions: Sequence[str], found_TVF: Any, figures: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each version: the median of each figure, and its ratio to the first version's in the same turn.

    The ratio is a geometric mean over turns, with the interval that holds 95 % of it (normal).
    """
    logs_TVF = np.log(found_TVF / found_TVF[:, :1])
    for v, version in enumerate(versions):
        row: dict[str, Any] = {"version": version}
        for f, name in enumerate(figures):
            row[name] = round(float(np.median(found_TVF[:, v, f])), 3)
            mean, far = logs_TVF[:, v, f].mean(), 1.96 * logs_TVF[:, v, f].std(ddof=1) / len(found_TVF) ** 0.5
            row[f"{name}_ratio"] = [round(float(np.exp(mean + way * far)), 3) for way in (0, -1, 1)]
        yield row


def _turn(loads: Sequence[load.Load], stream: bool) -> list[list[float]]:
    """Every version once; its figures, by version."""
    found: dict[int, list[float]] = {}
    for v in random.sample(range(len(loads)), len(loads)):
        seen = uvloop.run(load.run(loads[v]))
        if seen.errors:
            raise SystemExit(f"the requests of this turn failed: {seen.errors}")
        found[v] = [getattr(seen, name) for name in (OF_STREAMS if stream else FIGURES)]
    return [found[v] for v in range(len(loads))]


@contextmanager
def _served(version: str, asked: argparse.Namespace, upstream: str, core: set[int]) -> Iterator[load.Load]:
    """A version that serves, and what it is to be asked."""
    target = _target(asked.target)
    seconds, warm_up = (_STREAMED_SECONDS, 0.3) if asked.stream else (_SECONDS, 0.05)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PYTHONPATH"] = str(_source(version, folder))
        with targets.running(target, folder, upstream, core) as served:
            assert served.started is not None
            yield load.Load(
                served.url,
                served.started.model,
                asked.stream,
                asked.concurrency,
                seconds,
                warm_up,
                target.prompt,
                served.started.key,
                served.pid,
            )


def _named(version: str) -> str:
    """A version's commit, which stays what it is."""
    if version == ".":
        return str(rows.origin()["commit"])
    return subprocess.run(
        ["git", "rev-parse", "--short", version], cwd=rows.ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _source(version: str, folder: Path) -> Path:
    """Where the package of a version lies, fetched into a folder unless it is the one here."""
    if version == ".":
        return rows.ROOT / "src"
    packed = subprocess.run(["git", "archive", version, "src"], cwd=rows.ROOT, capture_output=True, check=False)
    if packed.returncode:
        raise SystemExit(f"git knows no version '{version}': {packed.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder / "src"


def _target(name: str) -> Target:
    return next(target for target in TARGETS if target.name == name)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [target.name for target in TARGETS if target.name.startswith("waypost")]
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="a commit, a branch, or . for what is here")
    parser.add_argument("--target", choices=names, default="waypost-full", help="default: waypost-full")
    parser.add_argument("--concurrency", type=int, default=64, help="default: 64")
    parser.add_argument("--turns", type=int, default=50, help="default: 50")
    parser.add_argument("--stream", action="store_true", help="streams instead of whole answers")
    parser.add_argument("--keep", action="store_true", help="add the rows to benchmarks/results/gateway_turns.jsonl")
    asked = parser.parse_args()
    if len(asked.versions) < 2 or asked.turns < 2 or asked.concurrency < 1:
        parser.error("two versions or more, two turns or more, and one request at once or more are needed")
    return asked


if __name__ == "__main__":
    sys.exit(main())
