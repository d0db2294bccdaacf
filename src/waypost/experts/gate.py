"""What gates share: scores in float32, masks and temperature, the k best, and capacity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.routing import NONE, Context, Control, Routing


def check_sizes(experts: int, k: int) -> None:
    """Refuse a gate that could not choose.

    Raises:
        BadInput: no experts, or not between 1 and all of them a token.

    >>> check_sizes(4, 8)
    Traceback (most recent call last):
    waypost.errors.BadInput: k is 8, and there are 4 experts; a token goes to at least 1 and at most 4 of them
    """
    if experts < 1:
        raise BadInput(f"experts is {experts}; a layer has at least 1")
    if not 1 <= k <= experts:
        raise BadInput(
            f"k is {k}, and there are {experts} experts; a token goes to at least 1 and at most {experts} of them"
        )


def choices(control: Control, k: int, experts: int) -> int:
    """How many experts a token gets in this call.

    Raises:
        BadInput: more than there are, or than are allowed.
    """
    k = k if control.k is None else control.k
    check_sizes(experts, k)
    if control.allowed_E is not None and not torch.compiler.is_compiling():
        _check_allowed(control.allowed_E, k, experts)
    return k


def _check_allowed(allowed_E: Tensor, k: int, experts: int) -> None:
    if allowed_E.shape != (experts,) or allowed_E.dtype != torch.bool:
        raise BadInput(
            f"allowed_E has shape {tuple(allowed_E.shape)} and type {allowed_E.dtype}; it is one bool for each of the "
            f"{experts} experts"
        )
    left = int(allowed_E.sum())
    if left < k:
        raise BadInput(f"{left} of {experts} experts are allowed, and k is {k}; allow more, or lower k")


def exact(values: Tensor) -> Tensor:
    """The same in float32, or in float64 if they are.

    >>> exact(torch.ones(1).bfloat16()).dtype, exact(torch.ones(1).double()).dtype
    (torch.float32, torch.float64)
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def logits_of(x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None = None) -> Tensor:
    """Scores in float32 at least, whatever the tokens' type and autocast say: a rounded score is another choice."""
    x_TD = exact(x_TD)
    weight_ED, bias_E = weight_ED.to(x_TD.dtype), None if bias_E is None else bias_E.to(x_TD.dtype)
    if not torch.is_autocast_enabled(x_TD.device.type):
        return F.linear(x_TD, weight_ED, bias_E)
    with torch.autocast(x_TD.device.type, enabled=False):
        return F.linear(x_TD, weight_ED, bias_E)


def governed(logits_TE: Tensor, control: Control) -> Tensor:
    """Scores under a control's mask and temperature.

    Raises:
        BadInput: the temperature is not above 0.

    >>> governed(torch.tensor([[1.0, 2.0]]), Control(temperature=0.5, allowed_E=torch.tensor([True, False]))).tolist()
    [[2.0, -inf]]
    """
    if control.temperature != 1.0:
        if not control.temperature > 0:
            raise BadInput(f"temperature is {control.temperature}; it divides the scores, and so is above 0")
        logits_TE = logits_TE / control.temperature
    if control.allowed_E is not None:
        logits_TE = logits_TE.masked_fill(~control.allowed_E, -torch.inf)
    return logits_TE


def best(logits_TE: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best scores of each token and whose they are, best first."""
    if k == 1:
        # Many times faster than a sort, and of equal scores it takes the first as well.
        return logits_TE.max(dim=-1, keepdim=True)
    top = logits_TE.topk(k, dim=-1)
    return top.values, top.indices


def shares(values_TK: Tensor) -> Tensor:
    """Values of each token over their sum; all 0 where every one has come out as 0.

    >>> shares(torch.tensor([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    sum_T1 = values_TK.sum(-1, keepdim=True)
    return values_TK / sum_T1.clamp(min=torch.finfo(sum_T1.dtype).tiny)


def routed(logits_TE: Tensor, k: int, control: Control, context: Context) -> Routing:
    """The k best by their scores, weighed by a softmax over those that are kept: what many routers end with.

    Losses: ``balance``, ``z``, ``entropy``.

    >>> routed(torch.tensor([[0.0, 1.0, 1.0]]), 2, Control(), Context()).weights_TK.tolist()
    [[0.5, 0.5]]
    """
    allowed_TE = governed(logits_TE, control)
    kept_TK, experts_TK = best(allowed_TE, k)
    routing = Routing.of(kept_TK.softmax(-1), experts_TK, experts=logits_TE.shape[1])
    across = context.across
    return routing._replace(
        losses=losses.when_asked(
            across,
            balance=lambda: losses.balance(allowed_TE.softmax(-1), routing.load_E, across),
            z=lambda: losses.z(logits_TE, across),
            entropy=lambda: losses.entropy(allowed_TE.softmax(-1), across),
        )
    )


def limited(
    experts_TK: Tensor, weights_TK: Tensor, capacity: int, experts: int, priority_T: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Take from each expert what is beyond its capacity: first choices before second, then in order of the tokens.

    With ``priority_T`` tokens come in its falling order instead (batch-priority routing, Riquelme et al. 2021).

    Raises:
        BadInput: the capacity is below 1.

    >>> experts, weights = limited(torch.tensor([[0], [0], [1]]), torch.ones(3, 1), capacity=1, experts=2)
    >>> experts.tolist(), weights.tolist()
    ([[0], [-1], [1]], [[1.0], [0.0], [1.0]])
    """
    if capacity < 1:
        raise BadInput(f"capacity is {capacity}; an expert takes at least 1 token")
    tokens, k = experts_TK.shape
    order_T = torch.arange(tokens, device=experts_TK.device)
    if priority_T is not None:
        order_T = priority_T.argsort(descending=True, stable=True)
    # In the order in which they are let in: all first choices, then all second ones.
    queue_A = experts_TK[order_T].T.flatten()
    by_expert_A = queue_A.argsort(stable=True)
    sorted_A = queue_A[by_expert_A]
    start_A = torch.searchsorted(sorted_A, sorted_A)
    place_A = torch.arange(queue_A.shape[0], device=queue_A.device) - start_A
    kept_A = torch.empty_like(queue_A, dtype=torch.bool)
    kept_A[by_expert_A] = place_A < capacity
    kept_TK = torch.empty_like(experts_TK, dtype=torch.bool)
    kept_TK[order_T] = kept_A.view(k, tokens).T
    return experts_TK.masked_fill(~kept_TK, NONE), weights_TK.masked_fill(~kept_TK, 0.0)
