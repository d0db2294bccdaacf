"""The k best experts by a linear gate: the router that most models have."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of, shares
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class TopK(nn.Module):
    """Sends each token to the k experts with the best linear scores.

    ``score`` is what scores become: "softmax" over all experts or "sigmoid" of each.  With ``normalise`` the k weights
    sum to 1, as in Mixtral and DeepSeek-V3; without they are as they are, as in Switch and OLMoE.

    Losses: ``balance``, ``z``, ``entropy``.

    Reference: Shazeer et al. 2017; Jiang et al. 2024, "Mixtral of Experts".

    >>> routing = TopK(8, experts=4, k=2)(torch.ones(3, 8))
    >>> routing.experts_TK.shape, sorted(routing.losses)
    (torch.Size([3, 2]), ['balance', 'entropy', 'z'])
    """

    causal: ClassVar[bool] = True

    def __init__(
        self,
        width: int,
        experts: int,
        k: int = 2,
        *,
        score: Literal["softmax", "sigmoid"] = "softmax",
        normalise: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        if score not in ("softmax", "sigmoid"):
            raise BadInput(f"score is {score!r}; it is 'softmax' or 'sigmoid'")
        self.experts, self.k = experts, k
        self.score, self.normalise = score, normalise
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        logits_TE = logits_of(x_TD, self.weight_ED)
        allowed_TE = governed(logits_TE, control)
        scores_TE = allowed_TE.softmax(-1) if self.score == "softmax" else allowed_TE.sigmoid()
        weights_TK, experts_TK = best(scores_TE, k)
        if self.normalise:
            weights_TK = shares(weights_TK)
        routing = Routing.of(weights_TK, experts_TK, experts=self.experts)
        across = context.across
        return routing._replace(
            losses=losses.when_asked(
                across,
                balance=lambda: losses.balance(shares(scores_TE), routing.load_E, across),
                z=lambda: losses.z(logits_TE, across),
                entropy=lambda: losses.entropy(shares(scores_TE), across),
            )
        )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}, {"score": "sigmoid"}, {"normalise": False}]
