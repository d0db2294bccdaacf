"""The page of faults says what its rows say."""

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
    return importlib.import_module("faults_page")


def row(target: str, check: str, right: bool | None, did: str) -> dict[str, Any]:
    origin = {"commit": "abc", "date": "2026-01-01T00:00:00", "machine": "M", "load": 0.1, "about": f"as {target}"}
    return {"run": "2", **origin, "target": target, "check": check, "right": right, "did": did}


def test_the_page_is_made_of_the_rows() -> None:
    command = [sys.executable, FOLDER / "faults_page.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_last_run_is_shown_with_what_each_did(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "gateway_faults.jsonl"
    found = [
        row("waypost", "no-key", False, "of an older run") | {"run": "1"},
        row("waypost", "no-key", True, "401 | at once"),
        row("litellm", "no-key", False, "passes <html>"),
        row("litellm", "clock", None, "it has none"),
    ]
    kept.write_text("".join(json.dumps(one) + "\n" for one in found))
    monkeypatch.setattr(page, "KEPT", kept)
    monkeypatch.syspath_prepend(str(FOLDER))
    check = importlib.import_module("checks.check").Check
    listed = [check(name, "Keys", "nothing", "401", lambda bed: None) for name in ("no-key", "clock")]
    text = page.text(listed)
    assert "| `no-key` | nothing | 401 | ✓ 401 \\| at once | ✗ passes &lt;html> |" in text
    assert "| `clock` | nothing | 401 | – | not run: it has none |" in text
    assert "- `litellm` (as litellm): right in 0 of 1 checks; 1 were not run." in text
    assert "older" not in text.split("## Keys")[1]
