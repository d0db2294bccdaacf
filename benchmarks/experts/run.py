"""Experts side by side: what the ways to compute a mixture of experts cost on a CPU, beside a dense layer.

    python benchmarks/experts/run.py                  # all; appends rows, writes docs/experts-speed.md
    python benchmarks/experts/run.py --quick          # under 5 minutes; keeps nothing
    python benchmarks/experts/run.py --quick --json   # one JSON object a line on stdout, nothing else

A sample is processor time on one thread and time by the clock on two.  All paths of a point take turns, so that what
else the machine does strikes them alike: a ratio is the median of ratios within a turn, a time the median over turns.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import memory
import page
from paths import HIDDEN, WIDTH, Bench, Point, Work, bench, reference, works
from peers import Missing

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rows

SHOWN = ("path", "N", "E", "k", "mode", "ms", "ratio_to_dense", "max_error")
INPUTS = {1: 16, 8: 4, 128: 1, 2048: 1}  # of a sample of forward passes, so that none is too short to time
SIZES, EXPERTS = tuple(INPUTS), (8, 64, 256)
QUADRATIC = ("loop", "segments", "mixtral_eager")
SLOW_WITH_MANY = ("one_hot", "lucidrains", "mixtral_batched_mm")
SLOW = 6.0  # a path that takes so many times as long as the yardstick is called twice
MOST, LEAST, QUICK = 40, 9, 3  # turns of a point; a quick run is content with fewer
Row = dict[str, Any]


def main() -> None:
    """Measure, and print a table or rows."""
    asked = _asked()
    warnings.filterwarnings("ignore")  # those of peers
    torch.set_num_threads(1)
    run = {"run": datetime.now(UTC).isoformat(timespec="seconds"), "gb_per_s": _bandwidth()}
    origin = rows.origin()
    results: list[Row] = []
    for row in _all(asked):
        results.append({**run, **row})
        if asked.json:
            print(json.dumps({name: row.get(name) for name in SHOWN} | row), flush=True)
        if not asked.quick:  # at once, so that a run that is stopped has not been for nothing
            with page.KEPT.open("a") as out:
                out.write(json.dumps({**origin, "load_average": round(os.getloadavg()[0], 1), **results[-1]}) + "\n")
    if not asked.quick:
        page.PAGE.write_text(page.text())
    if not asked.json:
        page.show(results)


def points(quick: bool) -> list[Point]:
    """What is measured."""
    core = [Point(n, e, 2) for n in reversed(SIZES) for e in EXPERTS]
    if quick:
        extra = [Point(128, 64, 2, "zipf"), Point(128, 8, 2, dtype="bfloat16"), Point(2048, 64, 2, threads=2)]
        slow = [point for point in core if point.experts == 256 and point.tokens in (8, 128)]
        return [*(point for point in core if point not in slow), *extra]
    return [
        *core,
        *(replace(point, dtype="bfloat16") for point in core),
        *(replace(point, load="zipf") for point in core),
        *(replace(point, threads=2) for point in core),
        *(replace(point, k=k) for point in core for k in (1, 8)),
    ]


def _all(asked: argparse.Namespace) -> Iterator[Row]:
    chosen = points(asked.quick)
    if asked.quick:
        yield from _times(chosen, asked)
        return
    yield from _times(chosen[:12], asked)  # what matters most comes first
    yield from memory.peaks()
    yield from _times(chosen[12:], asked)


def _times(chosen: list[Point], asked: argparse.Namespace) -> Iterator[Row]:
    for point in chosen:
        _say(str(point))
        torch.set_num_threads(point.threads)
        yield from _point(point, asked.seconds, quick=asked.quick)
        gc.collect()
    torch.set_num_threads(1)


def _point(point: Point, seconds: float, *, quick: bool) -> Iterator[Row]:
    at, drawn = bench(point), works(point, INPUTS[point.tokens])
    about = {"N": point.tokens, "E": point.experts, "k": point.k, "load": point.load, "dtype": point.dtype}
    about |= {"threads": point.threads}
    distinct = statistics.mean(work.experts_TK.unique().numel() for work in drawn)
    megabytes = distinct * 2 * WIDTH * HIDDEN * getattr(torch, point.dtype).itemsize / 1e6
    for mode in ("forward", "train"):
        inputs = drawn if mode == "forward" else drawn[:2]
        calls = {name: _call(at, name, mode) for name in at.paths}
        missing: dict[str, str] = {}
        if mode == "train" and point.experts > (8 if quick else 64):
            missing = dict.fromkeys(
                QUADRATIC, "left out with this many experts: seconds a step, as gradients are E times too large"
            )
        if mode == "train" and quick and point.experts > 64:
            missing |= dict.fromkeys(SLOW_WITH_MANY, "left out of a quick run with this many experts")
        clock = time.perf_counter if point.threads > 1 else time.process_time
        calls = {name: call for name, call in calls.items() if name not in missing}
        errors, first = _first(at, calls, inputs[0], mode, clock, missing)
        # The first call has memory to find, which takes some long.
        again = {n: _again(calls[n], inputs[0], value, clock) for n, value in first.items() if _is_slow(at, n, first)}
        slow = {name: [value * len(inputs)] for name, value in again.items() if _is_slow(at, name, first | again)}
        calls = {name: call for name, call in calls.items() if name not in missing and name not in slow}
        times = slow | _turns(calls, inputs, clock, seconds, QUICK if quick else LEAST)
        for name, samples in times.items():
            ratios = [mine / base for mine, base in zip(samples, times[at.yardstick[name]], strict=False)]
            yield {
                "path": name,
                **about,
                "mode": mode,
                "ms": round(1e3 * statistics.median(samples) / len(inputs), 4),
                "ratio_to_dense": round(statistics.median(ratios), 3),
                "max_error": errors[name],
                "turns": len(samples),
                "weights_mb": round(megabytes, 2),
            }
        for name, note in missing.items():
            yield {"path": name, **about, "mode": mode, "ms": None, "note": note}


def _call(at: Bench, name: str, mode: str) -> Callable[[Work], Tensor]:
    """One forward pass, or one with gradients of tokens, weights and parameters; what came before is thrown away."""
    path = at.paths[name]

    def forward(work: Work) -> Tensor:
        with torch.no_grad():
            return path(work)

    def train(work: Work) -> Tensor:
        for parameter in at.parameters:
            parameter.grad = None
        leaves = Work(work.x_TD.detach().requires_grad_(), work.experts_TK, work.weights_TK.detach().requires_grad_())
        y_TD = path(leaves)
        y_TD.backward(torch.ones_like(y_TD))
        return y_TD

    return forward if mode == "forward" else train


def _first(
    at: Bench,
    calls: dict[str, Callable[[Work], Tensor]],
    work: Work,
    mode: str,
    clock: Callable[[], float],
    missing: dict[str, str],
) -> tuple[dict[str, float | None], dict[str, float]]:
    """What the first call of each path says: how far it is off, and how long it takes.

    The error is the largest, of the largest output and of the largest gradient of shared weights.  Paths that cannot be
    had are added to what is missing.
    """
    errors: dict[str, float | None] = {}
    first: dict[str, float] = {}
    expected = {
        id(shared): _expected(shared, work, mode) for shared in {id(s): s for s in at.experts.values()}.values()
    }
    for name, call in calls.items():
        start = clock()
        try:
            y_TD = call(work)
        except Missing as error:
            missing[name] = str(error)
            continue
        first[name], errors[name] = clock() - start, None
        if (shared := at.experts.get(name)) is not None:
            found = [y_TD.detach(), *(p.grad for p in shared.parameters() if mode == "train")]
            pairs = zip(found, expected[id(shared)], strict=False)
            errors[name] = float(f"{max(_off(mine, right) for mine, right in pairs if mine is not None):.1e}")
    return errors, first


def _again(call: Callable[[Work], Tensor], work: Work, first: float, clock: Callable[[], float]) -> float:
    """The faster of two calls, for the first one has memory to find; or the first, where that took seconds."""
    if first > 3:
        return first
    start = clock()
    call(work)
    return min(first, clock() - start)


def _is_slow(at: Bench, name: str, first: dict[str, float]) -> bool:
    """Whether two calls say enough of a path."""
    return first[name] > max(0.2, SLOW * first[at.yardstick[name]])


def _expected(experts: Any, work: Work, mode: str) -> list[Tensor]:
    """The output, and in training the gradient of each parameter."""
    parameters = list(experts.parameters())
    y_TD = reference(experts, work)
    if mode == "forward":
        return [y_TD.detach()]
    return [y_TD.detach(), *torch.autograd.grad(y_TD.sum(), parameters)]


def _off(mine: Tensor, right: Tensor) -> float:
    mine, right = mine.float(), right.float()
    return float((mine - right).abs().max() / right.abs().max())


def _turns(
    calls: dict[str, Callable[[Work], Tensor]],
    inputs: list[Work],
    clock: Callable[[], float],
    seconds: float,
    least: int,
) -> dict[str, list[float]]:
    """Samples of each path, taken in turns until the time is over; fewer than ``least`` if these take very long."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    started, order = time.perf_counter(), random.Random(0)
    for turn in range(MOST):
        elapsed = time.perf_counter() - started
        if elapsed > seconds and (turn >= least or elapsed > 8 * seconds):
            break
        # In another order each time: who comes after one with the same weights finds them in the cache.
        for name in order.sample(sorted(calls), len(calls)):
            call = calls[name]
            start = clock()
            for work in inputs:
                call(work)
            times[name].append(clock() - start)
    return times


def _bandwidth() -> float:
    """GB that one core reads from memory in a second, the best of several tries."""
    much = torch.ones(64 * 2**20)
    best = min(_timed(much.sum) for _ in range(5))
    return round(much.nbytes / best / 1e9, 1)


def _timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer points, no row is kept")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    parser.add_argument("--seconds", type=float, help="of each point and mode, about; default: 1.5, quick: 0.7")
    asked = parser.parse_args()
    asked.seconds = asked.seconds or (0.7 if asked.quick else 1.5)
    return asked


if __name__ == "__main__":
    main()
