"""Token choice: weights, noise, capacity and its losses."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import NONE, Context, Control, TokenChoice, losses


@pytest.fixture
def x_TD() -> torch.Tensor:
    return torch.randn(32, 8, generator=torch.Generator().manual_seed(0))


def made(**settings: object) -> TokenChoice:
    torch.manual_seed(0)
    router = TokenChoice(8, experts=4, **settings)
    router.weight_ED.data *= 20
    return router.eval()


def test_weights_are_the_probabilities_undivided(x_TD: torch.Tensor) -> None:
    router = made()
    routing = router(x_TD)
    expected_TK, experts_TK = (x_TD @ router.weight_ED.T).softmax(-1).topk(2)
    torch.testing.assert_close(routing.weights_TK, expected_TK)
    assert torch.equal(routing.experts_TK, experts_TK)
    assert (routing.weights_TK.sum(-1) < 1).all()


def test_noise_is_of_one_over_e_and_only_while_training(x_TD: torch.Tensor) -> None:
    router = made(k=4).train()
    router.weight_ED.data.zero_()
    torch.manual_seed(1)
    logs = router(torch.ones(20_000, 8)).weights_TK.log()
    # A difference of two scores has twice the variance of one; sorting keeps squared differences' sum.
    variance = (logs[:, :, None] - logs[:, None, :]).square().sum((1, 2)).mean() / 12
    assert variance.item() == pytest.approx(2 * 0.25**2, rel=0.02)
    assert router.eval()(torch.ones(3, 8)).weights_TK.unique().tolist() == [0.25]
    assert "load" not in made(noise=False)(x_TD).losses


def test_losses_are_those_of_the_paper(x_TD: torch.Tensor) -> None:
    router = made()
    logits_TE = x_TD @ router.weight_ED.T
    found = router(x_TD).losses
    torch.testing.assert_close(found["importance"], losses.importance(logits_TE.softmax(-1)))
    torch.testing.assert_close(found["load"], losses.load(logits_TE, logits_TE, noise=0.25, k=2))


def test_an_expert_takes_no_more_than_its_share_of_each_group(x_TD: torch.Tensor) -> None:
    free = made()(x_TD, context=Context(group=8))
    kept = made(capacity_factor=1.0)(x_TD, context=Context(group=8))
    for start in range(0, 32, 8):
        part_TK = kept.experts_TK[start : start + 8]
        counts_E = torch.bincount(part_TK[part_TK != NONE], minlength=4)
        assert counts_E.max() <= 4  # 8 tokens, 2 choices, 4 experts
    dropped_TK = kept.experts_TK == NONE
    assert dropped_TK.any() and torch.equal(free.experts_TK[~dropped_TK], kept.experts_TK[~dropped_TK])


def test_with_priority_those_of_greatest_weight_stay(x_TD: torch.Tensor) -> None:
    router = made(k=1, capacity_factor=0.5, priority=True)
    free, kept = made(k=1)(x_TD), router(x_TD)
    for e in range(4):
        wanted = free.weights_TK[free.experts_TK == e].sort(descending=True).values
        stayed = kept.weights_TK[kept.experts_TK == e].sort(descending=True).values
        torch.testing.assert_close(stayed, wanted[:4])


def test_it_is_causal_as_long_as_nothing_limits_it() -> None:
    assert TokenChoice(8, 4).causal and not TokenChoice(8, 4, capacity_factor=2.0).causal


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: TokenChoice(8, 4, k=5), "k is 5, and there are 4 experts"),
        (lambda: TokenChoice(8, 4, capacity_factor=0.0), "capacity_factor is 0.0"),
        (lambda: TokenChoice(8, 4, capacity_factor=1.0)(torch.ones(5, 8), context=Context(group=4)), "5 tokens came"),
        (lambda: TokenChoice(8, 4)(torch.ones(5, 8), Control(capacity=0)), "capacity is 0"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
