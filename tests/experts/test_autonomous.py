"""Experts that go on from their router: the cached path is the naive one, and as many weights as SwiGLU has."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts import Autonomous, Autonomy, Control, MoE, SwiGLU, TopK
from waypost.experts.autonomous import equal_hidden


def layer(k: int = 2, rank: int = 5) -> MoE:
    torch.manual_seed(0)
    return MoE(Autonomy(16, experts=6, k=k, rank=rank), Autonomous(16, hidden=12, experts=6, rank=rank))


def naive(made: MoE, x_TD: torch.Tensor, control: Control) -> torch.Tensor:
    """Token by token, each expert's low-rank activations computed anew."""
    router, experts = made.router, made.experts
    routing = made(x_TD, control).routing
    out = []
    for x_D, weights, chosen in zip(x_TD, routing.weights_TK, routing.experts_TK, strict=True):
        y_D = torch.zeros_like(x_D)
        for weight, e in zip(weights.to(x_D.dtype), chosen.tolist(), strict=True):
            if e >= 0:
                gate_H = F.silu((x_D @ router.down_ERD[e].T) @ experts.up_EHR[e].T)
                y_D = y_D + weight * ((gate_H * (x_D @ experts.gated_EHD[e].T)) @ experts.out_EDH[e].T)
        out.append(y_D)
    return torch.stack(out)


@pytest.mark.parametrize("control", [Control(), Control(k=1), Control(k=6), Control(capacity=4)])
def test_the_cached_path_is_the_naive_one(control: Control) -> None:
    made, x_TD = layer(), torch.randn(40, 16)
    torch.testing.assert_close(made(x_TD, control).y, naive(made, x_TD, control), rtol=0, atol=1e-6)


def test_its_gradients_are_the_naive_ones() -> None:
    made, x_TD = layer().double(), torch.randn(20, 16, dtype=torch.float64)
    grads = []
    for y_TD in (made(x_TD).y, naive(made, x_TD, Control())):
        grads.append(torch.autograd.grad(y_TD.square().sum(), list(made.parameters())))
    for cached, anew in zip(*grads, strict=True):
        torch.testing.assert_close(cached, anew, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("width", "hidden", "rank"), [(768, 3072, 64), (768, 3072, 512), (64, 64, 21), (16, 40, 1)])
def test_equal_hidden_gives_as_many_weights_and_no_more(width: int, hidden: int, rank: int) -> None:
    def weights(wide: int) -> int:
        return width * rank + rank * wide + 2 * width * wide

    wide = equal_hidden(width, hidden, rank)
    assert weights(wide) <= 3 * width * hidden < weights(wide + 1)


def test_layers_have_as_many_weights_as_the_formula_says() -> None:
    rank, wide = 5, equal_hidden(16, 40, 5)
    ours = MoE(Autonomy(16, 6, rank=rank), Autonomous(16, wide, 6, rank))
    theirs = SwiGLU(16, 40, 6)
    count, other = (sum(value.numel() for value in one.parameters()) for one in (ours, theirs))
    assert 0 <= other - count < 6 * (rank + 2 * 16)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            lambda: MoE(TopK(16, 6), Autonomous(16, 12, 6, rank=5))(torch.randn(3, 16)),
            "hands no activations on.*route with Autonomy, or take SwiGLU",
        ),
        (
            lambda: MoE(Autonomy(16, 6, rank=4), Autonomous(16, 12, 6, rank=5))(torch.randn(3, 16)),
            "the router's rank is 4, the experts' 5; give both the same",
        ),
        (lambda: equal_hidden(16, 5, 15), "a rank of 15 leaves no weights .* 5 hidden numbers; take a lower rank"),
        (lambda: Autonomous(16, 12, 6, rank=0), "each number is at least 1"),
    ],
)
def test_what_does_not_fit_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
