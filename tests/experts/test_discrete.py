"""The layer of two branches: what it computes, and that it can stand where a mixture of experts does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from waypost.errors import BadInput
from waypost.experts import (
    Autonomous,
    Autonomy,
    Control,
    DiscreteMoE,
    FeedForward,
    Mixed,
    MoE,
    TopK,
    VectorQuantised,
)

WIDTH, EXPERTS = 8, 4


def made(k: int = 1, **settings) -> DiscreteMoE:
    torch.manual_seed(0)
    codebook = VectorQuantised(WIDTH, EXPERTS, **{"codes": 9, **settings})
    codebook.codes_CD.data = torch.randn_like(codebook.codes_CD)
    return DiscreteMoE(TopK(WIDTH, EXPERTS, k), codebook, FeedForward(WIDTH, 6, EXPERTS))


@pytest.mark.parametrize("settings", [{}, {"estimator": "code"}])
def test_it_is_the_formula_token_by_token(settings: dict[str, str]) -> None:
    layer = made(k=2, **settings)
    nn.init.normal_(layer.before.weight), nn.init.normal_(layer.after.bias)
    x_TD = torch.randn(30, WIDTH)
    y_TD, _ = layer(x_TD)
    seen_TD = MoE(layer.continuous.router, layer.continuous.experts)(x_TD).y
    codes_T, quantised_TD, _ = layer.codebook.quantise(x_TD)
    up, down = layer.continuous.experts.up_EHD, layer.continuous.experts.down_EDH
    for t, code in enumerate(codes_T.tolist()):
        inner_D = layer.before(quantised_TD[t])
        told_D = layer.after(nn.functional.gelu(up[code % EXPERTS] @ inner_D) @ down[code % EXPERTS].T)
        g0, g1 = layer.gate(x_TD[t]).softmax(-1)
        torch.testing.assert_close(y_TD[t], g0 * seen_TD[t] + g1 * told_D, rtol=1e-4, atol=1e-5)


def test_its_routing_has_both_branches_whose_weights_sum_to_one() -> None:
    layer, x = made(k=2), torch.randn(3, 5, WIDTH)
    y, routing = layer(x)
    assert y.shape == x.shape and routing.experts_TK.shape == (15, 3)
    torch.testing.assert_close(routing.weights_TK.sum(-1), torch.ones(15))
    assert torch.equal(routing.load_E, torch.bincount(routing.experts_TK.flatten(), minlength=EXPERTS))
    assert sorted(routing.losses) == ["balance", "codebook", "commitment", "entropy", "z"]


@pytest.mark.parametrize("shape", [(WIDTH,), (0, WIDTH), (2, 3, 1, WIDTH)])
def test_every_leading_shape_comes_back(shape: tuple[int, ...]) -> None:
    y, routing = made()(torch.randn(shape))
    assert y.shape == shape and all(torch.isfinite(loss) for loss in routing.losses.values())


def test_either_dispatcher_gives_the_same() -> None:
    layer, x_TD = made(k=2), torch.randn(20, WIDTH)
    y_TD = layer(x_TD).y
    layer.continuous.dispatcher = Mixed()
    torch.testing.assert_close(layer(x_TD).y, y_TD, rtol=1e-5, atol=1e-6)


def test_capacity_holds_for_each_branch() -> None:
    routing = made()(torch.randn(40, WIDTH), Control(capacity=3)).routing
    for branch in routing.experts_TK.T:
        assert torch.bincount(branch[branch >= 0], minlength=EXPERTS).max() <= 3
    assert not routing.weights_TK[routing.experts_TK < 0].any()


def test_experts_that_are_not_allowed_get_nothing_from_either_branch() -> None:
    allowed_E = torch.tensor([True, False, True, True])
    assert int(made()(torch.randn(40, WIDTH), Control(allowed_E=allowed_E)).routing.load_E[1]) == 0


def test_k_is_that_of_the_gate_and_the_codebook_keeps_its_own() -> None:
    assert made()(torch.randn(4, WIDTH), Control(k=3)).routing.experts_TK.shape == (4, 4)


def test_frozen_its_experts_learn_and_neither_gate_nor_codes_do() -> None:
    layer = made()
    y, routing = layer(torch.randn(20, WIDTH), Control(frozen=True))
    (y.square().sum() + sum(routing.losses.values())).backward()
    assert layer.continuous.experts.up_EHD.grad.any()
    for value in (layer.continuous.router.weight_ED, layer.codebook.codes_CD, layer.gate.weight, layer.gate.bias):
        assert value.grad is None or not value.grad.any()


def test_free_everything_learns() -> None:
    layer = made(k=2)
    y, routing = layer(torch.randn(20, WIDTH))
    (y.square().sum() + sum(routing.losses.values())).backward()
    assert all(value.grad is not None and value.grad.any() for value in layer.parameters())


def test_bfloat16_comes_back_as_it_came() -> None:
    layer = made().bfloat16()
    y, routing = layer(torch.randn(5, WIDTH).bfloat16())
    assert y.dtype == torch.bfloat16 and routing.weights_TK.dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            lambda: DiscreteMoE(TopK(8, 4), VectorQuantised(8, 3), FeedForward(8, 6, 4)),
            "the codebook chooses among 3 experts, and there are 4",
        ),
        (
            lambda: DiscreteMoE(TopK(8, 4), VectorQuantised(6, 4), FeedForward(8, 6, 4)),
            "codes have width 6, and experts 8; give both the same",
        ),
        (
            lambda: DiscreteMoE(TopK(8, 3), VectorQuantised(8, 4), FeedForward(8, 6, 4)),
            "the router chooses among 3 experts, and there are 4",
        ),
        (
            lambda: DiscreteMoE(Autonomy(8, 4, rank=2), VectorQuantised(8, 4), Autonomous(8, 6, 4, rank=2))(
                torch.randn(3, 8)
            ),
            "hands its activations on, and codes have none; take one that only chooses, such as TopK",
        ),
        (lambda: made()(torch.randn(3, 7)), r"shape \(3, 7\).*width, 8"),
    ],
)
def test_what_does_not_fit_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
