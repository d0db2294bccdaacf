"""Every reproduction states its claim, keeps its rows in one form, and the evidence page says what they say."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "reproductions"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if path.stem not in ("claims", "evidence")]
RESULTS = sorted((FOLDER / "results").glob("*.jsonl"))
FIELDS = {"system", "claim", "paper", "measured", "baselines", "ci95", "seeds", "holds", "note", "commit", "quick"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_states_its_claim(script: Path) -> None:
    doc = ast.get_docstring(ast.parse(script.read_text())) or ""
    stated = [line.partition(":")[0] for line in doc.splitlines() if line.partition(":")[1]]
    positions = [stated.index(part) for part in ("Claim", "Paper", "Tested", "Not tested")]
    assert positions == sorted(positions)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_kept_a_row(script: Path) -> None:
    assert FOLDER / "results" / f"{script.stem}.jsonl" in RESULTS


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_rows_have_one_form(results: Path) -> None:
    for line in results.read_text().splitlines():
        row = json.loads(line)
        assert row.keys() >= FIELDS
        assert row["holds"] in (True, False, None)
        assert set(row["ci95"]) <= set(row["measured"]) | set(row["baselines"])


def test_the_evidence_page_says_what_the_rows_say() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "evidence.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_run_prints_one_object_and_keeps_nothing_when_told_so() -> None:
    before = (FOLDER / "results" / "survey.jsonl").read_bytes()
    command = [sys.executable, FOLDER / "survey.py", "--quick", "--json", "--no-keep"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["holds"] is None
    assert (FOLDER / "results" / "survey.jsonl").read_bytes() == before
