"""Moving tokens to experts and their outputs back; which experts is decided already."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from waypost.experts.grouped import Groups, applied
from waypost.experts.routing import NONE, Routing


class Moved(NamedTuple):
    """Rows where their experts compute, and what is needed to bring them back."""

    rows_AD: Tensor
    groups: Groups
    shared_AR: Tensor | None = None
    order_A: Tensor | None = None  # the place of each row in the flat (T, K)
    place_TK: Tensor | None = None  # the row of each choice, where every choice has one
    own: Any = None  # what a dispatcher needs beside these, and what it has to tell


class Dispatcher(Protocol):
    """Moves tokens to their experts, and brings back the weighed sum of what these have made of them.

    One whose tokens are on their way for a while may have ``begin(x_TD, routing)`` beside: it sends them, and gives a
    function that waits for those that come; a shared expert computes between.
    """

    def dispatch(self, x_TD: Tensor, routing: Routing) -> Moved:
        """Tokens, grouped by expert."""
        ...

    def combine(self, out_AD: Tensor, moved: Moved, routing: Routing) -> Tensor:
        """The outputs of each token's experts, weighed and summed: (T, D)."""
        ...


class Sorted:
    """Sorts assignments by expert: nothing is padded or dropped.  Soft routings are mixed as they say.

    >>> routing = Routing.of(torch.ones(2, 1), torch.tensor([[1], [0]]), experts=2)
    >>> moved = Sorted().dispatch(torch.tensor([[1.0], [2.0]]), routing)
    >>> moved.rows_AD.tolist(), Sorted().combine(10 * moved.rows_AD, moved, routing).tolist()
    ([[2.0], [1.0]], [[10.0], [20.0]])
    """

    def dispatch(self, x_TD: Tensor, routing: Routing) -> Moved:
        """Tokens, grouped by expert."""
        if routing.slots is not None:
            return Mixed().dispatch(x_TD, routing)
        experts_A = routing.experts_TK.flatten()
        groups = Groups.of(routing.load_E)
        everywhere = groups.sizes is not None and groups.rows == experts_A.shape[0]
        if everywhere and experts_A.shape[0] == 1 and routing.shared_TER is None:  # nothing to sort or to sum
            return Moved(x_TD, groups, None, torch.zeros_like(experts_A))
        # What goes nowhere is sorted behind all experts, where no group reaches.
        key_A = experts_A if everywhere else torch.where(experts_A == NONE, routing.load_E.shape[0], experts_A)
        order_A = key_A.argsort()
        if groups.sizes is not None and not everywhere:
            order_A = order_A[: groups.rows]
        tokens, k = routing.experts_TK.shape
        if tokens == 1 and routing.shared_TER is None:  # as when a text is continued: the fewest operations
            return Moved(x_TD.expand(order_A.shape[0], -1).contiguous(), groups, None, order_A)
        tokens_A = order_A if k == 1 else order_A // k
        shared_AR = None
        if routing.shared_TER is not None:
            shared_AR = routing.shared_TER[tokens_A, experts_A[order_A].clamp(min=0)]
        if not everywhere:
            return Moved(x_TD.index_select(0, tokens_A), groups, shared_AR, order_A)
        place_TK = torch.empty_like(order_A).index_copy_(0, order_A, torch.arange(order_A.shape[0], device=x_TD.device))
        place_TK = place_TK.view_as(routing.experts_TK)
        rows_AD = applied(_Copied, x_TD, tokens_A, place_TK)
        return Moved(rows_AD, groups, shared_AR, order_A, place_TK)

    def combine(self, out_AD: Tensor, moved: Moved, routing: Routing) -> Tensor:
        """The outputs of each token's experts, weighed and summed: (T, D)."""
        if moved.order_A is None:
            return Mixed().combine(out_AD, moved, routing)
        weights_TK = routing.weights_TK.to(out_AD.dtype)
        if moved.place_TK is not None:
            summed_TD: Tensor = applied(_Summed, out_AD, weights_TK, moved.order_A, moved.place_TK)
            return summed_TD
        tokens, k = routing.experts_TK.shape
        if tokens == 1:
            if k == 1 and moved.groups.sizes is not None and moved.groups.rows == 1:
                return out_AD * weights_TK
            return weights_TK.index_select(1, moved.order_A) @ out_AD
        weights_A = weights_TK.flatten()[moved.order_A]
        return out_AD.new_zeros(tokens, out_AD.shape[1]).index_add(0, moved.order_A // k, out_AD * weights_A[:, None])


# Where nothing is dropped, every token has its k rows, and knows their places: its sum is then gathered in one pass,
# three times as fast as adding row by row to what the tokens have so far.  A copy's gradient is such a sum, and a sum's
# gradient a copy.


class _Copied(torch.autograd.Function):
    """A row for each choice of each token."""

    @staticmethod
    def compute(x_TD: Tensor, tokens_A: Tensor, place_TK: Tensor) -> Tensor:
        return x_TD.index_select(0, tokens_A)

    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, tokens_A: Tensor, place_TK: Tensor) -> Tensor:
        ctx.save_for_backward(place_TK)
        return _Copied.compute(x_TD, tokens_A, place_TK)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_AD: Tensor) -> tuple[Tensor, None, None]:
        (place_TK,) = ctx.saved_tensors
        return _sum(grad_AD, place_TK), None, None


class _Summed(torch.autograd.Function):
    """The weighed sum of each token's rows."""

    @staticmethod
    def compute(out_AD: Tensor, weights_TK: Tensor, order_A: Tensor, place_TK: Tensor) -> Tensor:
        return _sum(out_AD, place_TK, weights_TK)

    @staticmethod
    def forward(ctx: Any, out_AD: Tensor, weights_TK: Tensor, order_A: Tensor, place_TK: Tensor) -> Tensor:
        ctx.save_for_backward(out_AD, weights_TK, order_A, place_TK)
        return _Summed.compute(out_AD, weights_TK, order_A, place_TK)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TD: Tensor) -> tuple[Tensor, Tensor, None, None]:
        out_AD, weights_TK, order_A, place_TK = ctx.saved_tensors
        grad_AD = grad_TD.index_select(0, order_A // place_TK.shape[1])
        grad_TK = torch.linalg.vecdot(grad_AD, out_AD)[place_TK]
        return grad_AD.mul_(weights_TK.flatten()[order_A, None]), grad_TK, None, None


def _sum(rows_AD: Tensor, place_TK: Tensor, weights_TK: Tensor | None = None) -> Tensor:
    if not place_TK.numel():
        return rows_AD.new_zeros(place_TK.shape[0], rows_AD.shape[1])
    return F.embedding_bag(place_TK, rows_AD, mode="sum", per_sample_weights=weights_TK)


class Mixed:
    """Multiplies by the dense view: exact for any routing, and slow for those that choose few experts.

    >>> routing = Routing.of(torch.ones(2, 1), torch.tensor([[1], [0]]), experts=2)
    >>> Mixed().dispatch(torch.tensor([[1.0], [2.0]]), routing).rows_AD.tolist()
    [[2.0], [1.0]]
    """

    def dispatch(self, x_TD: Tensor, routing: Routing) -> Moved:
        """Slots, grouped by expert."""
        # Slots of a soft router as they are: the dense view of many groups is mostly nothing.
        groups, dispatch_TES = routing.groups, (routing.slots or routing.dense()).dispatch_TES
        dispatch_GTES = _in_groups(dispatch_TES.to(x_TD.dtype), groups)
        _, _, experts, slots = dispatch_GTES.shape
        shared_AR = None
        if routing.shared_TER is not None:
            shared_GTER = _in_groups(routing.shared_TER, groups)
            shared_AR = torch.einsum("gtes,gter->egsr", dispatch_GTES, shared_GTER).flatten(0, 2)
        rows_AD = torch.einsum("gtes,gtd->egsd", dispatch_GTES, _in_groups(x_TD, groups)).flatten(0, 2)
        load_E = torch.full((experts,), groups * slots, device=x_TD.device)
        return Moved(rows_AD, Groups.of(load_E), shared_AR)

    def combine(self, out_AD: Tensor, moved: Moved, routing: Routing) -> Tensor:
        """Every token's share of every slot: (T, D)."""
        groups, combine_TES = routing.groups, (routing.slots or routing.dense()).combine_TES
        combine_GTES = _in_groups(combine_TES.to(out_AD.dtype), groups)
        _, _, experts, slots = combine_GTES.shape
        out_EGSD = out_AD.view(experts, groups, slots, out_AD.shape[1])
        return torch.einsum("gtes,egsd->gtd", combine_GTES, out_EGSD).flatten(0, 1)


def _in_groups(parts_T: Tensor, groups: int) -> Tensor:
    """Tokens cut into groups of one size, with a new axis before theirs."""
    return parts_T.reshape(groups, parts_T.shape[0] // max(groups, 1), *parts_T.shape[1:])
