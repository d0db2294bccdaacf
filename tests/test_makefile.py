"""``make run`` serves a stranger with OpenAI's stock client; a Python that cannot be used is named in one line."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from openai import OpenAI

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = ROOT / "Makefile"


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


def test_make_run_streams_from_the_real_model_to_the_stock_client() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["make", "--silent", "run", f"PORT={port}"]
    # In a group of its own: Ctrl-C in a terminal reaches make and the server alike.
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, process_group=0) as made:
        try:
            assert made.stderr is not None
            said = []
            for line in made.stderr:
                said.append(line)
                if line.startswith("curl "):
                    break
            assert f"http://127.0.0.1:{port}" in "".join(said)
            client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="unused")
            question = {"role": "user", "content": "What is the capital of France?"}
            with client.chat.completions.create(model="auto", messages=[question], stream=True) as stream:
                chunks = list(stream)
        finally:
            os.killpg(made.pid, signal.SIGINT)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert {chunk.model for chunk in chunks} == {"smollm2-135m"}
    assert len([piece for piece in pieces if piece]) > 1
    assert "Paris" in "".join(pieces)
