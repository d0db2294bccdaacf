"""When autonomous experts are said to be better, and what they are compared with."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for folder in ("benchmarks", "reproductions"):
        monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / folder))
    return importlib.import_module("autonomy")


@pytest.mark.parametrize(
    ("gain", "off", "holds"),
    [
        ((0.01, 0.02), 0.0, True),
        ((-0.01, 0.02), 0.0, None),
        ((-0.02, -0.01), 0.0, False),
        ((0.01, 0.02), 1e-5, False),
    ],
)
def test_a_lower_loss_and_one_result_by_both_paths(script: ModuleType, gain, off: float, holds: bool | None) -> None:
    assert script.verdict(gain, off) is holds


def test_both_layers_have_about_as_many_weights(script: ModuleType) -> None:
    gate, ours = (sum(value.numel() for value in make(64).parameters()) for make in script.MODELS.values())
    assert 0.98 * gate < ours <= gate


def test_the_naive_path_recomputes_and_agrees(script: ModuleType) -> None:
    torch.manual_seed(0)
    layer, x_TD = script.autonomous(64), torch.randn(50, 64)
    torch.testing.assert_close(script.naive(layer, x_TD), layer(x_TD).y, rtol=0, atol=1e-6)


def test_the_interval_over_seeds_is_students(script: ModuleType) -> None:
    low, high = script.interval([0.9, 1.1])
    assert (low, high) == pytest.approx((-0.2706, 2.2706), abs=1e-4)  # 12.706 standard errors of 0.1
