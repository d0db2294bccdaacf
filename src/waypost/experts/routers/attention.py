"""Scores in which experts attend to one another, token by token."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.experts.gate import check_sizes, choices, logits_of, routed
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class Attention(nn.Module):
    """Sends each token to the k experts with the best attended scores, weighed by a softmax over those.

    Three linear gates give each expert a query, a key and a value, one number each.  Expert i's score is the mean of
    all values, weighed by softmax_j(query_i · key_j), in float32 and not scaled.  The price is 3·D·E + E² products a
    token in the place of D·E, and (T, E, E) numbers of memory.

    Losses: ``balance``, ``z``, ``entropy``; the paper trains without any.

    Raises:
        BadInput: k is not between 1 and the number of experts.

    Reference: Wu et al. 2024, "Yuan 2.0-M32: Mixture of Experts with Attention Router", section 2.

    >>> routing = Attention(8, experts=4, k=2)(torch.ones(3, 8))
    >>> routing.experts_TK.shape, routing.weights_TK.sum(-1).tolist()
    (torch.Size([3, 2]), [1.0, 1.0, 1.0])
    """

    causal: ClassVar[bool] = True

    def __init__(self, width: int, experts: int, k: int = 2) -> None:
        super().__init__()
        check_sizes(experts, k)
        self.experts, self.k = experts, k
        # One matrix for the three, queries, keys and values in turn; each has a variance of 1 for normalised tokens,
        # since products of small numbers would leave attention even, and all scores the same.
        self.weight_GD = nn.Parameter(torch.empty(3 * experts, width).normal_(std=width**-0.5))

    def logits(self, x_TD: Tensor) -> Tensor:
        """The attended scores, (T, E)."""
        query_TE, key_TE, value_TE = logits_of(x_TD, self.weight_GD).chunk(3, dim=-1)
        attention_TEE = (query_TE[:, :, None] * key_TE[:, None, :]).softmax(-1)
        # Not a matrix product: autocast would round it.
        return (attention_TEE * value_TE[:, None, :]).sum(-1)

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        return routed(self.logits(x_TD), k, control, context)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}]
