"""Experts that choose themselves by how strongly they respond to a token (Autonomy-of-Experts)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.autonomous import Autonomous
from waypost.experts.feed_forward import stacked
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class Autonomy(nn.Module):
    """Sends each token to the k experts whose first, low-rank map gives the longest vectors of it.

    There is no gate beside the experts: x·down_i, of ``rank`` numbers, is computed for all experts in one matrix
    product; its length is the score, and weights are the softmax over the k lengths.  The vectors come back as
    ``shared_TER`` for `waypost.experts.Autonomous` experts, which go on from them, so that nothing is computed twice.
    Without ``rank`` it is a third of the width, the best in the paper.

    Losses: ``balance``, of the softmax over all lengths (the paper tries it with weight 0.01), and ``entropy``.

    Raises:
        BadInput: a rank below 1.

    Reference: Lv et al. 2025, "Autonomy-of-Experts Models".

    >>> routing = Autonomy(8, experts=4, k=2, rank=3)(torch.randn(5, 8))
    >>> lengths_TE = routing.shared_TER.norm(dim=-1)
    >>> routing.shared_TER.shape, bool((routing.experts_TK[:, 0] == lengths_TE.argmax(-1)).all())
    (torch.Size([5, 4, 3]), True)
    """

    causal: ClassVar[bool] = True

    def __init__(self, width: int, experts: int, k: int = 2, *, rank: int | None = None) -> None:
        super().__init__()
        check_sizes(experts, k)
        self.rank = max(1, width // 3) if rank is None else rank
        if self.rank < 1:
            raise BadInput(f"rank is {rank}; what an expert ranks itself by has at least 1 number")
        self.experts, self.k, self.width = experts, k, width
        self.down_ERD = stacked(experts, width, self.rank)

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        shared_TER = logits_of(x_TD, self.down_ERD.flatten(0, 1)).unflatten(-1, (self.experts, self.rank))
        lengths_TE = governed(torch.linalg.vector_norm(shared_TER, dim=-1), control)
        chosen_TK, experts_TK = best(lengths_TE, k)
        routing = Routing.of(chosen_TK.softmax(-1), experts_TK, experts=self.experts)
        probabilities_TE = lengths_TE.softmax(-1)
        return routing._replace(
            shared_TER=shared_TER.to(x_TD.dtype),
            losses={
                "balance": losses.balance(probabilities_TE, routing.load_E, context.across),
                "entropy": losses.entropy(probabilities_TE, context.across),
            },
        )

    @classmethod
    def experts_for_checks(cls, router: Autonomy) -> Autonomous:
        """The experts that go on from what it has computed, for `waypost.experts.checks`."""
        return Autonomous(router.width, hidden=5, experts=router.experts, rank=router.rank)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}, {"rank": 5}]
