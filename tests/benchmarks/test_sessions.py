"""The sessions benchmark runs, and docs/traffic.md quotes its latest rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "sessions.py"


def test_a_quick_run_measures_every_policy_in_every_pool() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--quick"], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({(row["pool"], row["weight"], row["policy"]) for row in rows}) == len(rows) == 2 * 3 * 6
    of = {(row["pool"], row["weight"], row["policy"]): row for row in rows}
    for pool, weight, policy in of:
        assert policy not in ("cheapest", "best", "first choice stays") or of[pool, weight, policy]["switches"] == 0
        assert of[pool, weight, "cheapest"]["usd"] < of[pool, weight, "sessions"]["usd"]


def test_the_page_quotes_the_latest_rows() -> None:
    page = (ROOT / "docs" / "traffic.md").read_text()
    kept = (ROOT / "benchmarks" / "results" / "sessions.jsonl").read_text().splitlines()
    latest = {(row["pool"], row["weight"], row["policy"]): row for row in map(json.loads, kept)}
    for pool in ("small+large", "small+middle+large"):
        for weight in (3.0, 10.0):
            for policy in ("sessions", "best"):
                row = latest[pool, weight, policy]
                saved = "{:.1f} % ({:.1f} to {:.1f})".format(*row["saved_percent"]).replace("-", "−")
                quoted = f"| {1000 * row['usd']:.2f} | {row['quality']:.3f} | {saved} |"
                assert quoted in page, (pool, weight, policy, quoted)
