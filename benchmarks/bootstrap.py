"""How long do the intervals of a comparison take, and how much memory?

The numbers are those of twelve routers beside eleven models and two bounds: quality and cost of each, all resampled
together; then the whole comparison with its gains, corrected tests and zero router. One process a measurement, so
that its peak of memory is its own.

    python benchmarks/bootstrap.py           # up to 300,000 questions
    python benchmarks/bootstrap.py --quick   # seconds
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from time import perf_counter, process_time

import numpy as np

import rows
from waypost.evaluation import Earned, compare
from waypost.evaluation.bootstrap import resample
from waypost.outcomes import Outcomes

ROUTERS, MODELS, BOUNDS = 12, 11, 2
SIZES = [(20_000, 10_000), (300_000, 2_000)]
QUICK = [(2_000, 1_000)]


def main() -> None:
    """Append one row for each size and what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        what, n, resamples = arguments.one
        print(json.dumps(measure(what, int(n), int(resamples))))
        return
    for n, resamples in QUICK if arguments.quick else SIZES:
        for what in MEASURED:
            command = [sys.executable, __file__, "--one", what, str(n), str(resamples)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append("bootstrap", json.loads(done.stdout))


def measure(what: str, n: int, resamples: int) -> dict[str, object]:
    """Seconds and megabytes of one job, on made-up numbers."""
    table, earned = made(n)
    before = peak()
    wall, busy = perf_counter(), process_time()
    MEASURED[what](table, earned, resamples)
    return {
        "what": what,
        "questions": n,
        "resamples": resamples,
        "routers": ROUTERS,
        "seconds": round(perf_counter() - wall, 2),
        "processor_seconds": round(process_time() - busy, 2),
        "megabytes_of_numbers": round(before, 1),
        "megabytes_at_peak": round(peak(), 1),
    }


def made(n: int) -> tuple[Outcomes, dict[str, Earned]]:
    """A table of random outcomes, and routers that choose at random."""
    rng = np.random.default_rng(0)
    names = tuple(map(str, range(n)))
    models = tuple(f"model-{m}" for m in range(MODELS))
    quality_NM = (rng.random((n, MODELS)) < np.linspace(0.4, 0.7, MODELS)).astype(float)
    usd_NM = rng.gamma(2, np.geomspace(1e-5, 1e-2, MODELS), (n, MODELS))
    table = Outcomes(names, names, ("",) * n, models, quality_NM, usd_NM)
    return table, {f"router-{r}": _chosen(table, rng.integers(0, MODELS, n)) for r in range(ROUTERS)}


def _chosen(table: Outcomes, column_N: np.ndarray) -> Earned:
    at = (np.arange(len(table)), column_N)
    calls_NM = np.eye(MODELS, dtype=np.uint8)[column_N]
    return Earned(table.models, table.quality_NM[at], table.usd_NM[at], table.seconds_NM[at], calls_NM)


def _resampled(table: Outcomes, earned: dict[str, Earned], resamples: int) -> None:
    random_NK = np.random.default_rng(0).random((len(table), 2 * (ROUTERS + MODELS + BOUNDS)))
    resample(random_NK, resamples=resamples)


def _clustered(table: Outcomes, earned: dict[str, Earned], resamples: int) -> None:
    random_NK = np.random.default_rng(0).random((len(table), 2 * (ROUTERS + MODELS + BOUNDS)))
    resample(random_NK, clusters_N=np.arange(len(table)) // 3, resamples=resamples)


def _compared(table: Outcomes, earned: dict[str, Earned], resamples: int) -> None:
    compare(table, earned, resamples=resamples)


MEASURED = {"resample": _resampled, "resample, clusters of 3": _clustered, "compare": _compared}


def peak() -> float:
    """The most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
