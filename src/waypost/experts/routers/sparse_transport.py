"""Each expert chooses its tokens by a plan of optimal transport that has at most so many tokens a column."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.columns import check_factor, chosen, places, split
from waypost.experts.gate import check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing
from waypost.experts.transport import check_steps, sparse


class SparseTransport(nn.Module):
    """Lets each expert take the tokens of a group that a sparse plan gives it; the weights are those of a softmax.

    The plan is made of the probabilities, with its squares weighed by ``gamma``, in ``steps`` steps of size ``rate``.
    It has at most C tokens a column, and C is what an expert takes in `ExpertChoice`, with ``k`` and
    ``capacity_factor`` as there.  No gradient goes through it.

    Not causal: where a token goes depends on all of its group, so later tokens leak into a language model.

    Losses: none, since the plan is even.

    Raises:
        BadInput: the capacity factor, gamma or the rate is not above 0, or there are no steps; when called, the last
            group is not whole, or a capacity leaves less than one token a group.

    Reference: Liu, Puigcerver and Blondel 2023, "Sparsity-Constrained Optimal Transport"; the "sparsity-constrained
    expert choice" of Liu et al. 2024, "Routers in Vision Mixture of Experts".

    >>> SparseTransport(8, experts=4, k=2)(torch.randn(20, 8)).load_E.tolist()
    [10, 10, 10, 10]
    """

    causal: bool = False

    def __init__(
        self,
        width: int,
        experts: int,
        k: int = 2,
        *,
        gamma: float = 1.0,
        rate: float = 1e-2,
        steps: int = 20,
        capacity_factor: float = 1.0,
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        check_factor(capacity_factor)
        check_steps(steps)
        if not (gamma > 0 and rate > 0):
            raise BadInput(f"gamma is {gamma} and rate {rate}; both are above 0")
        self.experts, self.k, self.capacity_factor = experts, k, capacity_factor
        self.gamma, self.rate, self.steps = gamma, rate, steps
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        logits_TE = governed(logits_of(x_TD, self.weight_ED), control)
        count = places(len(logits_TE), k, self.capacity_factor, self.experts, control, context)
        weights_TE = logits_TE.softmax(-1)
        scores_TE = weights_TE.detach().masked_fill(torch.isneginf(logits_TE), -torch.inf)
        scores_GTE = scores_TE.view(*split(len(logits_TE), context.group), self.experts)
        plan_GTE = sparse(scores_GTE, max(count, 1), self.gamma, self.rate, self.steps)
        return chosen(plan_GTE.view_as(weights_TE) > 0, weights_TE)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1, "steps": 5, "rate": 0.1}, {"capacity_factor": 1.5, "gamma": 0.1}]
