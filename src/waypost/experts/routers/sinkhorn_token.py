"""Each token chooses its k best experts by a plan of optimal transport, which shares tokens out evenly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from waypost.experts.columns import check_factor, limited_in_groups, split
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing
from waypost.experts.transport import check_eps, check_steps, sinkhorn


class SinkhornToken(nn.Module):
    """Sends each token to the k experts that have most of it in Sinkhorn's plan; the weights are those of a softmax.

    The plan is made of the scores of each group, with entropy weighed by ``eps``, in ``steps`` iterations.  No gradient
    goes through it.  ``capacity_factor`` and ``priority`` are those of `TokenChoice`.

    Not causal: where a token goes depends on all of its group, so later tokens leak into a language model.

    Losses: none, since the plan is even.

    Raises:
        BadInput: the capacity factor is not above 0, or there are no steps; when called, the last group is not whole.

    Reference: Clark et al. 2022, "Unified Scaling Laws for Routed Language Models"; the "Sinkhorn token choice" of Liu
    et al. 2024, "Routers in Vision Mixture of Experts".

    >>> routing = SinkhornToken(8, experts=4, k=2)(torch.randn(20, 8))
    >>> routing.experts_TK.shape, int(routing.load_E.sum())
    (torch.Size([20, 2]), 40)
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
        capacity_factor: float | None = None,
        priority: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        check_factor(capacity_factor)
        check_eps(eps)
        check_steps(steps)
        self.experts, self.k = experts, k
        self.eps, self.steps = eps, steps
        self.capacity_factor, self.priority = capacity_factor, priority
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        logits_TE = governed(logits_of(x_TD, self.weight_ED), control)
        scores_GTE = logits_TE.detach().view(*split(len(logits_TE), context.group), self.experts)
        plan_TE = sinkhorn(scores_GTE, self.eps, self.steps).view_as(logits_TE)
        experts_TK = best(plan_TE, k)[1]
        weights_TK = logits_TE.softmax(-1).gather(1, experts_TK)
        experts_TK, weights_TK = limited_in_groups(
            experts_TK, weights_TK, self.capacity_factor, self.experts, control, context, self.priority
        )
        return Routing.of(weights_TK, experts_TK, experts=self.experts)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1, "eps": 0.5, "steps": 5}, {"capacity_factor": 1.0, "priority": True}]
