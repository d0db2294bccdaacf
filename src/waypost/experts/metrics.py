"""Measures of how tokens are spread over experts, each of one routing or of two; all are plain numbers or tensors.

Reference: Muennighoff et al. 2024, "OLMoE", section 5 (saturation, co-activation); Wang et al. 2024,
"Auxiliary-Loss-Free Load Balancing", section 4.1 (violation).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from waypost.errors import BadInput
from waypost.experts.routing import NONE, Routing


class Violation(NamedTuple):
    """How far the fullest and the emptiest expert are from an even load, as shares of it; (0, 0) when all are even.

    ``least`` is -1 where an expert has nothing.
    """

    most: float
    least: float


def load_violation(load_E: Tensor) -> Violation:
    """The fullest expert's load over an even one, less 1, and the same of the emptiest.

    >>> load_violation(torch.tensor([6, 2, 4, 0]))
    Violation(most=1.0, least=-1.0)
    """
    mean = load_E.double().mean()
    if mean == 0:
        return Violation(0.0, 0.0)
    return Violation(float(load_E.max() / mean - 1), float(load_E.min() / mean - 1))


def drop_share(routing: Routing) -> float:
    """The share of choices that go nowhere.

    Where experts choose tokens there are as many places as the luckiest token got, and the others' are empty without
    anything having been dropped: `unserved` says what is lost there.

    >>> drop_share(Routing.of(torch.tensor([[1.0, 0.0]]), torch.tensor([[2, NONE]]), experts=4))
    0.5
    """
    return float((routing.experts_TK == NONE).double().mean()) if routing.experts_TK.numel() else 0.0


def unserved(routing: Routing) -> float:
    """The share of tokens that no expert gets.

    >>> unserved(Routing.of(torch.zeros(2, 2), torch.tensor([[2, NONE], [NONE, NONE]]), experts=4))
    0.5
    """
    nowhere_TK = routing.experts_TK == NONE
    return float(nowhere_TK.all(-1).double().mean()) if len(nowhere_TK) else 0.0


def entropy(routing: Routing) -> float:
    """The mean entropy in nats of a token's weights: 0 when one expert has all of it, log k when k have the same.

    >>> round(entropy(Routing.of(torch.tensor([[0.5, 0.5]]), torch.tensor([[2, 0]]), experts=4)), 4)
    0.6931
    """
    weights_TK = routing.weights_TK.detach().double()
    share_TK = weights_TK / weights_TK.sum(-1, keepdim=True).clamp(min=1e-12)
    return float(torch.special.entr(share_TK).sum(-1).mean()) if len(weights_TK) else 0.0


def load_entropy(load_E: Tensor) -> float:
    """The entropy of the loads over that of even ones: 1 when all experts have the same, 0 when one has all.

    >>> load_entropy(torch.tensor([3, 3, 3])), load_entropy(torch.tensor([0, 9, 0]))
    (1.0, 0.0)
    """
    share_E = load_E.double() / load_E.sum().clamp(min=1)
    return round(float(torch.special.entr(share_E).sum()) / math.log(max(len(load_E), 2)), 12)


def co_activation(routing: Routing) -> Tensor:
    """Of the tokens that go to expert i, the share that go to expert j as well: (E, E), 1 on its diagonal.

    Rows of experts without a token are 0.

    >>> co_activation(Routing.of(torch.ones(2, 2) / 2, torch.tensor([[0, 1], [0, 2]]), experts=3)).tolist()
    [[1.0, 0.5, 0.5], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    chosen_TE = _chosen(routing).double()
    both_EE = chosen_TE.T @ chosen_TE
    return both_EE / both_EE.diagonal().clamp(min=1)[:, None]


def saturation(routing: Routing, final: Routing) -> float:
    """Of the experts that tokens go to in the end, the share that they go to already.

    Raises:
        BadInput: the two are not of the same tokens and experts.

    >>> early = Routing.of(torch.ones(2, 1), torch.tensor([[0], [1]]), experts=3)
    >>> saturation(early, Routing.of(torch.ones(2, 1), torch.tensor([[0], [2]]), experts=3))
    0.5
    """
    now_TE, then_TE = _chosen(routing), _chosen(final)
    if now_TE.shape != then_TE.shape:
        raise BadInput(
            f"one routing is of {now_TE.shape[0]} tokens and {now_TE.shape[1]} experts, the other of "
            f"{then_TE.shape[0]} and {then_TE.shape[1]}; route the same tokens with both checkpoints"
        )
    return float((now_TE & then_TE).sum() / then_TE.sum().clamp(min=1))


def change(before: Routing, after: Routing) -> float:
    """The share of tokens that do not go to the very same experts as before.

    Raises:
        BadInput: the two are not of the same tokens and experts.

    >>> early = Routing.of(torch.ones(2, 1), torch.tensor([[0], [1]]), experts=3)
    >>> change(early, Routing.of(torch.ones(2, 1), torch.tensor([[0], [2]]), experts=3))
    0.5
    """
    saturation(before, after)  # says so when the two cannot be compared
    moved_T = (_chosen(before) != _chosen(after)).any(-1)
    return float(moved_T.double().mean()) if len(moved_T) else 0.0


def _chosen(routing: Routing) -> Tensor:
    """Whether a token goes to an expert, (T, E)."""
    tokens, experts = len(routing.experts_TK), len(routing.load_E)
    chosen_TE = torch.zeros(tokens, experts + 1, dtype=torch.bool, device=routing.experts_TK.device)
    place_TK = torch.where(routing.experts_TK == NONE, experts, routing.experts_TK)
    return chosen_TE.scatter_(1, place_TK, True)[:, :experts]
