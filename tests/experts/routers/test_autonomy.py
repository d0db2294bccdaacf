"""Autonomy-of-Experts: experts rank themselves, and keep the promises with experts of any kind."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Autonomy, FeedForward, MoE
from waypost.experts.checks import check_router


def test_the_longest_low_rank_activations_win_and_weigh_by_their_softmax() -> None:
    torch.manual_seed(0)
    router, x_TD = Autonomy(9, experts=5, k=2), torch.randn(40, 9)
    routing = router(x_TD)
    assert router.rank == 3
    lengths_TE = torch.stack([(x_TD @ down_RD.T).norm(dim=-1) for down_RD in router.down_ERD], dim=1)
    top_TK, experts_TK = lengths_TE.topk(2)
    assert torch.equal(routing.experts_TK, experts_TK)
    torch.testing.assert_close(routing.weights_TK, top_TK.softmax(-1))
    torch.testing.assert_close(routing.shared_TER[:, 2], x_TD @ router.down_ERD[2].T)


def test_a_token_of_nought_has_a_gradient() -> None:
    router = Autonomy(9, experts=4)
    x_TD = torch.zeros(2, 9, requires_grad=True)
    routing = router(x_TD)
    (routing.weights_TK.sum() + sum(routing.losses.values())).backward()
    assert torch.isfinite(x_TD.grad).all() and torch.isfinite(router.down_ERD.grad).all()


def test_experts_that_do_not_go_on_from_it_may_be_ranked_too() -> None:
    """The checks run with its own experts by themselves; these are the usual ones."""
    check_router(Autonomy)
    layer = MoE(Autonomy(8, experts=4), FeedForward(8, 6, 4))
    assert layer(torch.randn(3, 8).bfloat16().float()).y.shape == (3, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_what_it_hands_on_has_the_tokens_type(dtype: torch.dtype) -> None:
    router = Autonomy(8, experts=4)
    assert router(torch.randn(3, 8, dtype=dtype)).shared_TER.dtype == dtype


def test_a_rank_of_nought_is_refused() -> None:
    with pytest.raises(BadInput, match="rank is 0; what an expert ranks itself by has at least 1 number"):
        Autonomy(8, experts=4, rank=0)
