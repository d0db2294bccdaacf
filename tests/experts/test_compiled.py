"""A layer that is compiled or exported as one graph gives what it gives otherwise, for any number of tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from waypost.experts import Control, FeedForward, Linear, MoE, SwiGLU, TopK

EXPERTS = {
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
        pytest.param(EXPERTS["feed-forward"], Control(capacity=3), id="feed-forward-capacity"),
        pytest.param(EXPERTS["swiglu"], Control(), id="swiglu"),
        pytest.param(EXPERTS["linear"], Control(), id="linear"),
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


@pytest.mark.parametrize("experts", EXPERTS.values(), ids=EXPERTS)
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
