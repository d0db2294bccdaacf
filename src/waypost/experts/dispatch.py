"""Moving tokens to experts and their outputs back; which experts is decided already."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from waypost.experts.grouped import Groups
from waypost.experts.routing import NONE, Routing


class Moved(NamedTuple):
    """Rows where their experts compute, and what is needed to bring them back."""

    rows_AD: Tensor
    groups: Groups
    shared_AR: Tensor | None = None
    order_A: Tensor | None = None  # the place of each row in the flat (T, K)
    own: Any = None  # what a dispatcher needs beside these, and what it has to tell


class Dispatcher(Protocol):
    """Moves tokens to their experts, and brings back the weighed sum of what these have made of them."""

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
        # What goes nowhere is sorted behind all experts, where no group reaches.
        key_A = torch.where(experts_A == NONE, routing.load_E.shape[0], experts_A)
        order_A = key_A.argsort(stable=True)
        if groups.sizes is not None:
            order_A = order_A[: sum(groups.sizes)]
        tokens_A = order_A // routing.experts_TK.shape[1]
        shared_AR = None
        if routing.shared_TER is not None:
            shared_AR = routing.shared_TER[tokens_A, experts_A[order_A].clamp(min=0)]
        return Moved(x_TD[tokens_A], groups, shared_AR, order_A)

    def combine(self, out_AD: Tensor, moved: Moved, routing: Routing) -> Tensor:
        """The outputs of each token's experts, weighed and summed: (T, D)."""
        if moved.order_A is None:
            return Mixed().combine(out_AD, moved, routing)
        tokens, k = routing.experts_TK.shape
        weights_A = routing.weights_TK.flatten()[moved.order_A].to(out_AD.dtype)
        weighed_AD = out_AD * weights_A[:, None]
        if moved.groups.sizes is None:  # rows that are nobody's hold anything
            weighed_AD = torch.where(weights_A[:, None] == 0, 0, weighed_AD)
        return weighed_AD.new_zeros(tokens, out_AD.shape[1]).index_add(0, moved.order_A // k, weighed_AD)


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
