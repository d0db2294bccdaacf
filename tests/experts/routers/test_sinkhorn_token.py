"""Sinkhorn's plan evens the loads of token choice; the weights stay those of a softmax."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import NONE, Context, SinkhornToken, TokenChoice
from waypost.experts.transport import sinkhorn


def skewed(count: int = 64) -> torch.Tensor:
    """Tokens that all like the first expert best, by more or less."""
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(count, 4, generator=drawn) + torch.tensor([4.0, 0.0, 0.0, 0.0])


def made(**settings: object) -> SinkhornToken:
    router = SinkhornToken(4, experts=4, **settings)
    router.weight_ED.data = torch.eye(4)  # a token's scores are itself
    return router.eval()


def test_loads_are_even_where_a_softmax_sends_all_to_one() -> None:
    softmax = TokenChoice(4, experts=4, k=1)
    softmax.weight_ED.data = torch.eye(4)
    assert softmax.eval()(skewed()).load_E.max() > 55
    assert made(k=1)(skewed()).load_E.max() < 24  # even would be 16


def test_choices_are_the_plan_s_and_weights_the_softmax_s() -> None:
    x_TD = skewed()
    routing = made()(x_TD)
    assert torch.equal(routing.experts_TK, sinkhorn(x_TD).topk(2).indices)
    torch.testing.assert_close(routing.weights_TK, x_TD.softmax(-1).gather(1, routing.experts_TK))


def test_each_group_has_a_plan_of_its_own() -> None:
    x_TD = skewed()
    whole = made()(x_TD, context=Context(group=16))
    assert torch.equal(whole.experts_TK, torch.cat([made()(part_TD).experts_TK for part_TD in x_TD.split(16)]))


def test_a_capacity_holds_and_drops_little() -> None:
    routing = made(k=1, capacity_factor=1.0, priority=True)(skewed())
    assert routing.load_E.max() <= 16 and (routing.experts_TK == NONE).sum() < 16


def test_no_gradient_goes_through_the_plan_and_one_through_the_weights() -> None:
    router = made().train()
    router(skewed()).weights_TK.sum().backward()
    assert router.weight_ED.grad is not None and router.weight_ED.grad.any()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: made(eps=0.0), "eps is 0.0"),
        (lambda: made(steps=0), "steps is 0"),
        (lambda: made(capacity_factor=0.0), "capacity_factor is 0.0"),
        (lambda: made(k=9), "k is 9"),
        (lambda: made()(torch.ones(5, 4), context=Context(group=2)), "5 tokens came in groups of 2"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
