"""What Waypost does when something fails or somebody misbehaves, and what LiteLLM does: one list of checks for both.

    python benchmarks/gateway/faults.py                     # both; appends rows, writes docs/faults.md
    python benchmarks/gateway/faults.py --only waypost      # one of them, or some checks by name; only prints
    python benchmarks/gateway/faults.py --only stream-cut,no-key

Both stand before the same mock provider (`upstream.py`), with the same models, fallbacks, prices and time limits.  A
check sends something and looks at what comes back, at what the provider has seen, and at a server that nobody has any
business with.  `tests/benchmarks/gateway/test_faults.py` runs each against Waypost as a test.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faults_page
from checks import beds, clients, dependencies, destinations, failing, incidents, sharing
from checks.check import Bed, Check, Found
from peers import CannotInstall
from targets import DidNotStart

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rows

CHECKS: tuple[Check, ...] = (
    *failing.CHECKS,
    *clients.CHECKS,
    *destinations.CHECKS,
    *sharing.CHECKS,
    sharing.OVERLOAD,
    *dependencies.CHECKS,
    *incidents.CHECKS,
)
TARGETS = {"waypost": "this commit", "litellm": "1.106.2, a master key, no database"}


@dataclass(slots=True)
class Beds:
    """The gateways of one target, each started when it is first needed; use it as a context."""

    target: str
    _stack: ExitStack = field(default_factory=ExitStack)
    _started: dict[bool, Bed] = field(default_factory=dict)

    def __enter__(self) -> Beds:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def of(self, check: Check) -> Bed:
        """The gateway for a check: one that is to be overloaded, or the one for all others."""
        overloaded = check is sharing.OVERLOAD
        if overloaded not in self._started:
            models = [model for one in CHECKS for model in one.models]
            self._started[overloaded] = self._stack.enter_context(beds.bed(self.target, models, overloaded=overloaded))
        return self._started[overloaded]

    def run(self, check: Check) -> Found:
        """Try a check; one that cannot even be tried to its end is not right."""
        bed = self.of(check)
        try:
            return check.run(bed)
        except (OSError, AssertionError, LookupError, TypeError, DidNotStart) as error:
            return Found(False, f"no end: {type(error).__name__}: {error}"[:200])


def measured(target: str, checks: Sequence[Check]) -> Iterator[dict[str, Any]]:
    """A row for each check; ``right`` is None where it was not run, and ``did`` says why."""
    with Beds(target) as started:
        for check in checks:
            if check.ours_only is not None and target != "waypost":
                found = {"right": None, "did": check.ours_only}
            else:
                one = started.run(check)
                found = {"right": one.right, "did": one.did}
            print(f"{target}: {check.name}: {found['did']}", file=sys.stderr, flush=True)
            yield {"target": target, "about": TARGETS[target], "check": check.name, **found}


def main() -> None:
    """Run, and print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="a target or names of checks, with commas; no row is kept")
    only = set((parser.parse_args().only or "").split(",")) - {""}
    unknown = only - set(TARGETS) - {check.name for check in CHECKS}
    if unknown:
        parser.error(f"no target or check {', '.join(sorted(unknown))}")
    wanted = [name for name in TARGETS if name in only] or list(TARGETS)
    checks = [check for check in CHECKS if check.name in only] or CHECKS
    origin, run = rows.origin(), datetime.now(UTC).isoformat(timespec="seconds")
    found = []
    for target in wanted:
        try:
            found += [{**origin, "run": run, **row} for row in measured(target, checks)]
        except (CannotInstall, DidNotStart) as error:
            print(f"{target} is left out: {error}", file=sys.stderr)
    for row in found:
        print(json.dumps({name: row[name] for name in ("target", "check", "right", "did")}))
    if not only:
        with faults_page.KEPT.open("a") as out:
            out.writelines(json.dumps(row) + "\n" for row in found)
        faults_page.PAGE.write_text(faults_page.text(CHECKS))


if __name__ == "__main__":
    main()
