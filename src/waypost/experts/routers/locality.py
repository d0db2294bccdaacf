"""A gate without weights whose experts look at features of their own, and a loss that keeps tokens on their machine."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.capacity import smallest_capacity
from waypost.experts.gate import best, check_sizes, choices, exact, governed
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class Locality(nn.Module):
    """Cuts a token's features into one piece an expert, and sends it to the expert whose piece has the largest mean.

    The gate has no weights, and its directions are orthogonal.  Scores are max(0, mean of the piece), to which training
    adds normal noise of standard deviation ``noise`` before the maximum (0.01 is ours); a choice's weight is its
    softmax over all experts.  Where no piece has a mean above 0, the largest still wins.  The task learns where tokens
    go by the features that come in alone.

    Experts lie on ``nodes`` machines, equally many on each, the first on machine 0.  With ``delta``, a capacity below
    `waypost.experts.capacity.smallest_capacity` for tokens of such a cosine to a gate's direction is refused.

    Losses: ``balance``; and, where the context has ``nodes_T``, ``locality``, 0 when no probability leaves a token's
    machine.

    Raises:
        BadInput: the width is no multiple of the experts, or these not of the machines; a token is on a machine that
            does not exist; a capacity below the bound.

    Reference: Li et al. 2024, "LocMoE: A Low-Overhead MoE for Large Language Model Training".

    >>> routing = Locality(8, experts=4).eval()(torch.tensor([[0.0, 0.0, 3.0, 1.0, 0.0, 0.0, 1.0, 0.0]]))
    >>> routing.experts_TK.tolist(), sorted(routing.losses)
    ([[1]], ['balance'])
    """

    causal: ClassVar[bool] = True

    def __init__(
        self, width: int, experts: int, k: int = 1, *, nodes: int = 2, noise: float = 0.01, delta: float | None = None
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        if width % experts:
            raise BadInput(
                f"tokens have width {width}, and there are {experts} experts, each of which looks at its own part of "
                f"it; take a width that is a multiple of {experts}"
            )
        if nodes < 1 or experts % nodes:
            raise BadInput(f"{experts} experts on {nodes} machines; each has as many as the others")
        if not noise >= 0:
            raise BadInput(f"noise is {noise}; it is a standard deviation, and so 0 or more")
        self.experts, self.k = experts, k
        self.nodes, self.noise = nodes, noise
        self.least_capacity = 0.0 if delta is None else smallest_capacity(experts, width, delta)

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        if control.capacity is not None and control.capacity < self.least_capacity:
            raise BadInput(
                f"capacity is {control.capacity}, and an expert needs {self.least_capacity:.1f} tokens at least for "
                "the delta that this router was made with; raise the capacity, or leave delta out"
            )
        means_TE = exact(x_TD).unflatten(-1, (self.experts, -1)).mean(-1)
        if self.training and self.noise:
            means_TE = means_TE + self.noise * torch.randn_like(means_TE)
        # Chosen before the maximum with 0, which would send every token without a piece above 0 to the first expert.
        _, experts_TK = best(governed(means_TE, control), k)
        probabilities_TE = governed(means_TE.relu(), control).softmax(-1)
        routing = Routing.of(probabilities_TE.gather(1, experts_TK), experts_TK, experts=self.experts)
        found = {"balance": losses.balance(probabilities_TE, routing.load_E, context.across)}
        if context.nodes_T is not None:
            self._check(context.nodes_T)
            found["locality"] = losses.locality(probabilities_TE, context.nodes_T, self.nodes, context.across)
        return routing._replace(losses=found)

    def _check(self, nodes_T: Tensor) -> None:
        if not torch.compiler.is_compiling() and ((nodes_T < 0) | (nodes_T >= self.nodes)).any():
            raise BadInput(
                f"nodes_T has values from {int(nodes_T.min())} to {int(nodes_T.max())}; there are {self.nodes} "
                f"machines, 0 to {self.nodes - 1}"
            )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 2}, {"noise": 0.0}, {"nodes": 4}]
