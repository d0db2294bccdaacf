"""Write ``docs/evidence.md``, and what ``waypost systems`` says of it, from ``reproductions/results``.

``--check`` only says whether both are up to date:

python reproductions/evidence.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claims import RESULTS, ROOT

PAGE = ROOT / "docs" / "evidence.md"
SHORT = ROOT / "src" / "waypost" / "routers" / "evidence.json"
HEAD = """\
# Evidence

What the papers claim, and what we find when we test it: one section a system, written by `reproductions/evidence.py` from the last full run of each script (of a quick one where there is no other). A claim that does not hold here is reported as such, and one that too few questions leave open as undecided. The rows, with all numbers, are in `reproductions/results`.
"""  # noqa: E501 - a paragraph of the page
VERDICT = {True: "holds here", False: "**does not hold here**", None: "undecided"}


def page() -> str:
    """The whole page."""
    rows = [_last(file) for file in sorted(RESULTS.glob("*.jsonl"))]
    table = ["| system | verdict | in one sentence |", "|---|---|---|"]
    table += [f"| [{row['system']}](#{_anchor(row['system'])}) | {_verdict(row)} | {row['note']} |" for row in rows]
    return "\n".join([HEAD, *table, "", *map(_section, rows)])


def short() -> str:
    """Of each claim that is about routers of the registry: which, the verdict and one sentence, as JSON."""
    rows = [_last(file) for file in sorted(RESULTS.glob("*.jsonl"))]
    kept = [
        {**{name: row[name] for name in ("system", "routers", "note", "commit")}, "verdict": _verdict(row).strip("*")}
        for row in rows
        if row.get("routers")
    ]
    return json.dumps(kept, ensure_ascii=False, indent=1) + "\n"


def _last(file: Path) -> dict[str, Any]:
    """The last full run of a script, or the last quick one."""
    rows = [{"script": file.stem, **json.loads(line)} for line in file.read_text().splitlines()]
    return ([row for row in rows if not row["quick"]] or rows)[-1]


def _section(row: Mapping[str, Any]) -> str:
    quick = ", a quick run" if row["quick"] else ""
    lines = [
        f"## {row['system']}",
        "",
        f"**Claim.** {row['claim']}",
        "",
        f"**Paper.** {row['paper']}",
        "",
        f"**Here.** {row['note']} Verdict: {_verdict(row)}.",
        "",
    ]
    if row["measured"] or row["baselines"]:
        lines += ["| measured | value | 95 % |", "|---|---|---|"]
        lines += [f"| {name} | {_shown(value)} | {_interval(row, name)} |" for name, value in row["measured"].items()]
        lines += [
            f"| *{name}* | {_shown(value)} | {_interval(row, name)} |" for name, value in row["baselines"].items()
        ]
        lines += ["", "In italics: baselines.", ""] if row["baselines"] else [""]
    seeds = f"; {len(row['seeds'])} seeds" if len(row["seeds"]) > 1 else ""
    lines += [f"From `reproductions/{row['script']}.py` at {row['commit']}, {row['date'][:10]}{quick}{seeds}.", ""]
    return "\n".join(lines)


def _verdict(row: Mapping[str, Any]) -> str:
    """In a word; what has no interval was not measured, so there was nothing to test."""
    return "nothing to test" if row["holds"] is None and not row["ci95"] else VERDICT[row["holds"]]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value)


def _interval(row: Mapping[str, Any], name: str) -> str:
    return " … ".join(map(_shown, row["ci95"][name])) if name in row["ci95"] else ""


def _anchor(heading: str) -> str:
    kept = "".join(sign for sign in heading.lower() if sign.isalnum() or sign in " -_")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    for file, text in ((PAGE, page()), (SHORT, short())):
        if "--check" not in sys.argv[1:]:
            file.write_text(text)
        elif not file.is_file() or file.read_text() != text:
            sys.exit(f"{file.name} is older than its rows: run {Path(__file__).name}")
