"""When the locality loss is said to do what it should, and what the models are trained on."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def locmoe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "reproductions"))
    return importlib.import_module("locmoe")


@pytest.mark.parametrize(
    ("share", "fuller", "loss", "errors", "holds"),
    [
        ((0.1, 0.3), (0.0, 0.1), (-0.01, 0.02), 2.0, True),
        ((0.1, 0.3), (-0.1, 0.9), (-0.01, 0.02), 2.0, None),
        ((-0.1, 0.3), (0.0, 0.1), (-0.01, 0.02), 2.0, None),
        ((0.1, 0.3), (0.0, 0.1), (-0.01, 0.06), 2.0, None),
        ((-0.3, -0.1), (0.0, 0.1), (-0.01, 0.02), 2.0, False),
        ((0.1, 0.3), (0.3, 0.5), (-0.01, 0.02), 2.0, False),
        ((0.1, 0.3), (0.0, 0.1), (0.05, 0.06), 2.0, False),
        ((0.1, 0.3), (0.0, 0.1), (-0.01, 0.02), 9.0, False),
    ],
)
def test_share_balance_model_and_bound_all_decide(
    locmoe: ModuleType,
    share: tuple[float, float],
    fuller: tuple[float, float],
    loss: tuple[float, float],
    errors: float,
    holds: bool | None,
) -> None:
    bounds = {
        "local share, gain by the loss, apart": share,
        "fullest load, gain by the loss, apart": fuller,
        "held-out loss, gain by the loss, apart": loss,
    }
    values = {
        "fullest load, without the loss, apart": 2.0,
        "held-out loss, without the loss, apart": 4.0,
    }
    assert locmoe.verdict(bounds, values, errors) is holds


def test_texts_are_apart_or_mixed(locmoe: ModuleType) -> None:
    prose, code = (locmoe.Text(torch.full((99,), side), torch.full((99,), side), 2) for side in (0, 1))
    drawn = torch.Generator().manual_seed(0)
    apart_B = locmoe.Sides(prose, code, apart=True).batch(drawn, 40, 5)[:, 0]
    assert apart_B.tolist() == [0, 1] * 20
    mixed_B = locmoe.Sides(prose, code, apart=False).batch(drawn, 40, 5)[:, 0]
    assert 0 < int(mixed_B[::2].sum()) < 20


def test_a_sequence_lies_on_one_machine(locmoe: ModuleType) -> None:
    assert locmoe.homes(torch.zeros(3, 2, 1)).tolist() == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(("loads", "weight"), [([3.2, 9, 9, 9], 0.1), ([4, 3.4, 3.2, 9], 0.01), ([4, 4, 4, 4], 0.003)])
def test_the_largest_weight_that_keeps_the_balance_is_taken(
    locmoe: ModuleType, monkeypatch: pytest.MonkeyPatch, loads: list[float], weight: float
) -> None:
    fullest = dict(zip(locmoe.WEIGHTS, loads, strict=True)) | {0.0: 3.0}

    def measured(name: str, seed: int, steps: int, weight: float, *, held_out: bool) -> dict[str, float]:
        assert not held_out and seed == 1000
        return {"fullest load": fullest[weight]}

    monkeypatch.setattr(locmoe, "measured", measured)
    assert locmoe.chosen(60) == weight
