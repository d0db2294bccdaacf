"""Experts that choose by Sinkhorn's plan: exact loads, and fewer tokens that nobody wants."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import NONE, Context, Control, ExpertChoice, SinkhornExpert
from waypost.experts.transport import sinkhorn


def made(kind: type = SinkhornExpert, **settings: object) -> torch.nn.Module:
    router = kind(4, experts=4, **settings)
    router.weight_ED.data = torch.eye(4)  # a token's scores are itself
    return router.eval()


def tokens(count: int = 64) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("group", [0, 16])
def test_loads_are_exact(k: int, group: int) -> None:
    assert made(k=k)(tokens(), context=Context(group=group)).load_E.tolist() == [16 * k] * 4


def test_experts_take_the_plan_s_greatest_shares_at_the_softmax_s_weights() -> None:
    x_TD = tokens()
    routing = made(k=1)(x_TD)
    for e in range(4):
        taken = (routing.experts_TK == e).any(-1).nonzero().flatten().tolist()
        assert sorted(taken) == sorted(sinkhorn(x_TD)[:, e].topk(16).indices.tolist())
    kept_TK = routing.experts_TK != NONE
    expected_TK = x_TD.softmax(-1).gather(1, routing.experts_TK.clamp(min=0))
    torch.testing.assert_close(routing.weights_TK[kept_TK], expected_TK[kept_TK])


def test_an_expert_that_is_liked_by_all_leaves_fewer_without_any() -> None:
    x_TD = tokens() + torch.tensor([3.0, 0.0, 0.0, 0.0])
    alone = [int((made(kind, k=1)(x_TD).experts_TK == NONE).all(-1).sum()) for kind in (SinkhornExpert, ExpertChoice)]
    assert alone[0] < alone[1]


def test_an_expert_that_is_not_allowed_leaves_its_places_empty() -> None:
    allowed_E = torch.tensor([True, True, False, True])
    assert made(k=2)(tokens(), Control(allowed_E=allowed_E)).load_E.tolist() == [32, 32, 0, 32]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: made(eps=-1.0), "eps is -1.0"),
        (lambda: made(steps=0), "steps is 0"),
        (lambda: made(capacity_factor=0.0), "capacity_factor is 0.0"),
        (lambda: made()(torch.ones(5, 4), context=Context(group=2)), "5 tokens came in groups of 2"),
        (lambda: made()(torch.ones(4, 4), Control(capacity=1), Context(group=2)), "capacity is 1"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
