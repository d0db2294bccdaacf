"""A linear gate that is drawn once and never learns; how many experts a token gets grows while training."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from waypost.experts.gate import check_sizes, choices, logits_of, routed
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class RandomFixed(nn.Module):
    """Sends each token to the k experts with the best scores of a random gate, weighed by a softmax over those.

    The gate is drawn as `torch.nn.Linear` draws one.  It is a buffer: saved, moved with the model, and no optimiser
    sees it.  In training let k grow by a `waypost.experts.Schedule`; in use any k up to E may be asked for.

    Losses: ``balance``, ``z``, ``entropy``; they teach the tokens alone.

    Raises:
        BadInput: k is not between 1 and the number of experts.

    Reference: Chen et al. 2023, "Sparse MoE as the New Dropout", section 3.

    >>> from waypost.experts import Ramp, Schedule, torch
    >>> router, schedule = RandomFixed(8, experts=4), Schedule(k=Ramp(1, 4, steps=100))
    >>> [router(torch.ones(3, 8), schedule.at(step)).experts_TK.shape[1] for step in (0, 50, 100)]
    [1, 2, 4]
    """

    causal: ClassVar[bool] = True
    weight_ED: Tensor
    bias_E: Tensor

    def __init__(self, width: int, experts: int, k: int = 2) -> None:
        super().__init__()
        check_sizes(experts, k)
        self.experts, self.k = experts, k
        drawn = nn.Linear(width, experts)
        self.register_buffer("weight_ED", drawn.weight.detach())
        self.register_buffer("bias_E", drawn.bias.detach())

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        return routed(logits_of(x_TD, self.weight_ED, self.bias_E), k, control, context)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}, {"k": 4}]
