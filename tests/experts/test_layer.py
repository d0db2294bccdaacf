"""The layer: what it computes, what it refuses, and what can be changed while it runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from waypost.errors import BadInput
from waypost.experts import ROUTERS, Context, Control, FeedForward, Linear, Mixed, Modules, MoE, Routing, SwiGLU, TopK
from waypost.experts.checks import EXPERTS, WIDTH, tokens


def reference(layer: MoE, x_TD: torch.Tensor, routing: Routing) -> torch.Tensor:
    """Token by token, choice by choice."""
    up, down = layer.experts.up_EHD, layer.experts.down_EDH
    out = torch.zeros_like(x_TD)
    for t, (weights, experts) in enumerate(zip(routing.weights_TK, routing.experts_TK, strict=True)):
        for weight, e in zip(weights, experts, strict=True):
            if e >= 0:
                out[t] += weight * (torch.nn.functional.gelu(up[e] @ x_TD[t]) @ down[e].T)
    return out


@pytest.fixture
def layer() -> MoE:
    torch.manual_seed(0)
    return MoE(TopK(16, experts=8, k=2), FeedForward(16, hidden=24, experts=8))


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_gives_what_going_token_by_token_gives(layer: MoE, count: int) -> None:
    x_TD = torch.randn(count, 16)
    y_TD, routing = layer(x_TD)
    torch.testing.assert_close(y_TD, reference(layer, x_TD, routing), rtol=1e-5, atol=1e-6)


def test_all_tokens_may_go_to_one_expert(layer: MoE) -> None:
    only = torch.zeros(8, dtype=torch.bool)
    only[3] = True
    x_TD = torch.randn(50, 16)
    y_TD, routing = layer(x_TD, Control(k=1, allowed_E=only))
    assert routing.load_E.tolist() == [0, 0, 0, 50, 0, 0, 0, 0]
    torch.testing.assert_close(y_TD, reference(layer, x_TD, routing), rtol=1e-5, atol=1e-6)


def test_every_leading_shape_comes_back(layer: MoE) -> None:
    assert layer(torch.randn(2, 3, 5, 16)).y.shape == (2, 3, 5, 16)
    assert layer(torch.randn(16)).y.shape == (16,)
    assert layer(torch.randn(0, 16)).y.shape == (0, 16)


def test_k_can_be_changed_without_rebuilding(layer: MoE) -> None:
    x_TD = torch.randn(9, 16)
    for k in (1, 4, 8):
        routing = layer(x_TD, Control(k=k)).routing
        assert routing.experts_TK.shape == (9, k) and int(routing.load_E.sum()) == 9 * k


def test_capacity_drops_what_comes_last_and_keeps_first_choices(layer: MoE) -> None:
    x_TD = torch.randn(64, 16)
    free = layer(x_TD).routing
    y_TD, routing = layer(x_TD, Control(capacity=6))
    assert int(routing.load_E.max()) <= 6 < int(free.load_E.max())
    for e in range(8):
        first_T = (free.experts_TK[:, 0] == e).nonzero().flatten()
        kept_T = (routing.experts_TK[:, 0] == e).nonzero().flatten()
        assert kept_T.tolist() == first_T[:6].tolist()
    torch.testing.assert_close(y_TD, reference(layer, x_TD, routing), rtol=1e-5, atol=1e-6)


def test_an_expert_for_all_tokens_is_added(layer: MoE) -> None:
    always = nn.Linear(16, 16)
    both = MoE(layer.router, layer.experts, always=always)
    x_TD = torch.randn(5, 16)
    torch.testing.assert_close(both(x_TD).y, layer(x_TD).y + always(x_TD))


def test_modules_of_the_users_own_compute_as_stacked_weights_do() -> None:
    torch.manual_seed(0)
    stacked = Linear(6, experts=3)
    own = Modules([nn.Linear(6, 6, bias=False) for _ in range(3)], width=6)
    for e, module in enumerate(own.each):
        module.weight.data = stacked.weight_EDD[e].clone()
    router = TopK(6, experts=3, k=2)
    x_TD = torch.randn(20, 6)
    torch.testing.assert_close(MoE(router, own)(x_TD).y, MoE(router, stacked)(x_TD).y)


def test_a_saved_layer_is_the_same_when_loaded(layer: MoE) -> None:
    other = MoE(TopK(16, experts=8, k=2), FeedForward(16, hidden=24, experts=8))
    other.load_state_dict(layer.state_dict())
    x_TD = torch.randn(5, 16)
    assert torch.equal(other(x_TD).y, layer(x_TD).y)


@pytest.mark.parametrize("experts", [FeedForward(16, 24, 8), SwiGLU(16, 24, 8), Linear(16, 8)])
def test_bfloat16_is_near_float32_and_goes_to_the_same_experts(experts: nn.Module) -> None:
    torch.manual_seed(0)
    layer = MoE(TopK(16, experts=8, k=2), experts)
    x_TD = torch.randn(40, 16).bfloat16().float()
    y_TD, routing = layer(x_TD)
    rounded = layer.to(torch.bfloat16)
    rounded.router.float()  # its weights are not rounded, so that only the experts differ
    half_TD, other = rounded(x_TD.bfloat16())
    assert half_TD.dtype == torch.bfloat16 and torch.equal(other.experts_TK, routing.experts_TK)
    torch.testing.assert_close(half_TD.float(), y_TD, rtol=0.05, atol=0.05)
    layer.float()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda layer: layer(torch.randn(3, 15)), r"shape \(3, 15\).*width, 16"),
        (lambda layer: layer(torch.randn(3, 16).double()), "float64.*float32.*autocast"),
        (lambda layer: layer(torch.full((3, 16), torch.nan)), "not all numbers.*clip gradients"),
        (lambda layer: layer(torch.randn(3, 16, device="meta")), "tokens are on meta, the experts on cpu"),
        (lambda layer: layer(torch.randn(3, 16), Control(k=9)), "k is 9, and there are 8 experts"),
        (lambda layer: layer(torch.randn(3, 16), Control(capacity=0)), "capacity is 0"),
        (lambda layer: layer(torch.randn(3, 16), Control(temperature=0.0)), "temperature is 0.0"),
        (
            lambda layer: layer(torch.randn(3, 16), Control(allowed_E=torch.zeros(8, dtype=torch.bool))),
            "0 of 8 experts are allowed",
        ),
        (
            lambda layer: layer(torch.randn(3, 16), Control(allowed_E=torch.ones(7, dtype=torch.bool))),
            r"shape \(7,\).*8 experts",
        ),
        (lambda layer: MoE(TopK(16, experts=4), layer.experts), "among 4 experts, and there are 8"),
        (lambda layer: TopK(16, experts=0), "experts is 0"),
        (lambda layer: TopK(16, experts=2, k=3), "k is 3, and there are 2"),
        (lambda layer: TopK(16, experts=2, score="tanh"), "'tanh'; it is 'softmax' or 'sigmoid'"),
        (lambda layer: FeedForward(16, 0, 4), "each number is at least 1"),
        (lambda layer: Modules([], width=3), "no modules"),
    ],
)
def test_what_cannot_be_done_is_said(layer: MoE, wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong(layer)


def test_scores_that_all_vanish_are_no_error() -> None:
    router = TopK(16, experts=4, score="sigmoid")
    router.weight_ED.data.fill_(-1e4)
    weights_TK = router(torch.ones(3, 16)).weights_TK
    assert weights_TK.tolist() == [[0.0, 0.0]] * 3


def test_a_frozen_router_passes_gradients_on_to_tokens(layer: MoE) -> None:
    x_TD = torch.randn(4, 16, requires_grad=True)
    layer(x_TD, Control(frozen=True)).y.sum().backward()
    assert x_TD.grad is not None and x_TD.grad.any() and layer.router.weight_ED.grad is None


def test_context_is_not_needed(layer: MoE) -> None:
    x_TD = torch.randn(4, 16)
    assert torch.equal(layer(x_TD, Control(), Context(group=2)).y, layer(x_TD).y)


KINDS = {
    "feed_forward": lambda: FeedForward(WIDTH, 6, EXPERTS, bias=True),
    "swiglu": lambda: SwiGLU(WIDTH, 6, EXPERTS),
    "linear": lambda: Linear(WIDTH, EXPERTS),
    "modules": lambda: Modules([nn.Linear(WIDTH, WIDTH) for _ in range(EXPERTS)], WIDTH),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("router", ROUTERS)
def test_any_router_works_with_any_experts_and_any_dispatcher(router: str, kind: str) -> None:
    torch.manual_seed(0)
    made = ROUTERS[router]
    layer = MoE(made(WIDTH, EXPERTS, **made.examples()[0]), KINDS[kind]()).eval()
    x_TD, context = tokens()
    y_TD = layer(x_TD, Control(), context).y
    layer.dispatcher = Mixed()
    torch.testing.assert_close(layer(x_TD, Control(), context).y, y_TD, rtol=1e-5, atol=1e-6)
    y_TD.square().sum().backward()
    assert all(value.grad is not None for value in layer.experts.parameters())


COMPILED = {
    "feed-forward": lambda: FeedForward(16, 24, 8, bias=True),
    "swiglu": lambda: SwiGLU(10, 14, 8),
    "linear": lambda: Linear(16, 8),
}


def layer_of(experts: nn.Module) -> MoE:
    torch.manual_seed(0)
    return MoE(TopK(experts.width, experts=8, k=2), experts)


def gradients(layer: nn.Module, x_TD: torch.Tensor, control: Control) -> list[torch.Tensor]:
    """Of the tokens and of all parameters, after the output."""
    x_TD = x_TD.clone().requires_grad_()
    y_TD, routing = layer(x_TD, control)
    loss = y_TD.square().sum() + routing.losses["balance"]
    return [y_TD.detach(), *torch.autograd.grad(loss, [x_TD, *layer.parameters()])]


@pytest.mark.parametrize(
    ("experts", "control"),
    [
        pytest.param(COMPILED["feed-forward"], Control(capacity=3), id="feed-forward-capacity"),
        pytest.param(COMPILED["swiglu"], Control(), id="swiglu"),
        pytest.param(COMPILED["linear"], Control(), id="linear"),
    ],
)
def test_compiled_as_one_graph(experts, control: Control) -> None:
    torch.compiler.reset()
    layer = layer_of(experts())
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (40, 7):
        x_TD = torch.randn(count, layer.experts.width)
        for mine, right in zip(gradients(compiled, x_TD, control), gradients(layer, x_TD, control), strict=True):
            torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


# torch itself still uses what it says not to use any more.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiled_to_machine_code() -> None:
    torch.compiler.reset()
    layer = layer_of(Linear(16, 8)).requires_grad_(False)
    compiled = torch.compile(layer, fullgraph=True)
    x_TD = torch.randn(12, 16)
    torch.testing.assert_close(compiled(x_TD).y, layer(x_TD).y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("experts", COMPILED.values(), ids=COMPILED)
def test_exported_takes_any_number_of_tokens(experts) -> None:
    layer = layer_of(experts())
    tokens = torch.export.Dim("tokens", min=2, max=4096)
    width = layer.experts.width
    exported = torch.export.export(layer, (torch.randn(40, width),), dynamic_shapes=({0: tokens},)).module()
    for count in (2, 40, 333):
        x_TD = torch.randn(count, width)
        mine, right = exported(x_TD), layer(x_TD)
        torch.testing.assert_close(mine.y, right.y, rtol=1e-4, atol=1e-5)
        assert torch.equal(mine.routing.experts_TK, right.routing.experts_TK)
