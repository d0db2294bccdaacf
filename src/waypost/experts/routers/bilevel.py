"""First the machine, then an expert on it, by two small gates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import losses
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing, counted


class Bilevel(nn.Module):
    """Sends each token to the best of n machines, and there to the best of its m experts, by two softmaxes.

    Expert j of machine i is expert i·m + j, and its weight is the product of the machine's probability and of that of
    place j.  The second gate is the same on all machines, so that the router costs D·(n + m) and not D·n·m.  All of a
    token's choices are on one machine; the paper takes one (k = 1).

    Losses: ``balance_nodes`` over machines and ``balance_local`` over places on them; each is 1 when they are even.

    Raises:
        BadInput: the experts cannot be dealt out evenly, k is above m, or fewer than k experts of every machine are
            allowed.

    Reference: He et al. 2022, "SMILE: Scaling Mixture-of-Experts with Efficient Bi-level Routing".

    >>> routing = Bilevel(8, experts=6, nodes=2)(torch.ones(3, 8))
    >>> routing.experts_TK.shape, sorted(routing.losses)
    (torch.Size([3, 1]), ['balance_local', 'balance_nodes'])
    """

    causal: ClassVar[bool] = True

    def __init__(self, width: int, experts: int, k: int = 1, *, nodes: int = 2) -> None:
        super().__init__()
        check_sizes(experts, k)
        if nodes < 1 or experts % nodes:
            raise BadInput(f"{experts} experts on {nodes} machines; each has as many as the others")
        self.experts, self.k = experts, k
        self.nodes, self.local = nodes, experts // nodes
        _fits(k, self.local)
        self.node_weight_ND = nn.Parameter(torch.empty(nodes, width).normal_(std=0.02))
        self.local_weight_MD = nn.Parameter(torch.empty(self.local, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        k = choices(control, self.k, self.experts)
        _fits(k, self.local)
        apart, allowed_NM = replace(control, allowed_E=None), None
        if control.allowed_E is not None:
            allowed_NM = control.allowed_E.view(self.nodes, self.local)
        nodes_TN = governed(logits_of(x_TD, self.node_weight_ND), replace(control, allowed_E=_enough(allowed_NM, k)))
        nodes_TN = nodes_TN.softmax(-1)
        node_T1, nodes_T1 = best(nodes_TN, 1)
        local_TM = governed(logits_of(x_TD, self.local_weight_MD), apart)
        if allowed_NM is not None:
            local_TM = local_TM.masked_fill(~allowed_NM[nodes_T1[:, 0]], -torch.inf)
        local_TM = local_TM.softmax(-1)
        local_TK, places_TK = best(local_TM, k)
        node_load_N, place_load_M = counted(nodes_T1, self.nodes), counted(places_TK, self.local)
        found = {
            "balance_nodes": losses.balance(nodes_TN, node_load_N, context.across),
            "balance_local": losses.balance(local_TM, place_load_M, context.across),
        }
        experts_TK = nodes_T1 * self.local + places_TK
        return Routing.of(node_T1 * local_TK, experts_TK, experts=self.experts, losses=found)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"nodes": 1}, {"nodes": 4}, {"k": 2}]


def _fits(k: int, local: int) -> None:
    if k > local:
        raise BadInput(f"k is {k}, and a machine has {local} experts; all of a token's choices are on one machine")


def _enough(allowed_NM: Tensor | None, k: int) -> Tensor | None:
    """Which machines have k experts that are allowed."""
    if allowed_NM is None:
        return None
    enough_N = allowed_NM.sum(1) >= k
    if not torch.compiler.is_compiling() and not enough_N.any():
        raise BadInput(f"no machine has {k} experts that are allowed; allow more on one of them, or lower k")
    return enough_N
