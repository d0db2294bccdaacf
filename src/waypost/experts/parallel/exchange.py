"""Experts over processes: tokens go straight to the process of their expert, and come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

from waypost.errors import BadInput
from waypost.experts.dispatch import Moved, Sorted
from waypost.experts.grouped import Groups
from waypost.experts.parallel.wire import Traffic, connected, counts, kind, leave, rows
from waypost.experts.routing import Routing


class Travel(NamedTuple):
    """How rows came to this process, which is how they go back, and what this process sent: ``Moved.own``."""

    local: Moved  # before they left, by expert of all processes
    order_A: Tensor  # rows by process, in the order of this process's experts
    out_R: list[int]
    in_R: list[int]
    sent: Traffic


class Exchange:
    """A dispatcher for experts that are spread over processes: process r of R has experts r·E/R to (r+1)·E/R - 1.

    Each process gives its own tokens and gets their outputs; it computes for everyone's with its `Shard` of the
    experts.  All of the group take part in each call, forward and backward, with a batch of any size, empty too.
    Nothing is padded or dropped.  ``dispatch(x_TD, routing).own.sent`` is the `Traffic` that it made.

    With ``per_node``, so many consecutive processes are on one machine, which is only counted; see `TwoLevel` to make
    use of it.

    Raises:
        BadInput: the experts cannot be dealt out evenly, torch.distributed is not initialised; and, when called, the
            routing is of another number of experts, or processes give tokens of different width or type.
        RankMissing: a process did not answer within ``timeout_seconds``.

    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> routing = Routing.of(torch.ones(2, 1), torch.tensor([[1], [0]]), experts=2)
    >>> moved = (exchange := Exchange(None, experts=2)).dispatch(torch.tensor([[1.0], [2.0]]), routing)
    >>> moved.rows_AD.tolist(), exchange.combine(10 * moved.rows_AD, moved, routing).tolist(), moved.own.sent.inside
    ([[2.0], [1.0]], [[10.0], [20.0]], 0)
    >>> dist.destroy_process_group()
    """

    def __init__(
        self, group: dist.ProcessGroup | None, experts: int, *, timeout_seconds: float = 60.0, per_node: int = 0
    ) -> None:
        self.wire = connected(group, timeout_seconds, per_node)
        if experts < 1 or experts % self.wire.world:
            raise BadInput(
                f"{experts} experts over {self.wire.world} processes; each holds as many as the others, so take a "
                f"multiple of {self.wire.world}"
            )
        self.experts = experts
        self.local = Sorted()

    def dispatch(self, x_TD: Tensor, routing: Routing) -> Moved:
        """Tokens of all processes that chose an expert of this one, grouped by expert."""
        return self.begin(x_TD, routing)()

    def begin(self, x_TD: Tensor, routing: Routing) -> Callable[[], Moved]:
        """Send tokens on their way, and give what waits for those that come."""
        self._check(routing)
        local = self.local.dispatch(x_TD, routing)
        world, mine = self.wire.world, self.experts // self.wire.world
        load_E = torch.tensor(local.groups.sizes)
        load_RE, asked = counts(load_E.view(world, mine), kind(x_TD), self.wire)
        out_R, in_R = load_E.view(world, mine).sum(1).tolist(), load_RE.sum(1).tolist()
        coming, sent = self._sent(local.rows_AD, out_R, in_R)
        coming_shared: Callable[[], Tensor] | None = None
        if local.shared_AR is not None:
            coming_shared, more = self._sent(local.shared_AR, out_R, in_R)
            sent += more
        # From each process they come sorted by expert; a stable sort of the whole keeps their processes in order.
        order_A = torch.arange(mine).repeat(world).repeat_interleave(load_RE.flatten()).argsort(stable=True)
        order_A = order_A.to(x_TD.device)
        groups, own = Groups.of(load_RE.sum(0)), Travel(local, order_A, out_R, in_R, sent + asked)

        def arrived() -> Moved:
            rows_AD = coming()[order_A]
            return Moved(rows_AD, groups, None if coming_shared is None else coming_shared()[order_A], own=own)

        return arrived

    def combine(self, out_AD: Tensor, moved: Moved, routing: Routing) -> Tensor:
        """The outputs of each token's experts, back with the token, weighed and summed: (T, D)."""
        travel: Travel = moved.own
        back_AD = torch.zeros_like(out_AD).index_copy(0, travel.order_A, out_AD)
        home_AD = rows(back_AD, travel.in_R, travel.out_R, self.wire)
        return self.local.combine(home_AD, travel.local, routing)

    def _sent(self, rows_AD: Tensor, out_R: list[int], in_R: list[int]) -> tuple[Callable[[], Tensor], Traffic]:
        size = rows_AD.shape[1] * rows_AD.element_size()
        return leave(rows_AD, out_R, in_R, self.wire), self.wire.counted([size * count for count in out_R])

    def _check(self, routing: Routing) -> None:
        if torch.compiler.is_compiling():
            raise BadInput("experts over processes cannot be compiled as one graph; leave the layer out of compilation")
        if routing.load_E.shape[0] != self.experts:
            raise BadInput(
                f"a routing over {routing.load_E.shape[0]} experts came, and the exchange is for {self.experts}"
            )
