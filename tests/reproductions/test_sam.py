"""When more experts a token are said to help, and how crossings are counted."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from waypost.experts import Routing


@pytest.fixture
def sam(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "reproductions"))
    return importlib.import_module("sam")


@pytest.mark.parametrize(
    ("two", "four", "holds"),
    [
        ((-0.2, -0.1), (-0.3, -0.1), True),
        ((-0.2, 0.1), (-0.3, -0.1), None),
        ((-0.2, -0.1), (0.1, 0.2), False),
    ],
)
def test_both_larger_numbers_decide(
    sam: ModuleType, two: tuple[float, float], four: tuple[float, float], holds: bool | None
) -> None:
    assert sam.verdict({"loss, SAM, k=2 less SAM, k=1": two, "loss, SAM, k=4 less SAM, k=1": four}) is holds


def test_what_stays_at_home_does_not_cross_and_a_machine_is_counted_once(sam: ModuleType) -> None:
    """Four machines of two experts; the first token goes home once and twice to machine 3, the second nowhere else."""
    experts_TK = torch.tensor([[0, 6, 7], [2, 3, 2]])
    routing = Routing.of(torch.ones(2, 3), experts_TK, experts=8)
    assert sam.away(routing, torch.tensor([0, 1])) == (1.0, 0.5)
