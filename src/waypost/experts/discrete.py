"""A layer of two branches over the same experts: one sees tokens, the other the codes that stand for them (VQMoE)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.dispatch import Dispatcher
from waypost.experts.feed_forward import Experts
from waypost.experts.gate import limited, logits_of
from waypost.experts.layer import MoE, Routed
from waypost.experts.routers.vector_quantised import VectorQuantised
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Router, Routing, counted


class DiscreteMoE(nn.Module):
    """g₀(x)·MoE(x) + g₁(x)·LN(expert(LN(quantised x))), where the code of x decides the expert; g is a softmax.

    Takes (…, D) and gives (…, D) and the routing, as `waypost.experts.MoE` does, and can stand in its place.  The
    routing has the choices of both branches, those of the codebook last, with weights times g: what a token gets of
    each expert.  Its losses are those of both.  Its dense view does not say that the last choices see codes.
    ``Control.k`` is that of ``router``; the codebook keeps its own.
    Where the router chooses one expert, let it keep its weight, as Switch does: one made 1 teaches a gate nothing.

    Raises:
        BadInput: router, codebook and experts do not fit together; the router mixes tokens, or experts go on from what
            their router has computed; and, when called, all that `waypost.experts.MoE` refuses.

    Reference: Do et al. 2024, "On the Role of Discrete Representation in Sparse Mixture of Experts" (VQMoE), and the
    authors' code for the gate and the norms.

    >>> from waypost.experts import FeedForward, Switch
    >>> layer = DiscreteMoE(Switch(8, experts=4), VectorQuantised(8, experts=4), FeedForward(8, 16, experts=4))
    >>> y, routing = layer(torch.ones(2, 5, 8))
    >>> y.shape, tuple(routing.experts_TK.shape), "commitment" in routing.losses
    (torch.Size([2, 5, 8]), (10, 2), True)
    """

    def __init__(
        self, router: Router, codebook: VectorQuantised, experts: Experts, *, dispatcher: Dispatcher | None = None
    ) -> None:
        super().__init__()
        if codebook.experts != experts.experts:
            raise BadInput(f"the codebook chooses among {codebook.experts} experts, and there are {experts.experts}")
        width = experts.width
        if codebook.codes_CD.shape[1] != width:
            raise BadInput(f"codes have width {codebook.codes_CD.shape[1]}, and experts {width}; give both the same")
        self.continuous = MoE(router, experts, dispatcher=dispatcher)
        self.codebook = codebook
        self.gate = nn.Linear(width, 2)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routed:
        """Both branches, weighed."""
        y, seen = self.continuous(x, control, context)
        if seen.slots is not None or seen.shared_TER is not None:
            raise BadInput(
                "the router mixes tokens or hands its activations on, and codes have none; take one that only chooses, "
                "such as TopK"
            )
        x_TD = x.reshape(-1, x.shape[-1])
        gate_T2 = self._gate(x_TD, control)
        quantised_TD, told = self._quantised(x_TD, control, context)
        dispatcher = self.continuous.dispatcher
        moved = dispatcher.dispatch(self.before(quantised_TD), told)
        out_AD = self.continuous.experts(moved.rows_AD, moved.groups, moved.shared_AR)
        discrete_TD = self.after(dispatcher.combine(out_AD, moved, told))
        first_T1, second_T1 = gate_T2.to(x.dtype).split(1, dim=-1)
        y_TD = first_T1 * y.reshape(x_TD.shape) + second_T1 * discrete_TD
        return Routed(y_TD.view_as(x), _joined(seen, told, gate_T2))

    def _quantised(self, x_TD: Tensor, control: Control, context: Context) -> tuple[Tensor, Routing]:
        """What stands for each token, and where that goes."""
        _, quantised_TD, told = self.codebook.quantise(x_TD, replace(control, k=None), context)
        if control.capacity is not None:
            experts = self.codebook.experts
            experts_TK, weights_TK = limited(told.experts_TK, told.weights_TK, control.capacity, experts)
            load_E = counted(experts_TK, experts)
            told = told._replace(experts_TK=experts_TK, weights_TK=weights_TK, load_E=load_E)
        return quantised_TD, told

    def _gate(self, x_TD: Tensor, control: Control) -> Tensor:
        """The branches' shares; they are a router too, and learn nothing when routers are frozen."""
        if control.frozen:
            return logits_of(x_TD, self.gate.weight.detach(), self.gate.bias.detach()).softmax(-1)
        return logits_of(x_TD, self.gate.weight, self.gate.bias).softmax(-1)


def _joined(seen: Routing, told: Routing, gate_T2: Tensor) -> Routing:
    """The choices of both branches as one routing."""
    return Routing(
        torch.cat([gate_T2[:, :1] * seen.weights_TK, gate_T2[:, 1:] * told.weights_TK], dim=1),
        torch.cat([seen.experts_TK, told.experts_TK], dim=1),
        seen.load_E + told.load_E,
        {**seen.losses, **told.losses},
    )
