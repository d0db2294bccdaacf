"""What every benchmark's row says of where it comes from; rows are appended, so a number is never lost."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def append(name: str, figures: Mapping[str, Any]) -> None:
    """Print a row, and add it to ``benchmarks/results/<name>.jsonl``."""
    line = json.dumps({**origin(), **figures})
    print(line)
    with (ROOT / "benchmarks" / "results" / f"{name}.jsonl").open("a") as out:
        out.write(line + "\n")


def origin() -> dict[str, Any]:
    """Commit (with a + when files differ from it), date, and the machine with its load."""
    changed = _git("status", "--porcelain", "--", "src", "benchmarks/*.py", "reproductions/*.py")
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if changed else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    names = [line for line in facts.read_text().splitlines() if line.startswith("model name")] if facts.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.machine()
