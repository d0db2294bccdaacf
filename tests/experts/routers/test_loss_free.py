"""Biases choose and do not weigh, and evening them out evens loads out."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Control, LossFree


@pytest.fixture
def router() -> LossFree:
    torch.manual_seed(0)
    return LossFree(16, experts=8, k=2)


def test_biases_change_who_is_chosen_and_not_the_scores(router: LossFree) -> None:
    x_TD = torch.randn(30, 16)
    router.bias_E.copy_(torch.randn(8))
    scores_TE = (x_TD @ router.weight_ED.T).sigmoid()
    expected_TK = (scores_TE + router.bias_E).topk(2).indices
    weights_TK = scores_TE.gather(1, expected_TK)
    routing = router(x_TD)
    assert torch.equal(routing.experts_TK, expected_TK)
    torch.testing.assert_close(routing.weights_TK, weights_TK / weights_TK.sum(-1, keepdim=True))


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_weights_sum_to_the_scale_or_are_the_scores_times_it(scale: float) -> None:
    x_TD = torch.randn(5, 16)
    summed = LossFree(16, experts=8, k=3, scale=scale)
    torch.testing.assert_close(summed(x_TD).weights_TK.sum(-1), torch.full((5,), scale))
    plain = LossFree(16, experts=8, k=3, scale=scale, normalise=False)
    scores_TE = (x_TD @ plain.weight_ED.T).sigmoid()
    torch.testing.assert_close(plain(x_TD).weights_TK, scale * scores_TE.topk(3).values)


def test_one_step_moves_each_bias_towards_the_mean_load(router: LossFree) -> None:
    router.rebalance(torch.tensor([5, 0, 2, 2, 2, 2, 2, 1]), rate=0.25)
    assert router.bias_E.tolist() == [-0.25, 0.25, 0, 0, 0, 0, 0, 0.25]


def test_loads_become_even_without_a_gradient(router: LossFree) -> None:
    x_TD = torch.randn(2000, 16) + 3 * torch.randn(16)  # tokens that share a direction: all prefer the same experts
    with torch.no_grad():
        router.weight_ED.mul_(5)
    weight_ED = router.weight_ED.clone()

    def excess() -> float:
        load_E = router(x_TD).load_E.double()
        return float(load_E.max() / load_E.mean() - 1)

    before = excess()
    for _ in range(1000):
        router.rebalance(router(x_TD).load_E)
    assert before > 1.0 and excess() < 0.1
    assert torch.equal(router.weight_ED, weight_ED) and not router.bias_E.requires_grad


def test_biases_are_saved(router: LossFree) -> None:
    router.rebalance(torch.arange(8))
    other = LossFree(16, experts=8, k=2)
    other.load_state_dict(router.state_dict())
    assert torch.equal(other.bias_E, router.bias_E) and other.bias_E.any()


def test_a_great_bias_brings_no_expert_back_that_is_not_allowed(router: LossFree) -> None:
    router.bias_E[3] = 100.0
    allowed_E = torch.ones(8, dtype=torch.bool)
    allowed_E[3] = False
    assert not (router(torch.randn(9, 16), Control(allowed_E=allowed_E)).experts_TK == 3).any()


def test_scores_that_come_out_as_nought_have_finite_weights(router: LossFree) -> None:
    with torch.no_grad():
        router.weight_ED.fill_(-100.0)
    routing = router(torch.ones(3, 16))
    assert torch.isfinite(routing.weights_TK).all() and all(torch.isfinite(x) for x in routing.losses.values())


def test_what_cannot_be_done_is_said(router: LossFree) -> None:
    with pytest.raises(BadInput, match=r"load_E has shape \(7,\); it is one count for each of 8 experts"):
        router.rebalance(torch.ones(7))
    with pytest.raises(BadInput, match=r"scale is 0.0; it multiplies the weights, and so is above 0"):
        LossFree(8, experts=4, scale=0.0)
    with pytest.raises(
        BadInput, match=r"bias_E is torch.bfloat16, which loses small steps; keep the router in float32"
    ):
        router.bfloat16().rebalance(torch.arange(8))
