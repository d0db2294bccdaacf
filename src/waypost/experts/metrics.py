"""What can be read from routings: how even loads are, what is dropped, who goes where, and whether it still changes.

Each takes `Routing`s and gives numbers or a tensor; nothing here learns.  A choice that goes nowhere counts for none.
Tokens of a soft router go to all experts, so what is said of choices says nothing of it; its weights do.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from waypost.errors import BadInput
from waypost.experts.routing import NONE, Routing


class Violation(NamedTuple):
    """How far loads are from even: the fullest expert's excess over the mean, and what the emptiest lacks of it.

    Both are shares of the mean: ``most`` is 0 when loads are even and E - 1 when one expert has all, ``least`` is 1
    when an expert has nothing.
    """

    most: float
    least: float


class Drops(NamedTuple):
    """The share of choices that go nowhere, and of tokens that no expert gets."""

    choices: float
    tokens: float


class Entropies(NamedTuple):
    """In nats: of the loads (log E when even), and the mean of tokens' weights (0 when each is sure of one expert)."""

    loads: float
    tokens: float


def violation(routing: Routing) -> Violation:
    """How far loads are from even.

    Reference: MaxVio of Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts";
    ``least`` is the same of the emptiest expert.

    >>> violation(_sent([[0], [0], [0], [1]], experts=2))
    Violation(most=0.5, least=0.5)
    """
    load_E = routing.load_E.double()
    mean = float(load_E.mean())
    if mean == 0:
        return Violation(0.0, 0.0)
    return Violation(float(load_E.max()) / mean - 1, 1 - float(load_E.min()) / mean)


def drops(routing: Routing) -> Drops:
    """What goes nowhere.

    Where experts choose, places of a token are only as many as the luckiest one got, and ``tokens`` is what counts.

    >>> drops(_sent([[0, 1], [0, NONE], [NONE, NONE], [1, 0]], experts=2))
    Drops(choices=0.375, tokens=0.25)
    """
    nowhere_TK = routing.experts_TK == NONE
    if not nowhere_TK.numel():
        return Drops(0.0, 0.0)
    return Drops(float(nowhere_TK.double().mean()), float(nowhere_TK.all(-1).double().mean()))


def entropies(routing: Routing) -> Entropies:
    """How evenly experts are used, and how undecided tokens are; a token's weights are taken as shares of their sum.

    >>> entropies(_sent([[0], [1]], experts=2))
    Entropies(loads=0.6931471805599453, tokens=0.0)
    """
    load_E = routing.load_E.double()
    weights_TK = routing.weights_TK.detach().double()
    total_T1 = weights_TK.sum(-1, keepdim=True)
    served_TK = (weights_TK / total_T1)[total_T1[:, 0] > 0]
    own = torch.special.entr(served_TK).sum(-1)
    return Entropies(
        float(torch.special.entr(load_E / load_E.sum().clamp(min=1)).sum()), float(own.mean()) if len(own) else 0.0
    )


def co_activation(routing: Routing) -> Tensor:
    """Of the tokens that an expert (row) gets, the share that another (column) gets too, (E, E) of float64.

    The diagonal is 1, and rows of experts without tokens are 0.

    Reference: Muennighoff et al. 2024, "OLMoE: Open Mixture-of-Experts Language Models".

    >>> co_activation(_sent([[0, 1], [0, 2], [0, 1], [1, 2]], experts=3))[0].tolist()
    [1.0, 0.6666666666666666, 0.3333333333333333]
    """
    sent_TE = _goes(routing).double()
    both_EE = sent_TE.T @ sent_TE
    return both_EE / both_EE.diagonal()[:, None].clamp(min=1)


def saturation(early: Routing, final: Routing) -> float:
    """The share of the choices of the end that a checkpoint makes already, in the mean of tokens.

    Both are routings of the same tokens; those that have no expert at the end are left out.

    Raises:
        BadInput: numbers of tokens or experts differ.

    Reference: Muennighoff et al. 2024, "OLMoE".

    >>> saturation(_sent([[0, 1], [0, 1]], experts=3), _sent([[0, 2], [1, 0]], experts=3))
    0.75
    """
    early_TE, final_TE = _both(early, final)
    count_T = final_TE.sum(-1)
    share_T = (early_TE & final_TE).sum(-1)[count_T > 0] / count_T[count_T > 0]
    return float(share_T.double().mean()) if len(share_T) else 1.0


def changed(before: Routing, after: Routing) -> float:
    """The share of tokens that go to other experts than before, whatever their order and weights.

    Raises:
        BadInput: numbers of tokens or experts differ.

    Reference: for one expert a token the fluctuation of Dai et al. 2022, "StableMoE".

    >>> changed(_sent([[0, 1], [0, 1]], experts=3), _sent([[1, 0], [0, 2]], experts=3))
    0.5
    """
    before_TE, after_TE = _both(before, after)
    return float((before_TE != after_TE).any(-1).double().mean()) if len(before_TE) else 0.0


def _goes(routing: Routing) -> Tensor:
    """Whether each token goes to each expert, (T, E) of bool."""
    experts = routing.load_E.shape[0]
    sent_TE = torch.zeros(len(routing.experts_TK), experts + 1, dtype=torch.bool, device=routing.experts_TK.device)
    return sent_TE.scatter_(1, torch.where(routing.experts_TK == NONE, experts, routing.experts_TK), True)[:, :experts]


def _both(one: Routing, other: Routing) -> tuple[Tensor, Tensor]:
    one_TE, other_TE = _goes(one), _goes(other)
    if one_TE.shape != other_TE.shape:
        raise BadInput(
            f"one routing is of {one_TE.shape[0]} tokens and {one_TE.shape[1]} experts, the other of "
            f"{other_TE.shape[0]} and {other_TE.shape[1]}; route the same tokens at both checkpoints"
        )
    return one_TE, other_TE


def _sent(experts_TK: list[list[int]], experts: int) -> Routing:
    """Equal weights, for examples."""
    sent_TK = torch.tensor(experts_TK)
    return Routing.of((sent_TK != NONE).float(), sent_TK, experts=experts)
