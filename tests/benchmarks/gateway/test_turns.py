"""Versions in turns: what is told of them is the ratio within a turn, however much the machine changes between two."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("turns")


def test_a_version_that_takes_four_fifths_in_every_turn_is_told_so_on_a_machine_that_changes(turns: ModuleType) -> None:
    machine_T = np.random.default_rng(0).uniform(100, 300, 50)
    noise_T = np.random.default_rng(1).normal(1, 0.02, 50)
    found_TVF = np.stack([machine_T, machine_T * 0.8 * noise_T], axis=1)[:, :, None]
    first, second = turns.summed(["a", "b"], found_TVF, ["cpu_us"])
    assert first == {"version": "a", "cpu_us": round(float(np.median(machine_T)), 3), "cpu_us_ratio": [1.0, 1.0, 1.0]}
    ratio, low, high = second["cpu_us_ratio"]
    assert low < 0.8 < high and high - low < 0.02 and low < ratio < high


def test_a_version_is_the_source_of_its_commit(turns: ModuleType, tmp_path: Path) -> None:
    source = turns._source("HEAD", tmp_path)
    assert (source / "waypost" / "__init__.py").is_file() and source != turns._source(".", tmp_path)
    with pytest.raises(SystemExit, match="git knows no version 'nowhere'"):
        turns._source("nowhere", tmp_path)
