"""How long and how much memory does ``waypost eval`` take on a million prompts and eleven models?

The table is made here, by a law and from a seed, and written with our own writer.  "Table" is what `Outcomes` holds of
it in memory: its arrays, its tuples, and each text once.  "Peak" is the largest resident size of the whole process
that runs ``waypost eval``, interpreter and libraries included; ``bare`` is that of the same command on a table of a
thousand prompts.

    python benchmarks/scale.py             # a million prompts: minutes; appends to results/scale.jsonl
    python benchmarks/scale.py --quick     # 20,000 prompts: seconds; only prints
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import rows

if TYPE_CHECKING:
    import numpy as np

    from waypost.outcomes import Outcomes

MODELS = tuple(f"model-{m:02}" for m in range(11))
GROUPS = ("maths", "code", "law", "medicine", "history", "chat", "translation", "summaries", "logic", "writing")
ROUTERS = "cheapest,best_single,random,domain,ridge"
_STEP = re.compile(r"^(?P<what>.+) \((?P<seconds>[\d.,]+) s\)$")


def main() -> None:
    """Measure, and append one row to ``benchmarks/results/scale.jsonl``."""
    given = _arguments()
    given.prompts = 20_000 if given.quick else given.prompts
    if given.make:
        print(json.dumps(make(given.make, given.prompts, given.seed)))
        return
    # The table is made in a process of its own: a child's peak is counted from the size of its parent on.
    with TemporaryDirectory() as folder:
        made = {}
        for name, prompts in (("bare", 1000), ("table", given.prompts)):
            words = [sys.executable, __file__, "--make", str(Path(folder, f"{name}.parquet")), "--prompts", prompts]
            done = subprocess.run([*map(str, words), "--seed", str(given.seed)], stdout=subprocess.PIPE, check=True)
            made[name] = json.loads(done.stdout)
        bare, run = (measure(Path(folder, f"{name}.parquet"), given.router) for name in ("bare", "table"))
    table_bytes = made["table"]["table_bytes"]
    figures = {
        "prompts": given.prompts, "models": len(MODELS), "seed": given.seed, "routers": given.router.split(","),
        "file_bytes": made["table"]["file_bytes"], "table_bytes": table_bytes,
        "peak_bytes": run.peak_bytes, "bare_peak_bytes": bare.peak_bytes,
        "peak_by_table": round(run.peak_bytes / table_bytes, 2),
        "write_seconds": made["table"]["write_seconds"], "seconds": run.seconds, "steps": run.steps,
    }  # fmt: skip
    if given.quick:
        print(json.dumps(figures))
    else:
        rows.append("scale", figures)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--router", default=ROUTERS, help=f"default: {ROUTERS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20,000 prompts, and no row")
    parser.add_argument("--make", type=Path, help="only write the table to this file")
    return parser.parse_args()


@dataclass(frozen=True)
class Run:
    """What one command took: its seconds by step, and in all with its start."""

    seconds: float
    peak_bytes: int
    steps: dict[str, float]


def measure(table: Path, routers: str) -> Run:
    """Run ``waypost eval`` on a table."""
    command = [sys.executable, "-m", "waypost", "eval", str(table), "--router", routers, "--json"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.read() if process.stderr else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(said)
    found = [match for line in said.splitlines() if (match := _STEP.match(line))]
    steps = {match["what"]: float(match["seconds"].replace(",", "")) for match in found}
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(round(time.perf_counter() - start, 1), used.ru_maxrss * unit, steps)


def make(path: Path, prompts: int, seed: int) -> dict[str, Any]:
    """Write a table of so many prompts, and say how large it is on disk and in memory."""
    from waypost.outcomes import parquet

    table = synthetic(prompts, seed)
    start = time.perf_counter()
    parquet.write(path, table)
    seconds = time.perf_counter() - start
    return {
        "file_bytes": path.stat().st_size,
        "table_bytes": size(parquet.read(path)),
        "write_seconds": round(seconds, 1),
    }


def synthetic(n: int, seed: int) -> Outcomes:
    """Prompts of random words, a third of them of their group's own; what a model is worth depends on the group.

    One prompt in a hundred is another's duplicate.  There are costs, seconds and token counts, and no answers.
    """
    import numpy as np

    from waypost.outcomes import Outcomes
    from waypost.outcomes.recorded import Recorded

    rng = np.random.default_rng(seed)
    group_N = rng.integers(len(GROUPS), size=n)
    skill_GM = rng.uniform(0.2, 0.9, (len(GROUPS), len(MODELS)))
    price_M = 10.0 ** rng.uniform(-7, -5, len(MODELS))
    prompts = _prompts(rng, group_N)
    words_N = np.array([prompt.count(" ") + 1 for prompt in prompts])
    shape = (n, len(MODELS))
    tokens_in_NM = np.broadcast_to((1.3 * words_N).astype(np.int32)[:, None], shape)
    tokens_out_NM = rng.gamma(2.0, 80.0, shape).astype(np.int32) + 1
    quality_NM = (rng.random(shape) < skill_GM[group_N]).astype(np.float64)
    usd_NM = (tokens_in_NM + 4 * tokens_out_NM) * price_M
    seconds_NM = 0.2 + tokens_out_NM * rng.uniform(0.005, 0.03, len(MODELS))
    recorded = Recorded.packed(np.array([[True]]), {"tokens_in": tokens_in_NM, "tokens_out": tokens_out_NM})
    ids, groups = tuple(f"q{i:07}" for i in range(n)), tuple(GROUPS[g] for g in group_N)
    return Outcomes(ids, prompts, groups, MODELS, quality_NM, usd_NM, seconds_NM, recorded=recorded)


def _prompts(rng: np.random.Generator, group_N: np.ndarray) -> tuple[str, ...]:
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, length)) for length in rng.integers(3, 9, 20_000)]
    common, own = words[:5000], [words[5000 + 1500 * g :][:1500] for g in range(len(GROUPS))]
    made: list[str] = []
    for group, length in zip(group_N.tolist(), rng.integers(6, 30, len(group_N)).tolist(), strict=True):
        at = rng.integers(4500, size=length).tolist()
        said = (common[i] if k % 3 else own[group][i // 3] for k, i in enumerate(at))
        made.append(" ".join(said).capitalize() + ".")
        if len(made) > 1 and at[0] < 45:
            made[-1] = made[-2].upper()
    return tuple(made)


def size(table: Outcomes) -> int:
    """Bytes that a table holds: arrays (a value that stands for all counts once), tuples, and each text once."""
    arrays = [table.quality_NM, table.usd_NM, table.seconds_NM, table.weight_N]
    columns = [table.recorded.there_nm, *table.recorded.columns.values()] if table.recorded else []
    numbers = sum(array.nbytes if any(array.strides) else array.itemsize for array in (*arrays, *columns))
    texts: Sequence[tuple[str, ...]] = (table.ids, table.prompts, table.groups, table.sources, table.models)
    kept = {id(text): sys.getsizeof(text) for column in texts for text in column}
    return numbers + sum(map(sys.getsizeof, texts)) + sum(kept.values())


if __name__ == "__main__":
    main()
