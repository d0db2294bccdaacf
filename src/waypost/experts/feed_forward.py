"""Experts: each computes on rows that lie together, and knows nothing of tokens or routers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts.grouped import Groups, few_products, grouped_linear
from waypost.experts.routing import Routing


class Experts(Protocol):
    """Maps rows that are grouped by expert; ``shared_AR`` is what the router has computed of each, if it has.

    Experts may have ``few(x_TD, routing)`` beside: what a few tokens get, weighed and summed, without grouping them and
    without gradients, as when a text is continued; None where there is no such short way.
    """

    experts: int
    width: int

    def __call__(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """The rows' outputs, in their order."""
        ...


class Linear(nn.Module):
    """One linear map an expert.

    >>> Linear(8, experts=4)(torch.ones(3, 8), Groups.of(torch.tensor([1, 0, 2, 0]))).shape
    torch.Size([3, 8])
    """

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.width, self.experts = width, experts
        self.weight_EDD = stacked(experts, width, width)

    def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """(A, D)."""
        return grouped_linear(rows_AD, self.weight_EDD, groups)


class FeedForward(nn.Module):
    """Two linear maps an expert with GELU between them.

    >>> FeedForward(8, hidden=16, experts=4)(torch.ones(3, 8), Groups.of(torch.tensor([1, 0, 2, 0]))).shape
    torch.Size([3, 8])
    """

    def __init__(self, width: int, hidden: int, experts: int, *, bias: bool = False) -> None:
        super().__init__()
        self.width, self.experts = width, experts
        self.up_EHD = stacked(experts, width, hidden)
        self.down_EDH = stacked(experts, hidden, width)
        self.up_bias_EH = nn.Parameter(torch.zeros(experts, hidden)) if bias else None
        self.down_bias_ED = nn.Parameter(torch.zeros(experts, width)) if bias else None

    def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """(A, D)."""
        hidden_AH = F.gelu(grouped_linear(rows_AD, self.up_EHD, groups, self.up_bias_EH))
        return grouped_linear(hidden_AH, self.down_EDH, groups, self.down_bias_ED)

    def few(self, x_TD: Tensor, routing: Routing) -> Tensor | None:
        """The short way for a few tokens; see `Experts`."""
        if type(self) is not FeedForward or self.up_bias_EH is not None:  # whose forward pass may be another
            return None
        return few_products(x_TD, routing, None, self.up_EHD, self.down_EDH)


class SwiGLU(nn.Module):
    """A gated feed-forward an expert: (SiLU(x·gate) * x·up)·down.

    Reference: Shazeer 2020, "GLU Variants Improve Transformer".

    >>> SwiGLU(8, hidden=16, experts=4)(torch.ones(3, 8), Groups.of(torch.tensor([1, 0, 2, 0]))).shape
    torch.Size([3, 8])
    """

    def __init__(self, width: int, hidden: int, experts: int) -> None:
        super().__init__()
        self.width, self.experts = width, experts
        self.gate_EHD = stacked(experts, width, hidden)
        self.up_EHD = stacked(experts, width, hidden)
        self.down_EDH = stacked(experts, hidden, width)

    def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """(A, D)."""
        gate_AH = F.silu(grouped_linear(rows_AD, self.gate_EHD, groups))
        return grouped_linear(gate_AH * grouped_linear(rows_AD, self.up_EHD, groups), self.down_EDH, groups)

    def few(self, x_TD: Tensor, routing: Routing) -> Tensor | None:
        """The short way for a few tokens; see `Experts`."""
        return few_products(x_TD, routing, self.gate_EHD, self.up_EHD, self.down_EDH) if type(self) is SwiGLU else None


class Modules(nn.Module):
    """Any modules of your own as experts, each from (rows, width) to (rows, width).

    >>> mine = Modules([nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8))], width=8)
    >>> mine(torch.ones(3, 8), Groups.of(torch.tensor([1, 2]))).shape
    torch.Size([3, 8])
    """

    def __init__(self, modules: Sequence[nn.Module], width: int) -> None:
        super().__init__()
        if not modules:
            raise BadInput("no modules came; a layer has at least 1 expert")
        self.width, self.experts = width, len(modules)
        self.each = nn.ModuleList(modules)

    def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """(A, D).

        Raises:
            BadInput: the layer is being compiled or exported as one graph; their sizes are not known there.
        """
        if groups.sizes is None:
            raise BadInput("experts of your own cannot be compiled as one graph; take FeedForward, SwiGLU or Linear")
        parts = [module(part) for module, part in zip(self.each, rows_AD.split(groups.sizes), strict=True) if len(part)]
        return torch.cat(parts) if parts else rows_AD


def stacked(experts: int, inner: int, outer: int) -> nn.Parameter:
    """Weights of one linear map an expert, (E, outer, inner), uniform within 1/√inner as torch's own linear layers.

    Raises:
        BadInput: a size below 1.

    >>> stacked(4, 8, 16).shape
    torch.Size([4, 16, 8])
    """
    if min(experts, inner, outer) < 1:
        raise BadInput(f"experts of {inner} x {outer} weights, {experts} of them; each number is at least 1")
    bound = 1 / math.sqrt(inner)
    return nn.Parameter(torch.empty(experts, outer, inner).uniform_(-bound, bound))
