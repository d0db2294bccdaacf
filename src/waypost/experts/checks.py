"""The promises that every router of tokens keeps; run them on your own.

>>> from waypost.experts import TopK
>>> check_router(TopK)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.dispatch import Mixed
from waypost.experts.feed_forward import Experts, FeedForward
from waypost.experts.layer import MoE
from waypost.experts.routing import AS_IS, NONE, Context, Control, Router, Routing

WIDTH, EXPERTS, TOKENS = 8, 4, 12
VOCABULARY = 16

#: Makes a router of a width and a number of experts.
Make = Callable[[int, int], Any]


def check_router(make: Make, experts: Callable[[Router], Experts] | None = None) -> None:
    """Run every check on a router; ``experts`` makes those that it works with, feed-forward ones if it does not matter.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for check in CHECKS:
        check(make, experts or plain_experts)


def _known(context: Context) -> tuple[Tensor, Tensor]:
    if context.ids_T is None or context.nodes_T is None:
        raise ValueError("the checks' own tokens have ids and nodes")
    return context.ids_T, context.nodes_T


def tokens(count: int = TOKENS, seed: int = 0) -> tuple[Tensor, Context]:
    """Some tokens, and what is known of them."""
    drawn = torch.Generator().manual_seed(seed)
    x_TD = torch.randn(count, WIDTH, generator=drawn)
    ids_T = torch.randint(VOCABULARY, (count,), generator=drawn)
    return x_TD, Context(ids_T=ids_T, nodes_T=torch.arange(count) * 2 // max(count, 1))


def gives_weights_and_counts(make: Make, experts: Callable[[Router], Experts]) -> None:
    """Weights are float32, finite and 0 or more, experts exist, and loads count them."""
    routing = _routed(make)
    _well_formed(routing, TOKENS)
    _hold(routing.weights_TK.dtype == torch.float32, f"weights are {routing.weights_TK.dtype}, not float32")
    for name, loss in routing.losses.items():
        _hold(loss.ndim == 0 and torch.isfinite(loss), f"loss {name} is {loss}, not one finite number")


def takes_none_and_one(make: Make, experts: Callable[[Router], Experts]) -> None:
    """A batch may be empty, or of one token, and a layer gives as many outputs."""
    layer = _layer(make, experts)
    for count in (0, 1):
        x_TD, context = tokens(count)
        y_TD, routing = layer(x_TD, AS_IS, context)
        _hold(y_TD.shape == x_TD.shape and torch.isfinite(y_TD).all(), f"{count} token(s) came out as {y_TD}")
        _well_formed(routing, count)


def scores_in_float32(make: Make, experts: Callable[[Router], Experts]) -> None:
    """Tokens in bfloat16 are routed as the same values in float32 are, under autocast too."""
    router = _router(make)
    x_TD, context = tokens()
    rounded_TD = x_TD.bfloat16()
    expected = router(rounded_TD.float(), AS_IS, context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = router(rounded_TD, AS_IS, context)
    _hold(torch.equal(found.experts_TK, expected.experts_TK), "bfloat16 tokens go elsewhere than their float32 values")
    torch.testing.assert_close(found.weights_TK, expected.weights_TK)


def obeys_its_control(make: Make, experts: Callable[[Router], Experts]) -> None:
    """Experts that are not allowed get nothing, k is what it is told to be, and k above all experts is refused.

    A router without an attribute ``k`` sends every token to all experts, and refuses any.
    """
    router = _router(make)
    x_TD, context = tokens()
    allowed_E = torch.tensor([True, False, True, True])
    # A router that sends every token to all experts has no k, and says so when it gets one.
    k = 1 if hasattr(router, "k") else None
    routing = router(x_TD, Control(k=k, allowed_E=allowed_E), context)
    used_TK = routing.experts_TK[routing.weights_TK > 0]
    _hold(not (used_TK == 1).any(), "a token went to an expert that is not allowed")
    for wrong in (Control(k=EXPERTS + 1), Control(k=0), Control(k=k, allowed_E=torch.zeros(EXPERTS, dtype=torch.bool))):
        try:
            router(x_TD, wrong, context)
        except BadInput:
            continue
        raise AssertionError(f"{wrong} was not refused")


def repeats_itself(make: Make, experts: Callable[[Router], Experts]) -> None:
    """In evaluation the same tokens are routed the same way, and a saved and loaded router is the same."""
    router = _router(make)
    x_TD, context = tokens()
    first, second = router(x_TD, AS_IS, context), router(x_TD, AS_IS, context)
    _hold(torch.equal(first.experts_TK, second.experts_TK), "the same tokens went elsewhere the second time")
    torch.manual_seed(99)
    other = make(WIDTH, EXPERTS).eval()
    other.load_state_dict(copy.deepcopy(router.state_dict()))
    third = other(x_TD, AS_IS, context)
    _hold(torch.equal(first.experts_TK, third.experts_TK), "a loaded router sends tokens elsewhere")
    torch.testing.assert_close(first.weights_TK, third.weights_TK)


def decides_token_by_token(make: Make, experts: Callable[[Router], Experts]) -> None:
    """A causal router sends a token where it would go if nothing came after it."""
    router = _router(make)
    if not router.causal:
        return
    x_TD, context = tokens()
    whole = router(x_TD, AS_IS, context)
    half = TOKENS // 2
    ids_T, nodes_T = _known(context)
    part = router(x_TD[:half], AS_IS, replace(context, ids_T=ids_T[:half], nodes_T=nodes_T[:half]))
    _hold(torch.equal(whole.experts_TK[:half], part.experts_TK), "later tokens change where earlier ones go")
    torch.testing.assert_close(whole.weights_TK[:half], part.weights_TK)


def moves_as_its_dense_view_says(make: Make, experts: Callable[[Router], Experts]) -> None:
    """A layer gives what multiplying by the dense view gives."""
    layer = _layer(make, experts)
    x_TD, context = tokens()
    y_TD, _ = layer(x_TD, AS_IS, context)
    layer.dispatcher = Mixed()
    torch.testing.assert_close(y_TD, layer(x_TD, AS_IS, context).y, rtol=1e-5, atol=1e-6)


def has_the_gradients_of_its_values(make: Make, experts: Callable[[Router], Experts]) -> None:
    """In float64 the gradients of a layer are those of finite differences, for tokens and every parameter.

    Both are compared along random directions, which a wrong gradient has no chance to be right in.
    """
    layer = _layer(make, experts).double()
    x_TD, context = tokens(6)
    x_TD = x_TD.double().requires_grad_()
    learned = {name: value for name, value in layer.named_parameters() if value.requires_grad}
    if getattr(layer.router, "straight_through", False):
        return

    def value(x_TD: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(learned, parameters, strict=True))
        y_TD, routing = torch.func.functional_call(layer, named, (x_TD, AS_IS, context))
        told: Tensor = y_TD.sum() + y_TD.square().sum()
        for loss in routing.losses.values():
            told = told + loss.double()
        return told

    _hold(
        torch.autograd.gradcheck(
            value, (x_TD, *learned.values()), eps=1e-6, atol=1e-5, nondet_tol=1e-9, fast_mode=True
        ),
        "the gradients are not those of finite differences",
    )


def learns_nothing_when_frozen(make: Make, experts: Callable[[Router], Experts]) -> None:
    """Under a frozen control the experts learn, and the router does not."""
    layer = _layer(make, experts).train()
    x_TD, context = tokens()
    y_TD, routing = layer(x_TD, Control(frozen=True), context)
    (y_TD.square().sum() + sum(routing.losses.values())).backward()
    moved = [
        name
        for name, value in layer.named_parameters()
        if name.startswith("router.") and value.grad is not None and value.grad.any()
    ]
    _hold(not moved, f"frozen, and yet {', '.join(moved)} has a gradient")


CHECKS: list[Callable[[Make, Callable[[Router], Experts]], None]] = [
    gives_weights_and_counts,
    takes_none_and_one,
    scores_in_float32,
    obeys_its_control,
    repeats_itself,
    decides_token_by_token,
    moves_as_its_dense_view_says,
    has_the_gradients_of_its_values,
    learns_nothing_when_frozen,
]


def _hold(holds: Any, otherwise: str) -> None:
    """A check that also holds where Python leaves assertions out."""
    if not holds:
        raise AssertionError(otherwise)


def plain_experts(router: Router) -> Experts:
    """The experts of a router that works with any."""
    return FeedForward(WIDTH, hidden=6, experts=router.experts)


def _router(make: Make) -> Any:
    torch.manual_seed(0)
    router: nn.Module = make(WIDTH, EXPERTS)
    return router.eval()


def _layer(make: Make, experts: Callable[[Router], Experts]) -> MoE:
    router = _router(make)
    return MoE(router, experts(router)).eval()


def _routed(make: Make) -> Routing:
    x_TD, context = tokens()
    routing: Routing = _router(make)(x_TD, AS_IS, context)
    return routing


def _well_formed(routing: Routing, count: int) -> None:
    weights_TK, experts_TK = routing.weights_TK, routing.experts_TK
    _hold(
        weights_TK.shape == experts_TK.shape and len(weights_TK) == count,
        f"shapes {weights_TK.shape}, {experts_TK.shape}",
    )
    _hold(torch.isfinite(weights_TK).all() and (weights_TK >= 0).all(), "weights are finite and 0 or more")
    _hold(((experts_TK >= NONE) & (experts_TK < routing.load_E.shape[0])).all(), "an expert that does not exist")
    _hold(not weights_TK[experts_TK == NONE].any(), "a choice that goes nowhere has a weight")
    if routing.slots is None:
        counts_E = torch.bincount(experts_TK[experts_TK != NONE], minlength=routing.load_E.shape[0])
        _hold(torch.equal(counts_E, routing.load_E), f"loads are {routing.load_E}, and count to {counts_E}")
