"""A layer made of a dense module gives what that module gives, before it learns to do better."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from waypost.errors import BadInput
from waypost.experts import MoE, TopK
from waypost.experts.upcycling import copies

DENSE = {
    "gelu": (lambda: nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)), "FeedForward"),
    "gelu, no bias, dropout": (
        lambda: nn.Sequential(nn.Linear(8, 32, bias=False), nn.GELU(), nn.Linear(32, 8, bias=False), nn.Dropout(0.0)),
        "FeedForward",
    ),
    "one bias": (lambda: nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8, bias=False)), "FeedForward"),
    "tanh gelu": (lambda: nn.Sequential(nn.Linear(8, 32), nn.GELU("tanh"), nn.Linear(32, 8)), "Modules"),
    "relu": (lambda: nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8)), "Modules"),
    "llama": (lambda: LlamaMLP(LlamaConfig(hidden_size=8, num_attention_heads=2, intermediate_size=32)), "SwiGLU"),
    "llama with gelu": (
        lambda: LlamaMLP(LlamaConfig(hidden_size=8, num_attention_heads=2, intermediate_size=32, hidden_act="gelu")),
        "Modules",
    ),
}


@pytest.mark.parametrize("dense", DENSE)
def test_it_gives_what_the_dense_module_gives(dense: str) -> None:
    torch.manual_seed(0)
    make, expected = DENSE[dense]
    ffn = make()
    layer = MoE.from_dense(ffn, experts=4, k=2)
    assert type(layer.experts).__name__ == expected
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(layer(x).y, ffn(x), rtol=1e-5, atol=1e-6)


def test_copies_learn_apart() -> None:
    torch.manual_seed(0)
    layer = MoE.from_dense(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)), experts=4, k=1)
    layer(torch.randn(20, 8)).y.square().sum().backward()
    grad = layer.experts.up_EHD.grad
    assert not torch.allclose(grad[0], grad[1])


def test_the_type_of_the_weights_is_kept() -> None:
    ffn = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)).to(torch.bfloat16)
    layer = MoE.from_dense(ffn, experts=2, k=1)
    assert layer.experts.up_EHD.dtype == torch.bfloat16
    assert layer(torch.randn(3, 8).bfloat16()).y.dtype == torch.bfloat16


def test_any_router_may_be_given() -> None:
    ffn = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    router = TopK(8, experts=3, k=1, score="sigmoid")
    assert MoE.from_dense(ffn, router=router).router is router
    with pytest.raises(BadInput, match="neither came a router nor a number"):
        MoE.from_dense(ffn)


def test_what_cannot_be_copied_is_said() -> None:
    with pytest.raises(BadInput, match="width of Identity cannot be told"):
        copies(nn.Identity(), 4)
    with pytest.raises(BadInput, match="experts is 0"):
        copies(nn.Linear(3, 3), 0)
