"""Experts that choose by a sparse plan: never more than their places, and the plan's own tokens."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import NONE, Context, Control, SparseTransport
from waypost.experts.transport import sparse


def made(**settings: object) -> SparseTransport:
    router = SparseTransport(4, experts=4, **settings)
    router.weight_ED.data = torch.eye(4)  # a token's scores are itself
    return router.eval()


def tokens(count: int = 64) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("group", [0, 16])
def test_no_expert_takes_more_than_its_places(k: int, group: int) -> None:
    routing = made(k=k, gamma=0.02)(tokens(), context=Context(group=group))
    assert (routing.load_E <= 16 * k).all() and routing.load_E.sum() > 0
    assert made(k=k)(tokens(), context=Context(group=group)).load_E.tolist() == [16 * k] * 4


def test_experts_take_what_the_plan_gives_them_at_the_softmax_s_weights() -> None:
    x_TD = tokens()
    routing = made(k=1)(x_TD)
    plan_TE = sparse(x_TD.softmax(-1), most=16)
    for e in range(4):
        taken = (routing.experts_TK == e).any(-1).nonzero().flatten().tolist()
        assert taken == (plan_TE[:, e] > 0).nonzero().flatten().tolist()
    kept_TK = routing.experts_TK != NONE
    expected_TK = x_TD.softmax(-1).gather(1, routing.experts_TK.clamp(min=0))
    torch.testing.assert_close(routing.weights_TK[kept_TK], expected_TK[kept_TK])


def test_more_steps_leave_fewer_tokens_without_any() -> None:
    x_TD = tokens() + torch.tensor([1.0, 0.0, 0.0, 0.0])
    alone = [int((made(k=1, steps=steps)(x_TD).experts_TK == NONE).all(-1).sum()) for steps in (1, 400)]
    assert alone[1] < alone[0]


def test_an_expert_that_is_not_allowed_gets_nothing() -> None:
    allowed_E = torch.tensor([True, True, False, True])
    assert made(k=2)(tokens(), Control(allowed_E=allowed_E)).load_E.tolist() == [32, 32, 0, 32]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: made(gamma=0.0), "gamma is 0.0 and rate 0.01; both are above 0"),
        (lambda: made(rate=0.0), "rate 0.0"),
        (lambda: made(steps=0), "steps is 0"),
        (lambda: made(capacity_factor=0.0), "capacity_factor is 0.0"),
        (lambda: made()(torch.ones(5, 4), context=Context(group=2)), "5 tokens came in groups of 2"),
        (lambda: made()(torch.ones(4, 4), Control(capacity=1), Context(group=2)), "capacity is 1"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
