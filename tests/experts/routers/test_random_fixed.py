"""A random gate stays as it was drawn, and every k goes on from the one before."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts import Control, FeedForward, MoE, RandomFixed


@pytest.fixture
def router() -> RandomFixed:
    torch.manual_seed(0)
    return RandomFixed(16, experts=8)


def test_weights_are_the_softmax_over_the_k_best_scores(router: RandomFixed) -> None:
    x_TD = torch.randn(20, 16)
    routing = router(x_TD, Control(k=3))
    for x_D, weights_K, experts_K in zip(x_TD, routing.weights_TK, routing.experts_TK, strict=True):
        scores_E = F.linear(x_D, router.weight_ED, router.bias_E)
        order = sorted(range(8), key=lambda e: -scores_E[e])[:3]
        assert experts_K.tolist() == order
        torch.testing.assert_close(weights_K, scores_E[order].softmax(0))


def test_more_experts_are_those_of_fewer_and_others(router: RandomFixed) -> None:
    x_TD = torch.randn(20, 16)
    by_k = [router(x_TD, Control(k=k)).experts_TK for k in range(1, 9)]
    for fewer_TK, more_TK in itertools.pairwise(by_k):
        assert torch.equal(more_TK[:, : fewer_TK.shape[1]], fewer_TK)


def test_nothing_of_it_learns_and_tokens_do(router: RandomFixed) -> None:
    layer = MoE(router, FeedForward(16, hidden=8, experts=8))
    before = {name: value.clone() for name, value in router.state_dict().items()}
    assert not list(router.parameters()) and before.keys() == {"weight_ED", "bias_E"}
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    x_TD = torch.randn(20, 16, requires_grad=True)
    y_TD, routing = layer(x_TD)
    (y_TD.square().sum() + sum(routing.losses.values())).backward()
    optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in router.state_dict().items())
    assert torch.autograd.grad(router(x_TD).losses["balance"], x_TD)[0].any()


def test_every_gate_is_drawn_anew() -> None:
    torch.manual_seed(0)
    assert not torch.equal(RandomFixed(4, experts=3).weight_ED, RandomFixed(4, experts=3).weight_ED)


def test_too_many_experts_a_token_are_refused() -> None:
    with pytest.raises(BadInput, match="k is 5, and there are 4 experts; a token goes to at least 1 and at most 4"):
        RandomFixed(8, experts=4, k=5)
