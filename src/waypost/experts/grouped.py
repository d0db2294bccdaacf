"""One linear map for each group of rows: what experts are made of, and where their time goes.

Four things make it fast, all measured by ``make bench-experts``:

- Indexing a stacked weight, as in ``weight[e]``, lets autograd build a gradient of the whole stack for each expert, so
  memory traffic grows with the square of their number.  Here it is made once, and each part written in its place.
- Where few experts have rows, only these are visited: a single token costs what its own experts cost.
- The gradient is made of fresh pages, which the system gives out as zeros when they are touched first, in large pieces
  where it can: experts without rows cost nothing, and filling the others takes less than half the time.
- Processors without instructions for bfloat16 and float16 multiply these many times slower than float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts import native

#: Rows an expert from which on a library's product for each is as fast as any.
MANY = 256


class Groups(NamedTuple):
    """Which rows are whose: expert e has those from the end of the one before to ``ends_E[e]``.

    ``sizes`` are the same as numbers, where they may be read: not while a graph is compiled or exported.  ``filled``
    are the experts that have rows, and ``rows`` how many these are, found once for all of a layer's products.

    >>> Groups.of(torch.tensor([2, 0, 3]))
    Groups(ends_E=tensor([2, 2, 5], dtype=torch.int32), sizes=[2, 0, 3], filled=[0, 2], rows=5)
    """

    ends_E: Tensor
    sizes: list[int] | None
    filled: list[int]
    rows: int

    @classmethod
    def of(cls, load_E: Tensor) -> Groups:
        """Groups of these sizes."""
        ends_E = load_E.cumsum(0, dtype=torch.int32)
        return cls(ends_E, None, [], 0) if torch.compiler.is_compiling() else cls.read(ends_E, load_E.tolist())

    @classmethod
    def read(cls, ends_E: Tensor, sizes: list[int]) -> Groups:
        """Groups whose sizes are known as numbers too."""
        return cls(ends_E, sizes, [expert for expert, size in enumerate(sizes) if size], sum(sizes))

    def held(self) -> list[int]:
        """How many rows each of ``filled`` has."""
        sizes = self.sizes or []
        return [sizes[expert] for expert in self.filled]


def grouped_linear(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups, bias_EO: Tensor | None = None) -> Tensor:
    """Each row times the weight of its group, (A, O).

    Raises:
        BadInput: rows, groups and weights are not of one another's sizes.

    >>> weight = torch.stack([torch.eye(2), 2 * torch.eye(2)])
    >>> grouped_linear(torch.ones(3, 2), weight, Groups.of(torch.tensor([1, 2]))).tolist()
    [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
    """
    if groups.sizes is None:
        out_AO: Tensor = _compiled_products(rows_AI, weight_EIO, groups.ends_E)
    else:
        _check(rows_AI, weight_EIO, groups)
        out_AO = applied(_Grouped, rows_AI, weight_EIO, groups)
    if bias_EO is None:
        return out_AO
    row_A = torch.arange(rows_AI.shape[0], device=rows_AI.device, dtype=torch.int32)
    expert_A = torch.searchsorted(groups.ends_E, row_A, right=True).clamp(max=bias_EO.shape[0] - 1)
    return out_AO + bias_EO.index_select(0, expert_A)


def _check(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups) -> None:
    experts, inner, _ = weight_EIO.shape
    if rows_AI.shape != (groups.rows, inner) or groups.ends_E.shape != (experts,):
        raise BadInput(
            f"rows have shape {tuple(rows_AI.shape)}; {groups.rows} rows in {groups.ends_E.shape[0]} groups, and weights "
            f"of {experts} experts for rows of {inner}, want {experts} groups and shape ({groups.rows}, {inner})"
        )


def applied(function: Any, *arguments: Any) -> Any:
    """A function's result, without its bookkeeping where no gradient is wanted: that takes as long as a small product.

    The class has ``compute`` beside what autograd asks for.
    """
    return function.apply(*arguments) if torch.is_grad_enabled() else function.compute(*arguments)


class _Grouped(torch.autograd.Function):
    @staticmethod
    def compute(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups) -> Tensor:
        return _products(rows_AI, weight_EIO, groups)

    @staticmethod
    def forward(ctx: Any, rows_AI: Tensor, weight_EIO: Tensor, groups: Groups) -> Tensor:
        ctx.save_for_backward(rows_AI, weight_EIO)
        ctx.groups = groups
        return _products(rows_AI, weight_EIO, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_AO: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows_AI, weight_EIO = ctx.saved_tensors
        wants_rows, wants_weight, _ = ctx.needs_input_grad
        grad_AO = grad_AO.contiguous()
        grad_AI = _products(grad_AO, weight_EIO.transpose(1, 2), ctx.groups) if wants_rows else None
        grad_EIO = _outer(rows_AI, grad_AO, weight_EIO, ctx.groups) if wants_weight else None
        return grad_AI, grad_EIO, None


def _products(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups) -> Tensor:
    """Each row times the weight of its group."""
    exact = _multiplied_as(rows_AI)
    if exact == torch.float32 and native.can(weight_EIO) and groups.rows < MANY * len(groups.filled):
        return native.products(rows_AI.to(exact), weight_EIO, groups.ends_E).to(rows_AI.dtype)
    # It visits every expert, but from C++: six without rows take as long as one that is called from here.
    many = len(groups.filled) > 1 + weight_EIO.shape[0] / 6
    if many and exact == rows_AI.dtype and _torch_can(rows_AI, weight_EIO):
        return F.grouped_mm(rows_AI, weight_EIO, offs=groups.ends_E)
    rows_AI, given = rows_AI.to(exact), rows_AI.dtype
    out_AO = rows_AI.new_empty(rows_AI.shape[0], weight_EIO.shape[2])
    end = 0
    for expert, size in zip(groups.filled, groups.held(), strict=True):
        start, end = end, end + size
        torch.mm(rows_AI[start:end], weight_EIO[expert].to(exact), out=out_AO[start:end])
    return out_AO.to(given)


def _outer(rows_AI: Tensor, grad_AO: Tensor, weight_EIO: Tensor, groups: Groups) -> Tensor:
    """The gradient of all weights."""
    exact = _multiplied_as(rows_AI)
    filled, sizes = groups.filled, groups.held()
    grad_EIO = _fresh_like(weight_EIO, zeros=len(filled) < weight_EIO.shape[0])
    if exact == torch.float32 and native.can(grad_EIO) and groups.rows < MANY * len(filled):
        native.outer(rows_AI.to(exact), grad_AO.to(exact), grad_EIO, groups.ends_E, clear=False)
        return grad_EIO
    each = grad_EIO.unbind(0)
    for rows, grad, expert in zip(rows_AI.to(exact).split(sizes), grad_AO.to(exact).split(sizes), filled, strict=True):
        if exact == grad_EIO.dtype:
            torch.mm(rows.T, grad, out=each[expert])
        else:
            each[expert].copy_(rows.T @ grad)
    return grad_EIO


def _multiplied_as(rows: Tensor) -> torch.dtype:
    """The type to multiply in: float32 for shorter ones on processors that have no instructions for these."""
    short = rows.dtype in (torch.bfloat16, torch.float16)
    if short and rows.device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        return torch.float32
    return rows.dtype


def _torch_can(rows_AI: Tensor, weight_EIO: Tensor) -> bool:
    """Whether torch has a grouped product of this type, and for lines of this length: they start at 16 bytes."""
    lines = (rows_AI.stride(0), weight_EIO.shape[1], weight_EIO.shape[2])
    known = rows_AI.dtype in (torch.float32, torch.bfloat16, torch.float16)
    return known and all(length * rows_AI.element_size() % 16 == 0 for length in lines)


def _fresh_like(weight: Tensor, *, zeros: bool) -> Tensor:
    """Memory for a gradient.  numpy asks for large pages, and leaves it to the system to fill them with zeros."""
    if weight.device.type != "cpu":
        return torch.zeros_like(weight) if zeros else torch.empty_like(weight)
    raw = (np.zeros if zeros else np.empty)(weight.numel() * weight.element_size(), np.uint8)
    return torch.from_numpy(raw).view(weight.dtype).view(weight.shape)


# A compiled graph has these two as operators that it does not look into, since torch's own grouped product cannot be
# compiled in float32.  Rows behind the last group, which are nobody's there, come out as zeros.


@torch.library.custom_op("waypost::grouped_products", mutates_args=())
def _compiled_products(rows_AI: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    out_AO = rows_AI.new_zeros(rows_AI.shape[0], weight_EIO.shape[2])
    groups = _read(ends_E)
    held = int(ends_E[-1])
    out_AO[:held] = _products(rows_AI[:held], weight_EIO, groups)
    return out_AO


@torch.library.custom_op("waypost::grouped_outer", mutates_args=())
def _compiled_outer(rows_AI: Tensor, grad_AO: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    held = int(ends_E[-1])
    return _outer(rows_AI[:held], grad_AO[:held], weight_EIO, _read(ends_E))


def _read(ends_E: Tensor) -> Groups:
    return Groups.read(ends_E, ends_E.diff(prepend=ends_E.new_zeros(1)).tolist())


@_compiled_products.register_fake
def _(rows_AI: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    return rows_AI.new_empty(rows_AI.shape[0], weight_EIO.shape[2])


@_compiled_outer.register_fake
def _(rows_AI: Tensor, grad_AO: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    return weight_EIO.new_empty(weight_EIO.shape)


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _compiled_backward(ctx: Any, grad_AO: Tensor) -> tuple[Tensor, Tensor, None]:
    rows_AI, weight_EIO, ends_E = ctx.saved_tensors
    grad_AI = _compiled_products(grad_AO, weight_EIO.transpose(1, 2), ends_E)
    return grad_AI, _compiled_outer(rows_AI, grad_AO, weight_EIO, ends_E), None


_compiled_products.register_autograd(_compiled_backward, setup_context=_remember)
