"""When codes are said to be moved by noise less than a gate is."""

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
    return importlib.import_module("vqmoe")


@pytest.mark.parametrize(
    ("paper", "code", "holds"),
    [
        ((0.1, 0.3), (0.01, 0.2), True),
        ((0.1, 0.3), (-0.01, 0.2), None),
        ((0.1, 0.3), (-0.2, -0.01), False),
    ],
)
def test_both_estimators_must_do_it(script: ModuleType, paper, code, holds: bool | None) -> None:
    bounds = {"paper: fewer changes than top-2": paper, "code: fewer changes than top-2": code}
    assert script.verdict(bounds) is holds


def test_unrelated_experts_are_chance_and_a_collapsed_router_gains_nothing(script: ModuleType) -> None:
    torch.manual_seed(0)
    before_T, after_T = torch.randint(8, (2, 20_000))
    assert script.of_chance(before_T, after_T) == pytest.approx(1.0, abs=0.02)
    assert script.of_chance(before_T, before_T) == 0.0
    collapsed_T = torch.full((10,), 3)
    assert script.of_chance(collapsed_T, collapsed_T) == 1.0


def test_what_each_mixture_sees_is_kept_and_the_model_left_as_it_was(script: ModuleType) -> None:
    torch.manual_seed(0)
    model = script.LanguageModel(50, script.MODELS["paper"], width=16)
    ids_BL = torch.randint(50, (2, 8))
    seen = script.entering(model, ids_BL)
    assert [tuple(x_TD.shape) for x_TD in seen] == [(16, 16), (16, 16)]
    torch.testing.assert_close(seen[0].mean(-1), torch.zeros(16), atol=1e-5, rtol=0)  # it comes out of a norm
    assert not any(block.moe._forward_pre_hooks for block in model.blocks)
