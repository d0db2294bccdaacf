"""A linear gate that a fixed random network makes from a learned embedding."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.gate import check_sizes, choices, logits_of, routed
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class Hyper(nn.Module):
    """Sends each token to the k experts with the best scores of a generated gate, weighed by a softmax over those.

    A network Linear-ReLU-Linear of ``hidden`` units, drawn once and never trained, makes the gate's E·(D+1) numbers
    from one embedding of width D, which is all that learns.  It stands between a learned gate and `RandomFixed`, and is
    trained with a growing k as well.

    Losses: ``balance``, ``z``, ``entropy``.

    Raises:
        BadInput: k is not between 1 and the number of experts, or there are no hidden units.

    Reference: Do et al. 2023, "HyperRouter: Towards Efficient Training and Inference of Sparse Mixture of Experts".

    >>> router = Hyper(8, experts=4)
    >>> [(name, tuple(value.shape)) for name, value in router.named_parameters()]
    [('embedding_D', (8,))]
    >>> [tuple(part.shape) for part in router.gate()]
    [(4, 8), (4,)]
    """

    causal: ClassVar[bool] = True
    up_HD: Tensor
    up_H: Tensor
    down_GH: Tensor
    down_G: Tensor

    def __init__(self, width: int, experts: int, k: int = 2, *, hidden: int = 64) -> None:
        super().__init__()
        check_sizes(experts, k)
        if hidden < 1:
            raise BadInput(f"hidden is {hidden}; the network that makes the gate has at least 1 unit")
        self.experts, self.k = experts, k
        self.embedding_D = nn.Parameter(torch.randn(width))
        up, down = nn.Linear(width, hidden), nn.Linear(hidden, experts * (width + 1))
        for name, value in (("up_HD", up.weight), ("up_H", up.bias), ("down_GH", down.weight), ("down_G", down.bias)):
            self.register_buffer(name, value.detach())

    def gate(self) -> tuple[Tensor, Tensor]:
        """The gate's weights (E, D) and biases (E,), as the embedding makes them now."""
        hidden_H = logits_of(self.embedding_D, self.up_HD, self.up_H).relu()
        made_EG = logits_of(hidden_H, self.down_GH, self.down_G).view(self.experts, -1)
        return made_EG[:, :-1], made_EG[:, -1]

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        return routed(logits_of(x_TD, *self.gate()), k, control, context)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 1}, {"hidden": 16}]
