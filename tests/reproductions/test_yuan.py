"""The comparison of attention routers is fair in parameters, and its verdict is that of the interval."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "reproductions"


@pytest.fixture
def yuan(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("yuan")


def test_the_bottleneck_has_no_fewer_parameters_and_is_a_linear_gate(yuan: ModuleType) -> None:
    torch.manual_seed(0)
    attention, bottleneck = (yuan.ARMS[name](64) for name in (yuan.ATTENTION, yuan.EQUAL))
    sizes = [sum(value.numel() for value in router.parameters()) for router in (attention, bottleneck)]
    assert sizes == [1536, 1728]
    x_TD = torch.randn(50, 64)
    scores_TE = x_TD @ (bottleneck.gate.weight_ED @ bottleneck.down_RD).T
    assert torch.equal(bottleneck(x_TD).experts_TK, scores_TE.topk(2).indices)


def test_all_routers_begin_with_numbers_of_the_same_size(yuan: ModuleType) -> None:
    """Queries, keys and values of attention, and the scores of the linear gates, have a variance of about 1."""
    torch.manual_seed(0)
    x_TD = torch.randn(1000, 64)
    attention, bottleneck, linear = (yuan.ARMS[name](64) for name in (yuan.ATTENTION, yuan.EQUAL, yuan.LINEAR))
    weights = [*attention.weight_GD.split(8), bottleneck.gate.weight_ED @ bottleneck.down_RD, linear.weight_ED]
    assert all(0.8 < float((x_TD @ weight.T).detach().std()) < 1.2 for weight in weights)


@pytest.mark.parametrize(("gap", "holds"), [(0.1, True), (-0.1, False), (0.0, None)])
def test_it_holds_if_attention_is_surely_below_the_bottleneck(yuan: ModuleType, gap: float, holds: bool | None) -> None:
    wobble = [0.02, -0.01, 0.0, 0.01, -0.02]
    scores = {
        yuan.ATTENTION: [yuan.Scored(3.0, 0.3, 7.0)] * 5,
        yuan.EQUAL: [yuan.Scored(3.0 + gap + w, 0.3, 6.0) for w in wobble],
        yuan.LINEAR: [yuan.Scored(3.5, 0.2, 5.0)] * 5,
    }
    found = yuan.finding(scores, dict.fromkeys(scores, 1), range(5))
    assert found.holds is holds and found.measured["loss: attention less linear"] == pytest.approx(-0.5)
    assert found.note.startswith({True: "Better", False: "Worse", None: "Within noise"}[holds])
