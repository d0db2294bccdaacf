"""Experts out of a dense feed-forward module that is trained already, each a copy of it.

Reference: Komatsuzaki et al. 2023, "Sparse Upcycling".
"""

from __future__ import annotations

import copy
from typing import TypeGuard

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.feed_forward import Experts, FeedForward, Modules, SwiGLU


def copies(ffn: nn.Module, experts: int) -> Experts:
    """So many copies of a module from (…, D) to (…, D), as the fastest experts that compute the same.

    Two linear layers with GELU between them become `FeedForward`, a gated module as in Llama, Mistral or Qwen
    (``gate_proj``, ``up_proj``, ``down_proj`` and SiLU) becomes `SwiGLU`; any other stays itself, in `Modules`.

    Raises:
        BadInput: no experts, or no linear layer tells the module's width.

    >>> type(copies(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)), experts=4)).__name__
    'FeedForward'
    """
    if experts < 1:
        raise BadInput(f"experts is {experts}; a layer has at least 1")
    gate, up, down = (getattr(ffn, name, None) for name in ("gate_proj", "up_proj", "down_proj"))
    if _plain(gate) and _plain(up) and _plain(down) and _is_silu(getattr(ffn, "act_fn", None)):
        return _gated(gate, up, down, experts)
    if type(ffn) is nn.Sequential:
        match [part for part in ffn if not isinstance(part, nn.Dropout)]:
            case [nn.Linear() as first, nn.GELU(approximate="none"), nn.Linear() as second]:
                return _feed_forward(first, second, experts)
    linear = next((part for part in ffn.modules() if isinstance(part, nn.Linear)), None)
    if linear is None:
        raise BadInput(
            f"the width of {type(ffn).__name__} cannot be told, since it holds no torch.nn.Linear; "
            "build MoE(router, Modules([...], width)) yourself"
        )
    return Modules([copy.deepcopy(ffn) for _ in range(experts)], linear.in_features)


def _feed_forward(up: nn.Linear, down: nn.Linear, experts: int) -> FeedForward:
    made = FeedForward(
        up.in_features, up.out_features, experts, bias=any(bias is not None for bias in (up.bias, down.bias))
    )
    made = made.to(up.weight)
    _fill(made.up_EHD, up.weight)
    _fill(made.down_EDH, down.weight)
    for bias, found in ((made.up_bias_EH, up.bias), (made.down_bias_ED, down.bias)):
        if bias is not None and found is not None:
            _fill(bias, found)
    return made


def _gated(gate: nn.Linear, up: nn.Linear, down: nn.Linear, experts: int) -> SwiGLU:
    made = SwiGLU(gate.in_features, gate.out_features, experts).to(gate.weight)
    for stack, linear in ((made.gate_EHD, gate), (made.up_EHD, up), (made.down_EDH, down)):
        _fill(stack, linear.weight)
    return made


@torch.no_grad()
def _fill(stack: nn.Parameter, one: Tensor) -> None:
    stack.copy_(one.expand_as(stack))


def _plain(part: object) -> TypeGuard[nn.Linear]:
    return isinstance(part, nn.Linear) and part.bias is None


def _is_silu(act: object) -> bool:
    return isinstance(act, nn.SiLU) or type(act).__name__ in ("SiLU", "SiLUActivation") or act is nn.functional.silu
