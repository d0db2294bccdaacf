"""When StableMoE is said to be stable and better, and what counts as a change."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from waypost.experts import Control, Routing, Schedule


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for folder in ("benchmarks", "reproductions"):
        monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / folder))
    return importlib.import_module("stablemoe")


@pytest.mark.parametrize(
    ("fall", "switch", "hashed", "most", "holds"),
    [
        ((0.1, 0.3), (0.01, 0.02), (0.01, 0.02), 0.0, True),
        ((0.1, 0.3), (-0.01, 0.02), (0.01, 0.02), 0.0, None),
        ((0.1, 0.3), (0.01, 0.02), (-0.03, -0.01), 0.0, False),
        ((-0.3, -0.1), (0.01, 0.02), (0.01, 0.02), 0.0, False),
        ((0.1, 0.3), (0.01, 0.02), (0.01, 0.02), 0.0005, False),
    ],
)
def test_all_of_it_must_hold(script: ModuleType, fall, switch, hashed, most: float, holds: bool | None) -> None:
    bounds = {"fall within stage 1": fall, "gain over switch": switch, "gain over hash": hashed}
    assert script.verdict(bounds, most) is holds


def test_shares_are_told_apart_by_where_stage_1_ends(script: ModuleType) -> None:
    found = script._parts([0.8, 0.6, 0.4, 0.2, 0.0, 0.1], first=4)
    assert found == pytest.approx({"early": 0.7, "late": 0.3, "after": 0.05, "most after": 0.1})


def test_words_are_routed_by_both_rules_where_a_stage_ends(script: ModuleType) -> None:
    """What the change of rules moves is not counted as a change in either stage."""

    def model(ids_BL: torch.Tensor, control: Control) -> tuple[None, list[Routing]]:
        experts_TK = torch.full((ids_BL.numel(), 1), control.stage - 1)
        return None, [Routing.of(torch.ones(experts_TK.shape), experts_TK, experts=2)]

    class Text:
        def batch(self, drawn: torch.Generator, sequences: int, length: int, *, held_out: bool) -> torch.Tensor:
            return torch.zeros(sequences, length + 1, dtype=torch.long)

    watched = script.Watched(model, Text(), Schedule(stages=(2 * script.EVERY,)))
    for step in range(4 * script.EVERY):
        watched(step, [])
    assert watched.changed == [0.0, 0.0, 0.0] and watched.between == [1.0]


def test_the_hash_is_even_over_ranks_and_the_same_for_the_same_word(script: ModuleType) -> None:
    from waypost.experts import Context

    routing = script.WordHash(4)(torch.randn(8, 3), Control(), Context(ids_T=torch.arange(8)))
    assert routing.load_E.tolist() == [2, 2, 2, 2] and routing.experts_TK[1] == routing.experts_TK[5]
