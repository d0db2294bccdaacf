"""Attended scores are those of the formula, in float32 and with no scale."""

from __future__ import annotations

import math

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Attention, Control


@pytest.fixture
def router() -> Attention:
    torch.manual_seed(0)
    made = Attention(16, experts=6)
    with torch.no_grad():
        made.weight_GD.mul_(4)  # large enough that attention is far from even
    return made


def test_scores_are_those_of_going_expert_by_expert(router: Attention) -> None:
    x_TD = torch.randn(9, 16)
    query_ED, key_ED, value_ED = router.weight_GD.detach().split(6)
    found_TE = router.logits(x_TD).detach()
    for x_D, found_E in zip(x_TD, found_TE, strict=True):
        query, key, value = ([float(row @ x_D) for row in part] for part in (query_ED, key_ED, value_ED))
        for i in range(6):
            powers = [math.exp(query[i] * key[j]) for j in range(6)]
            expected = sum(p * v for p, v in zip(powers, value, strict=True)) / sum(powers)
            assert float(found_E[i]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_k_best_are_weighed_by_a_softmax_over_them(router: Attention) -> None:
    x_TD = torch.randn(9, 16)
    top = router.logits(x_TD).topk(3)
    routing = router(x_TD, Control(k=3))
    assert torch.equal(routing.experts_TK, top.indices)
    torch.testing.assert_close(routing.weights_TK, top.values.softmax(-1))


def test_a_score_lies_between_the_least_and_the_greatest_value(router: Attention) -> None:
    x_TD = torch.randn(200, 16)
    value_TE = x_TD @ router.weight_GD[12:].T
    logits_TE = router.logits(x_TD)
    assert (logits_TE <= value_TE.amax(-1, keepdim=True) + 1e-5).all()
    assert (logits_TE >= value_TE.amin(-1, keepdim=True) - 1e-5).all()


def test_without_queries_every_expert_has_the_same_score(router: Attention) -> None:
    """Then attention is even: what tells experts apart is their queries, not their values."""
    with torch.no_grad():
        router.weight_GD[:6] = 0
    logits_TE = router.logits(torch.randn(9, 16))
    torch.testing.assert_close(logits_TE, logits_TE[:, :1].expand(-1, 6))


def test_great_scores_stay_finite(router: Attention) -> None:
    routing = router(1e4 * torch.randn(9, 16))
    assert torch.isfinite(routing.weights_TK).all()


def test_it_has_three_times_the_weights_of_a_linear_gate() -> None:
    assert sum(value.numel() for value in Attention(16, experts=6).parameters()) == 3 * 16 * 6


def test_too_many_experts_a_token_are_refused() -> None:
    with pytest.raises(BadInput, match="k is 5, and there are 4 experts"):
        Attention(8, experts=4, k=5)
