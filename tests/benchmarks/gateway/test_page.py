"""The page of speeds says what its rows say."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("page")


def row(target: str, concurrency: int | None, **figures: Any) -> dict[str, Any]:
    origin = {"commit": "abc", "date": "2026-01-01T00:00:00", "machine": "M", "load": 0.1, "about": f"as {target}"}
    return {"run": "2", **origin, "target": target, "concurrency": concurrency, "note": None, "p50_ms": None, **figures}


def test_the_page_is_made_of_the_rows() -> None:
    command = [sys.executable, FOLDER / "page.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_last_run_is_shown_with_what_a_hop_adds(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "gateway.jsonl"
    found = [
        row("old", 1, p50_ms=9.0) | {"run": "1"},
        row("direct", 1, p50_ms=0.1),
        row("waypost", 1, p50_ms=0.35, ready_s=0.71),
        row("waypost", 64, cpu_us_per_request=151.2, errors={"500": 2}, ready_s=0.71),
        row("nginx", None) | {"note": "nginx is not installed"},
    ]
    kept.write_text("".join(json.dumps(one) + "\n" for one in found))
    monkeypatch.setattr(page, "KEPT", kept)
    text = page.text()
    assert "| `waypost` | 0.25 | – | – | 151 | – | – | – | 0.7 | – |" in text
    assert "| `nginx` | – |" in text
    assert "nginx was not measured: nginx is not installed" in text
    assert "waypost at 64: 2 × 500" in text
    assert "old" not in text
