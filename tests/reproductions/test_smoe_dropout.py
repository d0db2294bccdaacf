"""The verdict on SMoE-Dropout asks for both halves of the claim, each with its whole interval."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "reproductions"


@pytest.fixture
def smoe_dropout(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("smoe_dropout")


def curves(*steps: float) -> list[list[float]]:
    """Losses at k = 1, 2, … of five seeds, which differ in where they start and a little in how they go on."""
    return [[3 + 0.1 * s - (1 + 0.01 * s) * sum(steps[:k]) for k in range(len(steps) + 1)] for s in range(5)]


FALLS, RISES = [0.1] * 7, [0.1] * 2 + [-0.02] * 5


@pytest.mark.parametrize(
    ("random", "learned", "holds"),
    [(FALLS, RISES, True), (FALLS, FALLS, False), (RISES, RISES, False), (RISES, FALLS, False)],
)
def test_it_holds_if_the_random_curve_falls_and_the_learned_one_does_not(
    smoe_dropout: ModuleType, random: list[float], learned: list[float], holds: bool
) -> None:
    losses = dict.fromkeys(smoe_dropout.arms(10), curves(*FALLS))
    losses |= {smoe_dropout.RANDOM: curves(*random), smoe_dropout.LEARNED: curves(*learned)}
    found = smoe_dropout.finding(losses, range(5))
    assert found.holds is holds
    assert smoe_dropout.finding(losses, range(5), quick=True).holds is None


def test_what_an_interval_leaves_open_is_undecided(smoe_dropout: ModuleType) -> None:
    surely_falls, surely_rises, open_ = (0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)
    assert smoe_dropout.falls([surely_falls, surely_falls]) is True
    assert smoe_dropout.falls([surely_falls, open_]) is None
    assert smoe_dropout.falls([open_, surely_rises]) is False
    assert smoe_dropout.rises([surely_falls, surely_rises]) is True
    assert smoe_dropout.rises([surely_falls, open_]) is None
    assert smoe_dropout.rises([surely_falls, surely_falls]) is False


def test_the_random_router_gets_every_k_while_training(smoe_dropout: ModuleType) -> None:
    schedule = smoe_dropout.arms(600)[smoe_dropout.RANDOM][1].schedule
    given = [schedule.at(step).k for step in range(600)]
    assert sorted(set(given)) == list(range(1, 9)) and given == sorted(given)
