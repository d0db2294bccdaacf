"""The k best experts by a sigmoid gate, kept in use by biases and no loss."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of, shares
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class LossFree(nn.Module):
    """Chooses the k experts with the best sigmoid scores plus bias, and weighs them by their scores alone.

    Biases learn from no gradient: after each step of training give `rebalance` the loads.  With ``normalise`` the k
    weights sum to ``scale``, as in DeepSeek-V3; without they are ``scale`` times the scores.

    Losses: ``balance``, ``entropy``, of the scores as shares of their sum; the method is meant to need neither.

    Raises:
        BadInput: k is not between 1 and the number of experts, or the scale not above 0.

    Reference: Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", algorithm 1;
    DeepSeek-AI 2024, "DeepSeek-V3", equations 13 to 16.

    >>> router = LossFree(8, experts=4, k=2)
    >>> routing = router(torch.ones(3, 8))
    >>> router.rebalance(routing.load_E, rate=0.5)
    >>> bool((router(torch.ones(3, 8)).experts_TK != routing.experts_TK).all())
    True
    """

    causal: ClassVar[bool] = True
    bias_E: Tensor

    def __init__(self, width: int, experts: int, k: int = 2, *, normalise: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        check_sizes(experts, k)
        if not scale > 0:
            raise BadInput(f"scale is {scale}; it multiplies the weights, and so is above 0")
        self.experts, self.k = experts, k
        self.normalise, self.scale = normalise, scale
        self.weight_ED = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))
        self.register_buffer("bias_E", torch.zeros(experts))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        scores_TE = governed(logits_of(x_TD, self.weight_ED), control).sigmoid()
        biased_TE = scores_TE + self.bias_E
        if control.allowed_E is not None:
            biased_TE = biased_TE.masked_fill(~control.allowed_E, -torch.inf)
        weights_TK = scores_TE.gather(-1, experts_TK := best(biased_TE, k)[1])
        if self.normalise:
            weights_TK = shares(weights_TK)
        probabilities_TE = shares(scores_TE)
        routing = Routing.of(self.scale * weights_TK, experts_TK, experts=self.experts)
        return routing._replace(
            losses={
                "balance": losses.balance(probabilities_TE, routing.load_E, context.across),
                "entropy": losses.entropy(probabilities_TE, context.across),
            }
        )

    @torch.no_grad()
    def rebalance(self, load_E: Tensor, rate: float = 0.001) -> None:
        """Raise by ``rate`` the bias of each expert that had less than the mean load, and lower it of each with more.

        ``load_E`` (E,) counts the assignments of a step's tokens.  Over several processes, or several batches a step,
        sum theirs first.

        Raises:
            BadInput: not one load for each expert, or biases of too few digits to be moved in small steps.
        """
        if load_E.shape != (self.experts,):
            raise BadInput(
                f"load_E has shape {tuple(load_E.shape)}; it is one count for each of {self.experts} experts"
            )
        if torch.finfo(self.bias_E.dtype).bits < 32:
            raise BadInput(f"bias_E is {self.bias_E.dtype}, which loses small steps; keep the router in float32")
        load_E = load_E.to(self.bias_E)
        self.bias_E.add_(rate * torch.sign(load_E.mean() - load_E))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}, {"normalise": False, "scale": 2.5}]
