"""Do the routers beat the best single model on the shipped table, and what do they cost?

Runs ``waypost eval`` and keeps its rows. Whatever follows is passed on to it, so other tables are measured alike:

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --format routerbench --train TRAIN.csv --test TEST.csv --router knn,ridge
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import rows


def main() -> None:
    """Append one row for each router and test table."""
    command = [sys.executable, "-m", "waypost", "eval", *sys.argv[1:], "--json"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    # Files are named without their folders: a row is read on other machines too.
    words = [Path(word).name if Path(word).exists() else word for word in sys.argv[1:]]
    for line in found.stdout.splitlines():
        rows.append("evaluation", {"arguments": words, **json.loads(line)})


if __name__ == "__main__":
    main()
