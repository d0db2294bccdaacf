"""What the comparison prints for machines is rows and nothing else."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"
SHOWN = [
    "target",
    "concurrency",
    "cpu_us_per_request",
    "p50_ms",
    "p99_ms",
    "requests_per_s",
    "ttft_ms",
    "cpu_us_per_chunk",
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    return importlib.import_module("run")


def test_rows_are_all_that_stdout_has() -> None:
    words = ["--quick", "--json", "--only", "direct", "--concurrency", "1,2", "--seconds", "0.2"]
    done = subprocess.run([sys.executable, FOLDER / "run.py", *words], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(row) for row in rows] == [SHOWN] * 2
    assert [(row["target"], row["concurrency"]) for row in rows] == [("direct", 1), ("direct", 2)]
    assert all(row["p50_ms"] > 0 and row["ttft_ms"] > 0 and row["cpu_us_per_request"] is None for row in rows)


def test_a_gateway_that_cannot_be_installed_is_a_row_that_says_so(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(run.targets.peers, "PLACES", "")
    (nginx,) = (target for target in run.TARGETS if target.name == "nginx")
    (row,) = run.measured(nginx, [1, 16], 1.0, "http://127.0.0.1:1/v1", set())
    assert row["concurrency"] is None
    assert "nginx is not installed (on Debian and Ubuntu: apt-get install nginx)" in row["note"]
    assert "nginx" in capsys.readouterr().err


def test_rounds_become_one_row_of_medians(run: ModuleType) -> None:
    repeated = [{"target": "a", "p50_ms": value, "errors": {"500": 1}, "note": None} for value in (3.0, 1.0, 9.0)]
    assert run._median(repeated) == {"target": "a", "p50_ms": 3.0, "errors": {"500": 3}, "note": None, "rounds": 3}
