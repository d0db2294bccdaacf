"""One linear map for each group of rows: what experts are made of, and where their time goes.

What makes it fast, all measured by ``make bench-experts``:

- Indexing a stacked weight, as in ``weight[e]``, lets autograd build a gradient of the whole stack for each expert, so
  memory traffic grows with the square of their number.  Here it is made once, each part is written in its place, and
  its memory is used again (`gradients`).
- On a CPU the products are our own (`native`): they prefetch the next expert's weights, and a single token costs what
  reading its own experts costs.  Where they cannot be built, torch's are used.
- Processors without instructions for bfloat16 and float16 multiply these many times slower than float32, and so do
  others where rows are few: there weights are widened as they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts import gradients, native
from waypost.experts.routing import Routing

#: Rows an expert from which on a library's product for each is as fast as any; the second where pairs are multiplied.
MANY, MANY_PAIRED = 1024, 512
#: The same for widening bfloat16 where the processor multiplies it: beside torch's products, and beside our own.
MANY_SHORT, MANY_BESIDE_PAIRS = 7, 3


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
        ends_E = load_E.cumsum(0, dtype=torch.int32)
        return cls(ends_E, None if torch.compiler.is_compiling() else load_E.tolist())

    @property
    def rows(self) -> int:
        """How many rows all groups have together, where their sizes may be read."""
        return sum(self.sizes or ())

    def filled(self) -> Iterator[tuple[int, slice]]:
        """Experts that have rows, and which."""
        end = 0
        for expert, size in enumerate(self.sizes or ()):
            if size:
                start, end = end, end + size
                yield expert, slice(start, end)


def grouped_linear(rows_AI: Tensor, weight_EOI: Tensor, groups: Groups, bias_EO: Tensor | None = None) -> Tensor:
    """What `torch.nn.functional.linear` gives with the weight of each row's group, (A, O).

    Raises:
        BadInput: rows, groups and weights are not of one another's sizes.

    >>> weight = torch.stack([torch.eye(2), 2 * torch.eye(2)])
    >>> grouped_linear(torch.ones(3, 2), weight, Groups.of(torch.tensor([1, 2]))).tolist()
    [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
    """
    if groups.sizes is None:
        out_AO: Tensor = _compiled_linear(rows_AI, weight_EOI, groups.ends_E)
    else:
        _check(rows_AI, weight_EOI, groups)
        out_AO = applied(_Grouped, rows_AI, weight_EOI, groups)
    if bias_EO is None:
        return out_AO
    row_A = torch.arange(rows_AI.shape[0], device=rows_AI.device, dtype=torch.int32)
    expert_A = torch.searchsorted(groups.ends_E, row_A, right=True).clamp(max=bias_EO.shape[0] - 1)
    return out_AO + bias_EO.index_select(0, expert_A)


def _check(rows_AI: Tensor, weight_EOI: Tensor, groups: Groups) -> None:
    experts, _, inner = weight_EOI.shape
    if rows_AI.shape != (groups.rows, inner) or groups.ends_E.shape != (experts,):
        raise BadInput(
            f"rows have shape {tuple(rows_AI.shape)}, in {groups.ends_E.shape[0]} groups with {groups.rows} in all; "
            f"weights of {experts} experts want {experts} groups and shape ({groups.rows}, {inner})"
        )


def applied(function: Any, *arguments: Any) -> Any:
    """A function's result, without its bookkeeping where no gradient is wanted: that takes as long as a small product.

    The class has ``compute`` beside what autograd asks for.
    """
    return function.apply(*arguments) if torch.is_grad_enabled() else function.compute(*arguments)


def few_products(
    x_TD: Tensor, routing: Routing, gate_EHD: Tensor | None, up_EHD: Tensor, down_EDH: Tensor
) -> Tensor | None:
    """What a few tokens get from feed-forwards without biases (`native.few`), or None where there is no short way."""
    if x_TD.dtype != up_EHD.dtype or not native.can(up_EHD):
        return None
    weights_TK = routing.weights_TK.to(torch.float32)
    return native.few(x_TD.to(torch.float32), routing.experts_TK, weights_TK, gate_EHD, up_EHD, down_EDH).to(x_TD.dtype)


class _Grouped(torch.autograd.Function):
    @staticmethod
    def compute(rows_AI: Tensor, weight_EOI: Tensor, groups: Groups) -> Tensor:
        return _products(rows_AI, weight_EOI.mT, groups)

    @staticmethod
    def forward(ctx: Any, rows_AI: Tensor, weight_EOI: Tensor, groups: Groups) -> Tensor:
        ctx.save_for_backward(rows_AI, weight_EOI)
        ctx.groups = groups
        return _Grouped.compute(rows_AI, weight_EOI, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_AO: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows_AI, weight_EOI = ctx.saved_tensors
        wants_rows, wants_weight, _ = ctx.needs_input_grad
        grad_AO = grad_AO.contiguous()
        grad_AI = _products(grad_AO, weight_EOI, ctx.groups) if wants_rows else None
        grad_EOI = _outer(grad_AO, rows_AI, weight_EOI, ctx.groups) if wants_weight else None
        return grad_AI, grad_EOI, None


def _products(rows_AI: Tensor, weight_EIO: Tensor, groups: Groups) -> Tensor:
    """Each row times the weight of its group."""
    if (ours := _in_c(rows_AI, weight_EIO, groups)) is not None:
        return native.products(rows_AI.to(ours), weight_EIO, groups.ends_E).to(rows_AI.dtype)
    exact = _multiplied_as(rows_AI)
    filled = list(groups.filled())
    # It visits every expert, but from C++: six without rows take as long as one that is called from here.
    many = len(filled) > 1 + weight_EIO.shape[0] / 6
    if many and exact == rows_AI.dtype and _torch_can(rows_AI, weight_EIO):
        return F.grouped_mm(rows_AI, weight_EIO, offs=groups.ends_E)
    rows_AI, given = rows_AI.to(exact), rows_AI.dtype
    out_AO = rows_AI.new_empty(rows_AI.shape[0], weight_EIO.shape[2])
    for expert, mine in filled:
        torch.mm(rows_AI[mine], weight_EIO[expert].to(exact), out=out_AO[mine])
    return out_AO.to(given)


def _outer(grad_AO: Tensor, rows_AI: Tensor, weight_EOI: Tensor, groups: Groups) -> Tensor:
    """The gradient of all weights."""
    grad_EOI = gradients.room(weight_EOI, groups.sizes or [])
    if (ours := _in_c(rows_AI, grad_EOI, groups)) is not None:
        native.outer(grad_AO.to(ours), rows_AI.to(ours), grad_EOI, groups.ends_E)
        return grad_EOI
    exact = _multiplied_as(rows_AI)
    grad_AO, rows_AI = grad_AO.to(exact), rows_AI.to(exact)
    each = grad_EOI.unbind(0)
    for expert, mine in groups.filled():
        if exact == grad_EOI.dtype:
            torch.mm(grad_AO[mine].T, rows_AI[mine], out=each[expert])
        else:
            each[expert].copy_(grad_AO[mine].T @ rows_AI[mine])
    return grad_EOI


def _in_c(rows_AI: Tensor, weight: Tensor, groups: Groups) -> torch.dtype | None:
    """As what our own products are to take the rows, or None where they are not the fastest."""
    if rows_AI.shape[0] >= MANY * weight.shape[0] or not native.can(weight):
        return None
    if _multiplied_as(rows_AI) == torch.float32:
        return torch.float32
    if rows_AI.dtype != torch.bfloat16 or rows_AI.shape[0] >= MANY_PAIRED * weight.shape[0]:
        return None
    filled, paired = sum(1 for size in groups.sizes or () if size), native.pairs(weight)
    if rows_AI.shape[0] < (MANY_BESIDE_PAIRS if paired else MANY_SHORT) * filled:
        return torch.float32
    return torch.bfloat16 if paired else None


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


# A compiled graph has these as operators that it does not look into, since torch's own grouped product cannot be
# compiled in float32.  Rows behind the last group, which are nobody's there, come out as zeros.


@torch.library.custom_op("waypost::grouped_linear", mutates_args=())
def _compiled_linear(rows_AI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    return _held_products(rows_AI, weight_EOI.mT, ends_E)


@torch.library.custom_op("waypost::grouped_linear_rows", mutates_args=())
def _compiled_rows(grad_AO: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    return _held_products(grad_AO, weight_EOI, ends_E)


@torch.library.custom_op("waypost::grouped_linear_weight", mutates_args=())
def _compiled_weight(grad_AO: Tensor, rows_AI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    held = int(ends_E[-1])
    return _outer(grad_AO[:held], rows_AI[:held], weight_EOI, _read(ends_E))


def _held_products(rows_AI: Tensor, weight_EIO: Tensor, ends_E: Tensor) -> Tensor:
    out_AO = rows_AI.new_zeros(rows_AI.shape[0], weight_EIO.shape[2])
    held = int(ends_E[-1])
    out_AO[:held] = _products(rows_AI[:held], weight_EIO, _read(ends_E))
    return out_AO


def _read(ends_E: Tensor) -> Groups:
    return Groups(ends_E, ends_E.diff(prepend=ends_E.new_zeros(1)).tolist())


@_compiled_linear.register_fake
def _(rows_AI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    return rows_AI.new_empty(rows_AI.shape[0], weight_EOI.shape[1])


@_compiled_rows.register_fake
def _(grad_AO: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    return grad_AO.new_empty(grad_AO.shape[0], weight_EOI.shape[2])


@_compiled_weight.register_fake
def _(grad_AO: Tensor, rows_AI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    return weight_EOI.new_empty(weight_EOI.shape)


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _compiled_backward(ctx: Any, grad_AO: Tensor) -> tuple[Tensor, Tensor, None]:
    rows_AI, weight_EOI, ends_E = ctx.saved_tensors
    grad_AI = _compiled_rows(grad_AO, weight_EOI, ends_E)
    return grad_AI, _compiled_weight(grad_AO, rows_AI, weight_EOI, ends_E), None


_compiled_linear.register_autograd(_compiled_backward, setup_context=_remember)
