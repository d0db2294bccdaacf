"""Experts over processes on several machines: first to the machine, then to the process on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts.dispatch import Mixed, Moved
from waypost.experts.parallel.exchange import Exchange
from waypost.experts.parallel.wire import Traffic, Wire, connected, counts, kind, leave, rows
from waypost.experts.routing import NONE, Routing


class Levels(NamedTuple):
    """The groups of a process: its fellows on the other machines, and those on its own."""

    between: dist.ProcessGroup
    inside: dist.ProcessGroup


def levels(nodes: int) -> Levels:
    """Groups for so many machines with equally many processes each, those of a machine with consecutive ranks.

    Every process calls it, since groups are made together.

    Raises:
        BadInput: the processes cannot be dealt out evenly.
    """
    world, rank = dist.get_world_size(), dist.get_rank()
    if nodes < 1 or world % nodes:
        raise BadInput(f"{world} processes on {nodes} machines; each has as many as the others")
    each = world // nodes
    insides = [dist.new_group(list(range(node * each, (node + 1) * each))) for node in range(nodes)]
    betweens = [dist.new_group(list(range(place, world, each))) for place in range(each)]
    return Levels(betweens[rank % each], insides[rank // each])


class Journey(NamedTuple):
    """How tokens came to this machine and to this process of it: ``Moved.own``."""

    mixed: Moved | None  # for soft routings: the mixtures, which are what travels
    tokens_P: Tensor  # of each pair of token and machine, the token
    out_R: list[int]
    in_R: list[int]
    inside: Moved
    routing: Routing  # of the pairs that came, over the experts of this machine
    sent: Traffic


class TwoLevel:
    """A dispatcher that sends a token once to each machine that it has experts on, and on that machine to each expert.

    The outputs of a machine's experts are weighed and summed there, and the sum travels back.  So a token with k
    experts on one machine crosses between machines once each way and not k times, and a process has messages for one
    process of each other machine and not for all.  Outputs are those of `Exchange` but for the order of sums.

    Process r of the machine i of n with m processes each has the experts of rank i·m + r; see `levels`.

    Reference: He et al. 2022, "SMILE", which sends top-1 tokens this way; sending to a machine once is ours.

    Raises:
        BadInput: as `Exchange`; and for routers that hand experts what they have computed of them (``shared_TER``).
        RankMissing: a process did not answer within ``timeout_seconds``.

    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> routing = Routing.of(torch.ones(2, 1), torch.tensor([[1], [0]]), experts=2)
    >>> moved = (exchange := TwoLevel(levels(nodes=1), experts=2)).dispatch(torch.tensor([[1.0], [2.0]]), routing)
    >>> moved.rows_AD.tolist(), exchange.combine(10 * moved.rows_AD, moved, routing).tolist()
    ([[2.0], [1.0]], [[10.0], [20.0]])
    >>> dist.destroy_process_group()
    """

    def __init__(self, levels: Levels, experts: int, *, timeout_seconds: float = 60.0) -> None:
        self.between: Wire = connected(levels.between, timeout_seconds, per_node=1)
        self.nodes = self.between.world
        if experts < 1 or experts % self.nodes:
            raise BadInput(f"{experts} experts over {self.nodes} machines; take a multiple of {self.nodes}")
        self.experts = experts
        self.inside = Exchange(levels.inside, experts // self.nodes, timeout_seconds=timeout_seconds)

    def dispatch(self, x_TD: Tensor, routing: Routing) -> Moved:
        """Tokens of all processes that chose an expert of this one, grouped by expert."""
        return self.begin(x_TD, routing)()

    def begin(self, x_TD: Tensor, routing: Routing) -> Callable[[], Moved]:
        """Send tokens on their way to the machines, and give what waits for those that come and sends them on there."""
        if routing.shared_TER is not None:
            raise BadInput("what a router hands on to experts (shared_TER) does not travel in two levels; use Exchange")
        if routing.load_E.shape[0] != self.experts:
            raise BadInput(
                f"a routing over {routing.load_E.shape[0]} experts came, and the exchange is for {self.experts}"
            )
        mixed = None
        if routing.slots is not None:
            mixed = Mixed().dispatch(x_TD, routing)
            x_TD, routing = mixed.rows_AD, _one_each(mixed, self.experts)
        tokens_P, machine_P = self._pairs(routing)
        out_R = torch.bincount(machine_P, minlength=self.nodes).tolist()
        alike = kind(x_TD) | {
            "k": routing.experts_TK.shape[1],
            "a router that learns": routing.weights_TK.requires_grad,
        }
        in_R1, asked = counts(torch.tensor(out_R)[:, None], alike, self.between)
        in_R = in_R1.flatten().tolist()
        # Of a token's choices, those that are not on the machine that it goes to are nobody's there.
        mine = self.experts // self.nodes
        local_PK = routing.experts_TK[tokens_P] - mine * machine_P[:, None]
        elsewhere_PK = (local_PK < 0) | (local_PK >= mine)
        local_PK = local_PK.masked_fill(elsewhere_PK, NONE)
        weights_PK = routing.weights_TK[tokens_P].masked_fill(elsewhere_PK, 0)
        parts = (x_TD[tokens_P], weights_PK, local_PK.to(torch.int32))
        coming = [leave(part, out_R, in_R, self.between) for part in parts]
        for part in parts:
            asked += self.between.counted([part.shape[1] * part.element_size() * count for count in out_R])

        def arrived() -> Moved:
            rows_PD, weights_PK, local_PK = (arrive() for arrive in coming)
            here = Routing.of(weights_PK, local_PK.long(), experts=mine)
            inside = self.inside.dispatch(rows_PD, here)
            own = Journey(mixed, tokens_P, out_R, in_R, inside, here, asked + inside.own.sent)
            return Moved(inside.rows_AD, inside.groups, own=own)

        return arrived

    def combine(self, out_AD: Tensor, moved: Moved, routing: Routing) -> Tensor:
        """The outputs of each token's experts, weighed, summed on their machine, and back with the token: (T, D)."""
        journey: Journey = moved.own
        sums_PD = self.inside.combine(out_AD, journey.inside, journey.routing)
        home_PD = rows(sums_PD, journey.in_R, journey.out_R, self.between)
        count = len(routing.experts_TK) if journey.mixed is None else len(journey.mixed.rows_AD)
        total_TD = home_PD.new_zeros(count, home_PD.shape[1]).index_add(0, journey.tokens_P, home_PD)
        return total_TD if journey.mixed is None else Mixed().combine(total_TD, journey.mixed, routing)

    def _pairs(self, routing: Routing) -> tuple[Tensor, Tensor]:
        """Each token with each machine that it has an expert on, by machine and then by token."""
        machine_TK = torch.where(
            routing.experts_TK == NONE, self.nodes, routing.experts_TK // (self.experts // self.nodes)
        )
        visits_TN = F.one_hot(machine_TK, self.nodes + 1).sum(1)[:, : self.nodes] > 0
        machine_P, tokens_P = visits_TN.T.nonzero(as_tuple=True)
        return tokens_P, machine_P


def _one_each(mixed: Moved, experts: int) -> Routing:
    """A routing that sends each mixture to its expert."""
    slots = len(mixed.rows_AD) // experts
    experts_A1 = torch.arange(experts, device=mixed.rows_AD.device).repeat_interleave(slots)[:, None]
    return Routing.of(torch.ones_like(experts_A1, dtype=torch.float32), experts_A1, experts=experts)
