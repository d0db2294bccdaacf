"""Every reproduction states its claim, keeps its rows in one form, and the evidence page says what they say."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "reproductions"
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if path.stem not in ("claims", "evidence", "small_lm")]
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


@pytest.fixture
def routerbench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("routerbench")


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [
        ([(-0.01, 0.01), (0.0, 0.02)], True),
        ([(-0.01, 0.01), (-0.05, 0.09)], None),
        ([(-0.01, 0.01), (0.012, 0.044)], None),
        ([(-0.05, 0.09), (0.021, 0.044)], False),
    ],
)
def test_a_wide_interval_around_zero_is_no_evidence_of_being_alike(
    routerbench: ModuleType, bounds: list[tuple[float, float]], holds: bool | None
) -> None:
    names = [f"set {i}: knn" for i in range(len(bounds))]
    means = [sum(pair) / 2 for pair in bounds]
    found = routerbench.Compared(dict(zip(names, means, strict=True)), dict(zip(names, bounds, strict=True)), [0])
    assert routerbench.judgement(found, whole=True)[0] is holds
    assert routerbench.judgement(found, whole=False)[0] is None


def test_what_lies_on_one_side_of_the_zero_router_is_named(routerbench: ModuleType) -> None:
    """An interval that excludes zero is told even where it decides nothing about the margin."""
    names = ["mbpp: ridge", "all: knn"]
    bounds = dict(zip(names, [(-0.049, 0.093), (0.012, 0.044)], strict=True))
    _, note = routerbench.judgement(routerbench.Compared(dict.fromkeys(names, 0.02), bounds, [0]), whole=True)
    assert note.endswith("at 95 %: all: knn +0.020 (+0.012 to +0.044).")


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


@pytest.fixture
def routerdc(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("routerdc")


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [
        ([(0.1, 2.0), (0.2, 3.0)], True),
        ([(0.1, 2.0), (-0.2, 3.0)], None),
        ([(0.1, 2.0), (-3.0, -0.2)], False),
    ],
)
def test_routerdc_must_beat_all_of_them(
    routerdc: ModuleType, bounds: list[tuple[float, float]], holds: bool | None
) -> None:
    assert routerdc.verdict({f"difference {i}": pair for i, pair in enumerate(bounds)}) is holds


def test_routerdc_leaves_a_set_out_with_all_that_is_near_it(routerdc: ModuleType) -> None:
    table = routerdc.complete(None)
    split = next(routerdc.outside(table, seed=0))
    (name,) = split.tests
    assert name not in split.train.groups
    cluster_N = routerdc.clusters((*split.train.prompts, *split.tests[name].prompts))
    assert not set(cluster_N[: len(split.train)]) & set(cluster_N[len(split.train) :])
