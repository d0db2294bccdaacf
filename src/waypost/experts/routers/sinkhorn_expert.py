"""Each expert chooses its tokens by a plan of optimal transport, in which no token is forgotten."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from waypost.experts.columns import best_of_columns, check_factor, chosen, places, split
from waypost.experts.gate import check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing
from waypost.experts.transport import check_eps, check_steps, sinkhorn


class SinkhornExpert(nn.Module):
    """Lets each expert take the tokens of a group that it has most of in Sinkhorn's plan; weights are of a softmax.

    ``k`` and ``capacity_factor`` are those of `ExpertChoice`, ``eps`` and ``steps`` those of `SinkhornToken`.  No
    gradient goes through the plan.

    Not causal: where a token goes depends on all of its group, so later tokens leak into a language model.

    Losses: none, since loads are even.

    Raises:
        BadInput: the capacity factor or eps is not above 0, or there are no steps; when called, the last group is not
            whole, or a capacity leaves less than one token a group.

    Reference: the "Sinkhorn expert choice" of Liu et al. 2024, "Routers in Vision Mixture of Experts".

    >>> SinkhornExpert(8, experts=4, k=2)(torch.randn(20, 8)).load_E.tolist()
    [10, 10, 10, 10]
    """

    causal: bool = False

    def __init__(
        self,
        width: int,
        experts: int,
        k: int = 2,
        *,
        eps: float = 1.0,
        steps: int = 20,
        capacity_factor: float = 1.0,
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        check_factor(capacity_factor)
        check_eps(eps)
        check_steps(steps)
        self.experts, self.k, self.capacity_factor = experts, k, capacity_factor
        self.eps, self.steps = eps, steps
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        logits_TE = governed(logits_of(x_TD, self.weight_ED), control)
        count = places(len(logits_TE), k, self.capacity_factor, self.experts, control, context)
        scores_GTE = logits_TE.detach().view(*split(len(logits_TE), context.group), self.experts)
        plan_GTE = sinkhorn(scores_GTE, self.eps, self.steps)
        chosen_TE = best_of_columns(plan_GTE, count).view_as(logits_TE)
        return chosen(chosen_TE & ~torch.isneginf(logits_TE), logits_TE.softmax(-1))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1, "eps": 0.5, "steps": 5}, {"capacity_factor": 1.5}]
