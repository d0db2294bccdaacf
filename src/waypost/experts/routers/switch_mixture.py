"""One group of experts by a switch, and several experts of it by a mixture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing, counted


class SwitchMixture(nn.Module):
    """Sends each token to the best group of experts, and to the k best experts of that group, each with its own gate.

    An expert's weight is the group's probability times its own among the group's experts.  With ``normalise`` the k
    latter sum to 1.  With a group a machine a token leaves for one machine only, however many experts it gets; see
    `waypost.experts.parallel.TwoLevel`.

    Losses: ``balance`` over groups and ``balance_experts`` over all experts, each 1 when they are even; and
    ``alignment``, 0 when no expert of another group is better than the worst that was chosen: by how much those that
    are exceed it, summed over experts, mean over tokens.  Better is compared by ``align``: "probability" is the softmax
    of the experts' scores over all groups, "product" the weight that an expert would have.

    We have not seen how the paper writes its alignment loss; both forms are ours, after its words.

    Raises:
        BadInput: the experts cannot be dealt out evenly, k is above the experts of a group, ``align`` is unknown, or
            fewer than k experts of every group are allowed.

    Reference: Jiang et al. 2021, arXiv 2110.07431, "Towards More Effective and Economic Sparsely-Activated Model".

    >>> routing = SwitchMixture(8, experts=6, k=2, groups=2)(torch.ones(3, 8))
    >>> routing.experts_TK.shape, sorted(routing.losses)
    (torch.Size([3, 2]), ['alignment', 'balance', 'balance_experts'])
    """

    causal: ClassVar[bool] = True

    def __init__(
        self,
        width: int,
        experts: int,
        k: int = 2,
        *,
        groups: int = 2,
        normalise: bool = False,
        align: Literal["probability", "product"] = "probability",
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        if groups < 1 or experts % groups:
            raise BadInput(f"{experts} experts in {groups} groups; each has as many as the others")
        if align not in ("probability", "product"):
            raise BadInput(f"align is {align!r}; it is 'probability' or 'product'")
        self.experts, self.k = experts, k
        self.groups, self.each = groups, experts // groups
        self.normalise, self.align = normalise, align
        _fits(k, self.each)
        self.group_weight_GD = nn.Parameter(torch.empty(groups, width).normal_(std=0.02))
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        _fits(k, self.each)
        open_G = _enough(control.allowed_E, self.groups, k)
        groups_TG = governed(logits_of(x_TD, self.group_weight_GD), replace(control, allowed_E=open_G)).softmax(-1)
        group_T1, group_of_T1 = best(groups_TG, 1)
        scores_TE = governed(logits_of(x_TD, self.weight_ED), control)
        inside_TE = group_of_T1 == torch.arange(self.experts, device=x_TD.device) // self.each
        _, experts_TK = best(scores_TE.masked_fill(~inside_TE, -torch.inf), k)
        # A group without an allowed expert has no mixture, and its switch is 0.
        mixture_TE = scores_TE.unflatten(1, (self.groups, -1)).softmax(-1).nan_to_num(0).flatten(1)
        mixed_TK = mixture_TE.gather(1, experts_TK)
        if self.normalise:
            mixed_TK = mixed_TK / mixed_TK.sum(-1, keepdim=True)
        product_TE = groups_TG.repeat_interleave(self.each, 1) * mixture_TE
        routing = Routing.of(group_T1 * mixed_TK, experts_TK, experts=self.experts)
        compared_TE = product_TE if self.align == "product" else scores_TE.softmax(-1)
        return routing._replace(
            losses={
                "balance": losses.balance(groups_TG, counted(group_of_T1, self.groups), context.across),
                "balance_experts": losses.balance(product_TE, routing.load_E, context.across),
                "alignment": losses.mean(_exceeding(compared_TE, inside_TE, experts_TK), context.across),
            }
        )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1, "groups": 4}, {"groups": 1, "normalise": True}, {"align": "product"}]


def _exceeding(compared_TE: Tensor, inside_TE: Tensor, experts_TK: Tensor) -> Tensor:
    """By how much experts of other groups exceed the worst that was chosen, summed, of each token."""
    worst_T1 = compared_TE.gather(1, experts_TK).amin(-1, keepdim=True)
    return (compared_TE - worst_T1).relu().masked_fill(inside_TE, 0).sum(-1)


def _fits(k: int, each: int) -> None:
    if k > each:
        raise BadInput(f"k is {k}, and a group has {each} experts; all of a token's choices are in one group")


def _enough(allowed_E: Tensor | None, groups: int, k: int) -> Tensor | None:
    """Which groups have k experts that are allowed."""
    if allowed_E is None:
        return None
    enough_G = allowed_E.view(groups, -1).sum(1) >= k
    if not torch.compiler.is_compiling() and not enough_G.any():
        raise BadInput(f"no group has {k} experts that are allowed; allow more in one of them, or lower k")
    return enough_G
