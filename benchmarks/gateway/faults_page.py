"""The table of faults as ``docs/faults.md``.

python benchmarks/gateway/faults_page.py            # writes the page from the rows of the last run
python benchmarks/gateway/faults_page.py --check    # only says whether the page is what its rows say
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checks.check import Check

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "gateway_faults.jsonl"
PAGE = ROOT / "docs" / "faults.md"

HEAD = """\
# Faults and abuse

What Waypost does when a provider fails, when a client misbehaves, and when what it stands on goes away; beside it LiteLLM, which is the gateway that most people know. Made by `python benchmarks/gateway/faults.py`; the rows are in `benchmarks/results/gateway_faults.jsonl`. Each check is also a test of Waypost's: `python -m pytest tests/benchmarks/gateway/test_faults.py -k stream-cut`.

Both stand before the same mock provider, with the same models, fallbacks, prices and, where a check is about waiting, the same time limits (1 s for the first byte and between two; LiteLLM's `stream_timeout`). Everything else is as each comes: LiteLLM with its proxy, one worker, a master key and no database, in production mode. What wants its database, or a feature that it does not have, is not run, and says why. "Right" is what we take to be right; what was done is told beside it, so judge for yourself.
"""  # noqa: E501 - paragraphs of the page

Row = dict[str, Any]


def text(checks: Sequence[Check]) -> str:
    """The page, from the rows of the last run."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    last = [row for row in kept if row["run"] == kept[-1]["run"]]
    if not last:
        return HEAD
    found = {(row["target"], row["check"]): row for row in last}
    names = {row["target"]: row["about"] for row in last}
    lines = [HEAD, *_sums(last, names), ""]
    for group in dict.fromkeys(check.group for check in checks):
        lines += [
            f"## {group}",
            "",
            f"| check | what is sent | right | {' | '.join(names)} |",
            "|---" * (3 + len(names)) + "|",
        ]
        for check in (check for check in checks if check.group == group):
            cells = [_cell(found.get((name, check.name))) for name in names]
            lines.append(f"| {' | '.join((f'`{check.name}`', check.sent, check.right, *cells))} |")
        lines.append("")
    one = last[0]
    lines.append(f"Measured at {one['commit']}, {one['date'][:10]}, on {one['machine']} (load {one['load']}).\n")
    return "\n".join(lines)


def _sums(last: Sequence[Row], names: dict[str, str]) -> Iterator[str]:
    for name, about in names.items():
        own = [row["right"] for row in last if row["target"] == name]
        skipped = own.count(None)
        rest = f"; {skipped} were not run" if skipped else ""
        yield f"- `{name}` ({about}): right in {own.count(True)} of {len(own) - skipped} checks{rest}."


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    mark = {True: "✓", False: "✗", None: "not run:"}[row["right"]]
    did = " ".join(row["did"].split()).replace("|", "\\|").replace("<", "&lt;")
    return f"{mark} {did}"


def main() -> None:
    """Write the page, or check it."""
    from faults import CHECKS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        sys.exit(
            0 if PAGE.read_text() == text(CHECKS) else f"{PAGE.name} is older than its rows; run {Path(__file__).name}"
        )
    PAGE.write_text(text(CHECKS))


if __name__ == "__main__":
    main()
