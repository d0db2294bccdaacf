"""What every script of this folder shares: how a claim is stated, measured, printed and kept.

A script's docstring states the claim in four parts, each a paragraph that begins with its name: ``Claim:``,
``Paper:`` (its number, with its source), ``Tested:`` and ``Not tested:``.  Its ``measure`` does the work, and
``run(__doc__, measure)`` prints one JSON object and appends it to ``results/<script>.jsonl``:

    python reproductions/routerbench.py --data FOLDER    # in full
    python reproductions/routerbench.py --quick --json   # in three minutes, on two cores
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
PARTS = ("Claim", "Paper", "Tested", "Not tested")

sys.path.insert(0, str(ROOT / "benchmarks"))
import rows  # noqa: E402 - the benchmarks' stamp of commit, date and machine


@dataclass(frozen=True)
class Options:
    """What a run was asked for: ``quick`` is under three minutes, ``data`` the folder of public data or None."""

    quick: bool
    data: Path | None

    def folder(self, name: str) -> Path | None:
        """A folder of the public data, or None where there is none."""
        found = self.data / name if self.data else None
        return found if found and found.is_dir() else None


@dataclass(frozen=True)
class Finding:
    """What was measured: ``holds`` is None where nothing can be tested or told; ``note`` is a sentence for the reader.

    ``ci95`` holds the interval of each measured number that has one; ``seeds`` are those that were averaged over.
    """

    measured: Mapping[str, Any]
    holds: bool | None
    note: str
    baselines: Mapping[str, Any] = field(default_factory=dict)
    ci95: Mapping[str, Sequence[float]] = field(default_factory=dict)
    seeds: Sequence[int] = ()


def stated(doc: str) -> dict[str, str]:
    """The four parts of a script's docstring.

    Raises:
        ValueError: a part is missing.
    """
    found = {}
    for part in PARTS:
        match = re.search(rf"^{part}:\s+(.+?)(?=\n\n|\Z)", doc, re.MULTILINE | re.DOTALL)
        if match is None:
            raise ValueError(f"the docstring has no paragraph '{part}:'; it needs {', '.join(PARTS)}")
        found[part] = " ".join(match[1].split())
    return found


def run(doc: str, measure: Callable[[Options], Finding], system: str = "", routers: Sequence[str] = ()) -> None:
    """Measure a claim as the command line asks, print it, and append it to the results.

    ``routers`` are those of the registry that the claim is about, beside which ``waypost systems`` shows the verdict.
    """
    script = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="in under three minutes on two cores")
    parser.add_argument("--json", action="store_true", help="print the object on one line and nothing else")
    parser.add_argument("--data", type=Path, help="the folder of public data; without it the shipped table is used")
    parser.add_argument("--no-keep", action="store_true", help="append nothing to the results")
    asked = parser.parse_args()
    parts = stated(doc)
    found = measure(Options(asked.quick, asked.data))
    row = {
        "system": system or script,
        "routers": list(routers),
        "claim": parts["Claim"],
        "paper": parts["Paper"],
        **asdict(found),
        "quick": asked.quick,
        "data": asked.data is not None,
        **rows.origin(),
    }
    print(json.dumps(row, ensure_ascii=False, indent=None if asked.json else 2))
    if not asked.no_keep:
        RESULTS.mkdir(exist_ok=True)
        with (RESULTS / f"{script}.jsonl").open("a") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
