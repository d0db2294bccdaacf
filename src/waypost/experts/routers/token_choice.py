"""Each token chooses its k best experts, with noise while training and a capacity: the router of V-MoE."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from waypost.experts import losses
from waypost.experts.columns import check_factor, limited_in_groups
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class TokenChoice(nn.Module):
    """Sends each token to the k experts of greatest probability, which is also the weight: it is not divided again.

    With ``noise`` scores have normal noise of standard deviation 1/E while training.  With ``capacity_factor`` an
    expert takes so many times its even share of a group's assignments, and what is beyond goes nowhere; then the router
    is not ``causal``: where a token goes depends on later ones, which leak into a language model.  With ``priority``
    the tokens of greatest weight are let in first (batch-priority routing), otherwise those that stand first.

    Losses: ``importance``, and with ``noise`` ``load``.

    Raises:
        BadInput: the capacity factor is not above 0; when called, the last group is not whole.

    Reference: Riquelme et al. 2021, "Scaling Vision with Sparse Mixture of Experts"; the
    "Softmax token choice" of Liu et al. 2024, "Routers in Vision Mixture of Experts".

    >>> routing = TokenChoice(8, experts=4, k=2)(torch.ones(3, 8))
    >>> routing.experts_TK.shape, sorted(routing.losses)
    (torch.Size([3, 2]), ['importance', 'load'])
    """

    causal: bool = True

    def __init__(
        self,
        width: int,
        experts: int,
        k: int = 2,
        *,
        noise: bool = True,
        capacity_factor: float | None = None,
        priority: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        check_factor(capacity_factor)
        self.experts, self.k = experts, k
        self.noise, self.capacity_factor, self.priority = noise, capacity_factor, priority
        self.causal = capacity_factor is None
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        clean_TE = governed(logits_of(x_TD, self.weight_ED), control)
        logits_TE, deviation = clean_TE, 1 / self.experts
        if self.noise and self.training:
            logits_TE = clean_TE + deviation * torch.randn_like(clean_TE)
        weights_TK, experts_TK = best(logits_TE.softmax(-1), k)
        experts_TK, weights_TK = limited_in_groups(
            experts_TK, weights_TK, self.capacity_factor, self.experts, control, context, self.priority
        )
        asked = {"importance": losses.importance(clean_TE.softmax(-1), context.across)}
        if self.noise:
            asked["load"] = losses.load(logits_TE, clean_TE, deviation, k, context.across)
        return Routing.of(weights_TK, experts_TK, experts=self.experts, losses=asked)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1, "noise": False}, {"capacity_factor": 1.0}, {"capacity_factor": 1.0, "priority": True}]
