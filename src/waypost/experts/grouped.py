"""One linear map for each group of rows: what experts are made of, and where their time goes.

Four things make it fast, all measured by ``make bench-experts``:

- Indexing a stacked weight, as in ``weight[e]``, lets autograd build a gradient of the whole stack for each expert, so
  memory traffic grows with the square of their number.  Here it is made once, and each part written in its place.
- Only experts that have rows are visited, so a single token costs what its own experts cost.
- The gradient is made of fresh pages, which the system gives out as zeros when they are touched first, in large pieces
  where it can: experts without rows cost nothing, and filling the others takes less than half the time.
- Processors without instructions for bfloat16 and float16 multiply these many times slower than float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
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
        return cls(load_E.cumsum(0, dtype=torch.int32), sizes)


def grouped_linear(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups, bias_EO: Tensor | None = None) -> Tensor:
    """Each row times the weight of its group, (A, O).

    >>> weight = torch.stack([torch.eye(2), 2 * torch.eye(2)])
    >>> grouped_linear(torch.ones(3, 2), weight, Groups.of(torch.tensor([1, 2]))).tolist()
    [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
    """
    if groups.sizes is None:
        out_AO = F.grouped_mm(rows_AI, weight_EIO, offs=groups.ends_E)
    else:
        out_AO = applied(_Grouped, rows_AI, weight_EIO, groups.sizes)
    if bias_EO is None:
        return out_AO
    return out_AO + bias_EO.repeat_interleave(_sizes(groups), 0, output_size=rows_AI.shape[0])


def applied(function: Any, *arguments: Any) -> Any:
    """A function's result, without its bookkeeping where no gradient is wanted: that takes as long as a small product.

    The class has ``compute`` beside what autograd asks for.
    """
    return function.apply(*arguments) if torch.is_grad_enabled() else function.compute(*arguments)


def _sizes(groups: Groups) -> Tensor:
    return groups.ends_E.diff(prepend=groups.ends_E.new_zeros(1))


class _Grouped(torch.autograd.Function):
    @staticmethod
    def compute(rows_AI: Tensor, weight_EIO: Tensor, sizes: list[int]) -> Tensor:
        exact = _multiplied_as(rows_AI)
        out_AO = rows_AI.new_empty(rows_AI.shape[0], weight_EIO.shape[2], dtype=exact)
        for expert, part in _filled(sizes):
            torch.mm(rows_AI[part].to(exact), weight_EIO[expert].to(exact), out=out_AO[part])
        return out_AO.to(rows_AI.dtype)

    @staticmethod
    def forward(ctx: Any, rows_AI: Tensor, weight_EIO: Tensor, sizes: list[int]) -> Tensor:
        ctx.save_for_backward(rows_AI, weight_EIO)
        ctx.sizes = sizes
        return _Grouped.compute(rows_AI, weight_EIO, sizes)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_AO: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows_AI, weight_EIO = ctx.saved_tensors
        wants_rows, wants_weight, _ = ctx.needs_input_grad
        exact = _multiplied_as(rows_AI)
        grad_AI = torch.empty_like(rows_AI) if wants_rows else None
        grad_EIO = _zeros_like(weight_EIO) if wants_weight else None
        for expert, part in _filled(ctx.sizes):
            grad = grad_AO[part].to(exact)
            if grad_AI is not None:
                _multiply(grad, weight_EIO[expert].to(exact).T, grad_AI[part])
            if grad_EIO is not None:
                _multiply(rows_AI[part].to(exact).T, grad, grad_EIO[expert])
        return grad_AI, grad_EIO, None


def _filled(sizes: list[int]) -> Iterator[tuple[int, slice]]:
    """Experts that have rows, and which."""
    start = 0
    for expert, size in enumerate(sizes):
        if size:
            yield expert, slice(start, start + size)
            start += size


def _multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Into a place that may be of another type."""
    if out.dtype == left.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left @ right)


def _multiplied_as(rows: Tensor) -> torch.dtype:
    """The type to multiply in: float32 for shorter ones on processors that have no instructions for these."""
    short = rows.dtype in (torch.bfloat16, torch.float16)
    if short and rows.device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        return torch.float32
    return rows.dtype


def _zeros_like(weight: Tensor) -> Tensor:
    """Zeros of fresh pages.  numpy asks the system for them and for large ones; torch writes every zero itself."""
    if weight.device.type != "cpu":
        return torch.zeros_like(weight)
    raw = np.zeros(weight.numel() * weight.element_size(), np.uint8)
    return torch.from_numpy(raw).view(weight.dtype).view(weight.shape)
