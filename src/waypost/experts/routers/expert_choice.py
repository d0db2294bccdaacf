"""Each expert chooses its tokens: loads are even by construction, and a token gets as many experts as want it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from waypost.experts.columns import best_of_columns, check_factor, chosen, places, split
from waypost.experts.gate import check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class ExpertChoice(nn.Module):
    """Lets each expert take the tokens of a group that have the greatest probability of it among experts.

    ``k`` is how many experts a token gets in the mean: each takes ``capacity_factor`` · k · T / E of a group of T
    tokens, rounded, at least 1 and at most all.  A control's capacity is kept by taking fewer of each group.  Experts
    that are not allowed leave their places empty.

    Not causal: a later token may push an earlier one out, so later tokens leak into a language model.

    Losses: none, since loads are even.

    Raises:
        BadInput: the capacity factor is not above 0; when called, the last group is not whole, or a capacity leaves
            less than one token a group.

    Reference: Zhou et al. 2022, "Mixture-of-Experts with Expert Choice Routing"; the "Softmax expert
    choice" of Liu et al. 2024, "Routers in Vision Mixture of Experts".

    >>> ExpertChoice(8, experts=4, k=2)(torch.randn(20, 8)).load_E.tolist()
    [10, 10, 10, 10]
    """

    causal: bool = False

    def __init__(self, width: int, experts: int, k: int = 2, *, capacity_factor: float = 1.0) -> None:
        super().__init__()
        check_sizes(experts, k)
        check_factor(capacity_factor)
        self.experts, self.k, self.capacity_factor = experts, k, capacity_factor
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        logits_TE = governed(logits_of(x_TD, self.weight_ED), control)
        count = places(len(logits_TE), k, self.capacity_factor, self.experts, control, context)
        weights_TE = logits_TE.softmax(-1)
        scores_GTE = weights_TE.detach().view(*split(len(logits_TE), context.group), self.experts)
        chosen_TE = best_of_columns(scores_GTE, count).view_as(weights_TE)
        return chosen(chosen_TE & ~torch.isneginf(logits_TE), weights_TE)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}, {"capacity_factor": 1.5}]
