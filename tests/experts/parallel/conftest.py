"""Real processes: four are started once, and run every check that a test file of this folder lists as ``CHECKS``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import waypost

WORKER = Path(__file__).with_name("worker.py")
WORLD = 4


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each process said of each check: nothing if it holds, else the traceback."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "PYTHONPATH": str(Path(waypost.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(WORKER), str(folder)]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        try:
            errors = started.communicate(timeout=120)[1]
        except subprocess.TimeoutExpired:
            errors = "the processes were not done after 120 s; what they had said by then is told"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
    found: dict[str, list[str]] = {"errors": [errors]}
    for rank in range(WORLD):
        file = folder / f"{rank}.json"
        for name, what in json.loads(file.read_text() if file.exists() else "{}").items():
            found.setdefault(name, []).append(f"rank {rank}: {what}" if what else "")
    return found
