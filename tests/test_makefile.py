"""What make says to someone whose Python cannot be used: one line that names the way out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[1] / "Makefile"


def setting_up(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the first step of ``make run`` in an empty folder with a Python that is this shell script."""
    shutil.copy(MAKEFILE, folder)
    interpreter = folder / "python"
    interpreter.write_text(f"#!/bin/sh\n{python}\n")
    interpreter.chmod(0o755)
    command = ["make", ".venv/.made", f"PYTHON={folder}/missing {interpreter}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        pytest.param(
            '[ "$1" = -V ] && echo Python 3.9.1 || exit 1', "needs Python 3.11 or newer, found 3.9.1", id="old"
        ),
        pytest.param("exit 127", "needs Python 3.11 or newer, found none", id="missing"),
        pytest.param(
            'case "$2" in *ensurepip*) exit 1;; esac; echo Python 3.12.1',
            "Python 3.12.1 has no venv module; install it",
            id="without-venv",
        ),
    ],
)
def test_an_unusable_python_is_named_in_one_line(python: str, sentence: str, tmp_path: Path) -> None:
    done = setting_up(tmp_path, python)
    assert done.returncode != 0
    first, *rest = done.stderr.splitlines()
    assert sentence in first
    assert len(rest) == 1  # make's own
    assert not (tmp_path / ".venv").exists()
