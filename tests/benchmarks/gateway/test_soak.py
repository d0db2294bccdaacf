"""A short soak of the gateway as it is: no answer is lost, and nothing is left open."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"


def test_every_answer_is_in_the_store_and_nothing_is_left_open() -> None:
    command = [sys.executable, FOLDER / "soak.py", "--requests", "400"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["requests"] == 400
    assert found["acknowledged"] > 300
    assert found["rows_lost"] == 0
    assert found["at_end"]["tasks"] == found["at_start"]["tasks"]
    assert found["provider_in_flight"] == 0
    assert found["outcomes"]["ok 200"] > 300


def test_growth_is_that_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    slope = importlib.import_module("soak").slope
    sizes = [
        (0, 50.0),
        (100_000, 90.0),
        *((sent, 100.0 + 2 * sent / 1e5) for sent in range(200_000, 1_000_001, 50_000)),
    ]
    assert slope(sizes, 1_000_000) == pytest.approx(2.0)
