"""The verdict on HyperRouter, and the count of what has learned."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "reproductions"


@pytest.fixture
def hyperrouter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("hyperrouter")


@pytest.mark.parametrize(
    ("gaps", "holds"), [((0.2, 0.1, 0.1), True), ((0.2, 0.1, -0.1), False), ((0.2, 0.1, 0.0), None)]
)
def test_it_holds_if_it_is_surely_below_all_others(
    hyperrouter: ModuleType, gaps: tuple[float, ...], holds: bool | None
) -> None:
    wobble = [0.02, -0.01, 0.0, 0.01, -0.02]
    losses = {hyperrouter.HYPER: [[3.0] * 4] * 5}
    for name, gap in zip(hyperrouter.OTHERS, gaps, strict=True):
        losses[name] = [[3.0 + gap + w] * 4 for w in wobble]
    found = hyperrouter.finding(losses, {"embedding_D": 64, "up_HD": 0}, range(5))
    assert found.holds is holds
    assert "changed 64 numbers of an embedding of 64 and 0 of everything else" in found.note


def test_training_changes_the_embedding_and_nothing_else_of_the_router(hyperrouter: ModuleType) -> None:
    small_lm = importlib.import_module("small_lm")
    make, plan = hyperrouter.arms(2)[hyperrouter.HYPER]
    text = small_lm.Text(torch.arange(500) % 7, torch.arange(500) % 7, 8)
    model = small_lm.LanguageModel(8, small_lm.mixture(make), layers=1)
    before = hyperrouter.routers(model)
    small_lm.train(model, text, plan, seed=0)
    moved = hyperrouter.changed(before, hyperrouter.routers(model))
    assert moved == {"embedding_D": 64, "up_HD": 0, "up_H": 0, "down_GH": 0, "down_G": 0}
