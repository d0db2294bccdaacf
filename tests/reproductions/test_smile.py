"""When routing in two levels is said to be as good, and what the script's processes find."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def smile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "reproductions"))
    return importlib.import_module("smile")


@pytest.mark.parametrize(
    ("less", "error", "holds"),
    [
        ((-0.01, 0.02), 1e-6, True),
        ((-0.2, -0.1), 1e-6, None),  # better by more than the margin is not alike
        ((-0.01, 0.06), 1e-6, None),
        ((0.06, 0.09), 1e-6, False),
        ((-0.01, 0.02), 0.01, False),  # what one process computes is another thing
    ],
)
def test_both_learning_and_the_exchange_decide(
    smile: ModuleType, less: tuple[float, float], error: float, holds: bool | None
) -> None:
    assert smile.verdict(less, margin=0.05, error=error) is holds


def test_the_models_numbers_are_named_so(smile: ModuleType) -> None:
    found = smile.modelled()
    assert all(name.startswith("MODEL: ") for name in found)
    assert found["MODEL: flat over two levels, 1 machines, 1,024 tokens a process"] == 1.0
