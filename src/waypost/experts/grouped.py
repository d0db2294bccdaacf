"""One linear map for each group of rows: what experts are made of, and where their time goes.

Indexing a stacked weight, as in ``weight[e]``, lets autograd build a gradient of the whole stack for each expert, so
memory traffic grows with the square of their number.  Here it is made once, and each expert's part written in place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Groups(NamedTuple):
    """Which rows are whose: expert e has those from the end of the one before to ``ends_E[e]``.

    ``sizes`` are the same as numbers, where they may be read: not while a graph is compiled or exported.

    >>> Groups.of(torch.tensor([2, 0, 3]))
    Groups(ends_E=tensor([2, 2, 5], dtype=torch.int32), sizes=[2, 0, 3])
    """

    ends_E: Tensor
    sizes: list[int] | None

    @classmethod
    def of(cls, load_E: Tensor) -> Groups:
        """Groups of these sizes."""
        sizes = None if torch.compiler.is_compiling() else load_E.tolist()
        return cls(load_E.cumsum(0).to(torch.int32), sizes)


def grouped_linear(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups, bias_EO: Tensor | None = None) -> Tensor:
    """Each row times the weight of its group, (A, O).

    >>> weight = torch.stack([torch.eye(2), 2 * torch.eye(2)])
    >>> grouped_linear(torch.ones(3, 2), weight, Groups.of(torch.tensor([1, 2]))).tolist()
    [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
    """
    if groups.sizes is None:
        out_AO = F.grouped_mm(rows_AI, weight_EIO, offs=groups.ends_E)
    else:
        out_AO = _Grouped.apply(rows_AI, weight_EIO, groups.sizes)  # type: ignore[no-untyped-call]
    if bias_EO is None:
        return out_AO
    return out_AO + bias_EO.repeat_interleave(_sizes(groups), 0, output_size=rows_AI.shape[0])


def _sizes(groups: Groups) -> Tensor:
    return groups.ends_E.diff(prepend=groups.ends_E.new_zeros(1))


class _Grouped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_AI: Tensor, weight_EIO: Tensor, sizes: list[int]) -> Tensor:
        ctx.save_for_backward(rows_AI, weight_EIO)
        ctx.sizes = sizes
        out_AO = rows_AI.new_empty(rows_AI.shape[0], weight_EIO.shape[2])
        start = 0
        for expert, size in enumerate(sizes):
            if size:
                torch.mm(rows_AI[start : start + size], weight_EIO[expert], out=out_AO[start : start + size])
                start += size
        return out_AO

    @staticmethod
    def backward(ctx: Any, grad_AO: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows_AI, weight_EIO = ctx.saved_tensors
        grad_AO = grad_AO.contiguous()
        wants_rows, wants_weight, _ = ctx.needs_input_grad
        grad_AI = torch.empty_like(rows_AI) if wants_rows else None
        grad_EIO = torch.empty_like(weight_EIO) if wants_weight else None
        start = 0
        for expert, size in enumerate(ctx.sizes):
            part = slice(start, start + size)
            if grad_AI is not None and size:
                torch.mm(grad_AO[part], weight_EIO[expert].T, out=grad_AI[part])
            if grad_EIO is not None:
                if size:
                    torch.mm(rows_AI[part].T, grad_AO[part], out=grad_EIO[expert])
                else:
                    grad_EIO[expert].zero_()
            start += size
        return grad_AI, grad_EIO, None
