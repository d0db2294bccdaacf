"""What gates share where tokens compete: groups, how many tokens an expert takes, and choices by column.

Shape suffixes are those of `waypost.experts.routing`; G are groups, and T stands for the tokens of one beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from waypost.errors import BadInput
from waypost.experts.gate import limited
from waypost.experts.routing import NONE, Context, Control, Routing


def check_factor(factor: float | None) -> None:
    """Refuse a capacity factor that leaves no room.

    Raises:
        BadInput: it is not above 0.

    >>> check_factor(0.0)
    Traceback (most recent call last):
    waypost.errors.BadInput: capacity_factor is 0.0; it multiplies an even share of the tokens, and so is above 0
    """
    if factor is not None and not 0 < factor < float("inf"):
        raise BadInput(f"capacity_factor is {factor}; it multiplies an even share of the tokens, and so is above 0")


def split(tokens: int, group: int) -> tuple[int, int]:
    """How many groups there are, and of how many tokens.

    Raises:
        BadInput: the last group would not be whole.

    >>> split(12, 4), split(12, 0)
    ((3, 4), (1, 12))
    """
    if group < 0 or (group and tokens % group):
        raise BadInput(
            f"{tokens} tokens came in groups of {group}; give whole groups (pad the last), or group=0, where all "
            "tokens are one"
        )
    return (tokens // group, group) if group else (1, tokens)


def share(size: int, k: int, factor: float, experts: int) -> int:
    """An expert's even share of a group's assignments, times a factor: at least 1.

    >>> share(16, k=2, factor=1.0, experts=8), share(16, k=2, factor=1.25, experts=8), share(1, 1, 1.0, 8)
    (4, 5, 1)
    """
    return max(1, round(size * k * factor / experts))


def places(tokens: int, k: int, factor: float, experts: int, control: Control, context: Context) -> int:
    """How many tokens of a group each expert takes, at most all of them.

    Raises:
        BadInput: the control's capacity is not one token a group.

    >>> places(12, 2, 1.0, 4, Control(), Context(group=6)), places(12, 2, 1.0, 4, Control(capacity=4), Context(group=6))
    (3, 2)
    """
    groups, size = split(tokens, context.group)
    most = share(size, k, factor, experts)
    if control.capacity is not None:
        each = control.capacity // max(groups, 1)
        if each < 1:
            raise BadInput(
                f"capacity is {control.capacity}, and tokens come in {groups} group(s); an expert that chooses takes "
                "at least 1 token of each"
            )
        most = min(most, each)
    return min(most, size)


def best_of_columns(scores_GTE: Tensor, count: int) -> Tensor:
    """Which tokens are among the ``count`` best of an expert, (G, T, E) of bool: each column holds exactly so many.

    >>> best_of_columns(torch.tensor([[[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]]), 2).int().tolist()
    [[[0, 0], [1, 1], [1, 1]]]
    """
    best_GCE = scores_GTE.topk(count, dim=1).indices
    return torch.zeros_like(scores_GTE, dtype=torch.bool).scatter_(1, best_GCE, True)


def chosen(chosen_TE: Tensor, weights_TE: Tensor, losses: Mapping[str, Tensor] | None = None) -> Routing:
    """What experts have chosen as a routing: K is the most experts that a token got, and the rest is `NONE`.

    The experts of a token come by falling weight.

    >>> routing = chosen(torch.tensor([[True, True], [False, True]]), torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    >>> routing.experts_TK.tolist(), routing.load_E.tolist()
    ([[1, 0], [1, -1]], [1, 2])
    """
    tokens, experts = chosen_TE.shape
    # A score that is no number is never passed over in silence: it is chosen, and the layer refuses it.
    chosen_TE = chosen_TE | weights_TE.isnan()
    k = experts
    if not torch.compiler.is_compiling():  # in a graph no shape depends on the data
        k = max(1, int(chosen_TE.sum(1).max())) if tokens else 1
    key_TE = weights_TE.detach().masked_fill(~chosen_TE, -1.0)
    order_TK = key_TE.argsort(dim=1, descending=True, stable=True)[:, :k]
    kept_TK = chosen_TE.gather(1, order_TK)
    weights_TK = weights_TE.gather(1, order_TK).masked_fill(~kept_TK, 0.0)
    return Routing.of(weights_TK, order_TK.masked_fill(~kept_TK, NONE), experts=experts, losses=losses)


def limited_in_groups(
    experts_TK: Tensor,
    weights_TK: Tensor,
    factor: float | None,
    experts: int,
    control: Control,
    context: Context,
    priority: bool,
) -> tuple[Tensor, Tensor]:
    """Keep to a capacity in each group, the even share times a factor, and to the control's over all of them.

    With ``priority`` tokens of greater weights come first, otherwise those that stand first.
    """
    tokens, k = experts_TK.shape
    priority_T = weights_TK.detach().amax(-1) if priority else None
    if factor is not None:
        groups, size = split(tokens, context.group)
        # An expert is another one in every group, so that one count does for all.
        base_T1 = experts * (torch.arange(tokens, device=experts_TK.device) // max(size, 1))[:, None]
        apart_TK, weights_TK = limited(
            experts_TK + base_T1, weights_TK, share(size, k, factor, experts), experts * groups, priority_T
        )
        experts_TK = torch.where(apart_TK == NONE, NONE, apart_TK - base_T1)
    if control.capacity is not None:
        experts_TK, weights_TK = limited(experts_TK, weights_TK, control.capacity, experts, priority_T)
    return experts_TK, weights_TK
