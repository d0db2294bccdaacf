"""The layer: a router scores, a dispatcher moves, experts compute."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from waypost.errors import BadInput
from waypost.experts.dispatch import Dispatcher, Sorted
from waypost.experts.feed_forward import Experts
from waypost.experts.gate import limited
from waypost.experts.routers.top_k import TopK
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Router, Routing, counted
from waypost.experts.upcycling import copies

#: Assignments that are so few that each reads its expert's weights by itself.
FEW = 8


class Routed(NamedTuple):
    """What a layer gives: the tokens' outputs, and how they came about."""

    y: Tensor
    routing: Routing


class MoE(nn.Module):
    """A mixture of experts in the place of a feed-forward layer; takes (…, D) and gives (…, D) and the routing.

    ``always`` is an expert that every token goes to beside those that the router chooses, with weight 1 (a shared
    expert, DeepSeekMoE 2024): any module from (T, D) to (T, D).

    Raises:
        BadInput: router and experts do not fit together; and, when called, tokens of another width, type or device, or
            scores that are no numbers.

    >>> from waypost.experts import FeedForward, TopK
    >>> layer = MoE(TopK(8, experts=4, k=2), FeedForward(8, hidden=16, experts=4))
    >>> y, routing = layer(torch.ones(2, 5, 8))
    >>> y.shape, int(routing.load_E.sum())
    (torch.Size([2, 5, 8]), 20)
    """

    def __init__(
        self, router: Router, experts: Experts, *, always: nn.Module | None = None, dispatcher: Dispatcher | None = None
    ) -> None:
        super().__init__()
        if router.experts != experts.experts:
            raise BadInput(f"the router chooses among {router.experts} experts, and there are {experts.experts}")
        self.router = router
        self.experts = experts
        self.always = always
        self.dispatcher = dispatcher or Sorted()

    @classmethod
    def from_dense(cls, ffn: nn.Module, experts: int | None = None, k: int = 2, *, router: Router | None = None) -> MoE:
        """A layer whose experts are copies of a trained module; it gives what the module gives until it learns more.

        ``router`` chooses among them, or a new `TopK` of so many ``experts``.  The outputs are the same as long as a
        token's weights sum to 1.

        Raises:
            BadInput: neither a router nor a number of experts, or the module's width cannot be told.

        >>> layer = MoE.from_dense(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)), experts=4)
        >>> layer(torch.ones(3, 8)).y.shape
        torch.Size([3, 8])
        """
        if router is not None:
            return cls(router, copies(ffn, router.experts))
        if experts is None:
            raise BadInput("neither came a router nor a number of experts; give router=... or experts=8")
        made = copies(ffn, experts)
        return cls(TopK(made.width, experts, k).to(next(ffn.parameters()).device), made)

    def forward(self, x: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routed:
        """Route, compute and bring back."""
        eager = not torch.compiler.is_compiling()
        if eager:
            self._check(x)
        x_TD = x.reshape(-1, x.shape[-1])
        routing = self._route(x_TD, control, context)
        if control.capacity is not None and routing.slots is None:
            experts_TK, weights_TK = limited(
                routing.experts_TK, routing.weights_TK, control.capacity, self.router.experts
            )
            load_E = counted(experts_TK, self.router.experts)
            routing = routing._replace(experts_TK=experts_TK, weights_TK=weights_TK, load_E=load_E)
        if eager and not math.isfinite(routing.weights_TK.sum().item()):
            raise BadInput(
                "the router's scores are not all numbers (NaN or infinite); look at the tokens and the router's "
                "weights, lower the learning rate, or clip gradients"
            )
        return Routed(self.computed(x_TD, routing).view_as(x), routing)

    def computed(self, x_TD: Tensor, routing: Routing) -> Tensor:
        """What the experts make of tokens under a routing, whoever made it: (T, D).

        >>> from waypost.experts import Linear
        >>> layer = MoE(TopK(1, experts=2, k=1), Linear(1, experts=2))
        >>> layer.experts.weight_EDD.data = torch.tensor([[[10.0]], [[20.0]]])
        >>> routing = Routing.of(torch.ones(2, 1), torch.tensor([[1], [0]]), experts=2)
        >>> layer.computed(torch.tensor([[1.0], [2.0]]), routing).tolist()
        [[20.0], [20.0]]
        """
        y_TD = self._few(x_TD, routing)
        if y_TD is not None:
            return y_TD if self.always is None else y_TD + self.always(x_TD)
        begin = getattr(self.dispatcher, "begin", None)
        always_TD: Tensor | None = None
        if self.always is not None and begin is not None:
            arrived = begin(x_TD, routing)
            always_TD = self.always(x_TD)  # while tokens are on their way, and so are their gradients
            moved = arrived()
        else:
            moved = self.dispatcher.dispatch(x_TD, routing)
        out_AD = self.experts(moved.rows_AD, moved.groups, moved.shared_AR)
        y_TD = self.dispatcher.combine(out_AD, moved, routing)
        if self.always is not None and always_TD is None:
            always_TD = self.always(x_TD)
        return y_TD if always_TD is None else y_TD + always_TD

    def _few(self, x_TD: Tensor, routing: Routing) -> Tensor | None:
        """A few tokens need no sorting, where nobody learns from them."""
        if torch.compiler.is_compiling() or torch.is_grad_enabled() or routing.experts_TK.numel() > FEW:
            return None
        plain = routing.slots is None and routing.shared_TER is None and type(self.dispatcher) is Sorted
        few: Callable[[Tensor, Routing], Tensor | None] | None = getattr(self.experts, "few", None)
        # Who has hung a hook on the experts wants to be called.
        hooks = getattr(self.experts, "_forward_hooks", None) or getattr(self.experts, "_forward_pre_hooks", None)
        return few(x_TD, routing) if plain and few is not None and not hooks else None

    def _route(self, x_TD: Tensor, control: Control, context: Context) -> Routing:
        if not control.frozen:
            return self.router(x_TD, control, context)
        fixed = {name: value.detach() for name, value in self.router.named_parameters()}  # type: ignore[attr-defined]
        routing: Routing = functional_call(self.router, fixed, (x_TD, replace(control, frozen=False), context))  # type: ignore[arg-type]
        return routing

    def _check(self, x: Tensor) -> None:
        if x.shape[-1:] != (self.experts.width,):
            raise BadInput(
                f"tokens have shape {tuple(x.shape)}; the last size is the layer's width, {self.experts.width}"
            )
        weight = next(self.experts.parameters(), None)  # type: ignore[attr-defined]
        if weight is None:
            return
        if x.device != weight.device:
            raise BadInput(f"tokens are on {x.device}, the experts on {weight.device}; move one with .to(device)")
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            raise BadInput(
                f"tokens are {x.dtype}, the experts {weight.dtype}; turn one into the other with .to(dtype), or use "
                "torch.autocast"
            )
