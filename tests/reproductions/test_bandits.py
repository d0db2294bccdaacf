"""When learning from chosen outcomes is said to pay, and to cost less and less."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def bandits(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for folder in ("benchmarks", "reproductions"):
        monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / folder))
    return importlib.import_module("bandits")


@pytest.mark.parametrize("n", [10, 11])
def test_linear_growth_does_not_slow_and_a_root_does(bandits: ModuleType, n: int) -> None:
    rounds = np.arange(1, n + 1)
    assert bandits.slowed(0.2 * rounds) == pytest.approx(0)
    assert bandits.slowed(np.sqrt(rounds)) > 0
    assert bandits.slowed(rounds**2.0) < 0


def test_growth_is_per_thousand_prompts(bandits: ModuleType) -> None:
    assert bandits.slowed(np.cumsum([1.0, 1.0, 0.0, 0.0])) == pytest.approx(1000)


def test_the_interval_is_students(bandits: ModuleType) -> None:
    mean, (low, high) = bandits.interval([90.0, 110.0])
    assert (mean, low, high) == (100.0, -27.1, 227.1)  # 12.706 standard errors of 10


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [([(1, 3), (2, 5)], True), ([(1, 3), (-2, 5)], None), ([(-1, 3), (-5, -2)], False), ([(0, 0), (1, 2)], None)],
)
def test_all_must_lie_above_zero(bandits: ModuleType, bounds: list[tuple[int, int]], holds: bool | None) -> None:
    assert bandits.verdict(dict(enumerate(bounds))) is holds
