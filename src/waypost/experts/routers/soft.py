"""Every slot of every expert takes a mixture of tokens, and every token a mixture of slots: nothing is chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts.columns import split
from waypost.experts.gate import check_sizes, choices, exact, governed, logits_of
from waypost.experts.routing import AS_IS, NONE, UNKNOWN, Context, Control, Routing, Slots


class Soft(nn.Module):
    """Mixes all tokens of a group into the ``slots`` of each expert, and the slots' outputs back into every token.

    A score is ``scale`` times the cosine of a token and a slot's vector.  A slot takes the softmax of its scores over
    the tokens of a group, a token that of its scores over all slots of all experts.  ``slots`` of the routing hold
    both; its ``weights_TK`` say each token's share of each expert, with K = E, and ``load_E`` how many slots each
    expert computes.

    There is no ``k``: give none.  For the compute of k experts a token, take k · T / E slots for groups of T tokens.  A
    capacity below the slots of all groups is refused.

    Not causal: every token is mixed with later ones, so they leak into a language model.

    Losses: none; every expert is used.

    Raises:
        BadInput: there are no slots, or a k came; when called, the last group is not whole, a control has a k, or its
            capacity is below the slots.

    Reference: Puigcerver et al. 2024, "From Sparse to Soft Mixtures of Experts", section 2.

    >>> routing = Soft(8, experts=4, slots=3)(torch.randn(10, 8))
    >>> routing.slots.dispatch_TES.shape, routing.load_E.tolist()
    (torch.Size([10, 4, 3]), [3, 3, 3, 3])
    """

    causal: bool = False

    def __init__(self, width: int, experts: int, k: int | None = None, *, slots: int = 1) -> None:
        super().__init__()
        check_sizes(experts, 1)
        _check_no_k(k, experts)
        if slots < 1:
            raise BadInput(f"slots is {slots}; an expert has at least 1")
        self.experts, self.slots = experts, slots
        self.weight_ESD = nn.Parameter(torch.empty(experts, slots, width).normal_(std=width**-0.5))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        _check_no_k(control.k, self.experts)
        choices(control, 1, self.experts)
        tokens = len(x_TD)
        groups, size = split(tokens, context.group)
        _check_capacity(control.capacity, groups * self.slots)
        cosine_TA = logits_of(_unit(x_TD), _unit(self.weight_ESD.flatten(0, 1)))
        logits_TES = (self.scale.to(cosine_TA.dtype) * cosine_TA).view(tokens, self.experts, self.slots)
        allowed_E = x_TD.new_ones(self.experts, dtype=torch.bool) if control.allowed_E is None else control.allowed_E
        logits_TES = governed(logits_TES.transpose(1, 2), control).transpose(1, 2)
        combine_TES = logits_TES.flatten(1).softmax(-1).view_as(logits_TES)
        # Over tokens a masked expert has no finite score at all: its slots stay empty.
        over_GTES = logits_TES.masked_fill(~allowed_E[:, None], 0.0).view(groups, size, self.experts, self.slots)
        dispatch_TES = over_GTES.softmax(1).view_as(logits_TES) * allowed_E[:, None]
        experts_E = torch.arange(self.experts, device=x_TD.device).masked_fill(~allowed_E, NONE)
        return Routing(
            combine_TES.sum(-1),
            experts_E.expand(tokens, -1),
            allowed_E * (groups * self.slots),
            losses={},
            slots=Slots(dispatch_TES, combine_TES),
            groups=groups,
        )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"slots": 3}]


def _unit(rows_AD: Tensor) -> Tensor:
    return F.normalize(exact(rows_AD), dim=-1, eps=1e-6)


def _check_no_k(k: int | None, experts: int) -> None:
    if k is not None:
        raise BadInput(f"k is {k}; a soft router mixes every token into all {experts} experts and has none: set slots")


def _check_capacity(capacity: int | None, slots: int) -> None:
    if capacity is not None and capacity < slots:
        raise BadInput(
            f"capacity is {capacity}, and each expert computes {slots} slot(s), which are all needed; set fewer slots"
        )
