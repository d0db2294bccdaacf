"""The one best expert by a linear gate, with the probability as its weight."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from waypost.errors import BadInput
from waypost.experts.gate import exact
from waypost.experts.routers.top_k import TopK
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class Switch(TopK):
    """Sends each token to the one expert with the best linear score, and weighs it by its softmax over all experts.

    The weight is not made 1, since the gate learns through it alone.  In training ``jitter`` multiplies each number of
    a token by another draw from 1 ± jitter before the gate sees it; experts see the token as it is.

    Losses: ``balance``, ``z``, ``entropy``.

    Raises:
        BadInput: k is not between 1 and the number of experts, or the jitter not between 0 and 1.

    Reference: Fedus et al. 2022, "Switch Transformers", equations 1 to 6, and its input jitter.

    >>> routing = Switch(8, experts=4)(torch.ones(3, 8))
    >>> routing.experts_TK.shape, bool((routing.weights_TK < 1).all())
    (torch.Size([3, 1]), True)
    """

    def __init__(self, width: int, experts: int, k: int = 1, *, jitter: float = 0.0) -> None:
        super().__init__(width, experts, k, normalise=False)
        if not 0 <= jitter < 1:
            raise BadInput(f"jitter is {jitter}; it is at least 0 and below 1, such as 0.01")
        self.jitter = jitter

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        if self.training and self.jitter:
            # In float32 at least: bfloat16 has no number between 0.996 and 1.
            x_TD = exact(x_TD)
            x_TD = x_TD * torch.empty_like(x_TD).uniform_(1 - self.jitter, 1 + self.jitter)
        return super().forward(x_TD, control, context)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"jitter": 0.01}, {"k": 2}]
