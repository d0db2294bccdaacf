"""Rows and counts from each process of a group to each, with a limit of time.

Whoever does not answer is named where that can be told: counts travel as single messages, and each is waited for by
itself.  Rows travel in one all-to-all, which is faster and whose failure could be anyone's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

from waypost.errors import BadInput, RankMissing


class Traffic(NamedTuple):
    """What a process sends to others on the way to the experts; what stays on it is not counted.

    ``between`` are bytes to other machines, ``inside`` bytes to other processes of its own; messages alike.  The way
    back sends as many rows as have come, and in training the backward pass sends both once more.

    >>> Traffic(between=10, inside=2, messages_between=1, messages_inside=1) + Traffic(5, 0, 1, 0)
    Traffic(between=15, inside=2, messages_between=2, messages_inside=1)
    """

    between: int = 0
    inside: int = 0
    messages_between: int = 0
    messages_inside: int = 0

    def __add__(self, other: Traffic) -> Traffic:  # type: ignore[override]
        """Both together."""
        return Traffic(*(one + two for one, two in zip(self, other, strict=True)))


class Wire(NamedTuple):
    """The processes that rows travel among, and how long one waits for another.

    ``per_node`` consecutive ones are on one machine; 0: all are.
    """

    group: dist.ProcessGroup
    timeout_seconds: float
    per_node: int = 0

    @property
    def rank(self) -> int:
        """The place of this process among them."""
        return dist.get_rank(self.group)

    @property
    def world(self) -> int:
        """How many they are."""
        return dist.get_world_size(self.group)

    def counted(self, bytes_R: Sequence[int]) -> Traffic:
        """Bytes to each process, by level; nothing to say is no message."""
        node = self.rank // (self.per_node or self.world)
        found = Traffic()
        for rank, size in enumerate(bytes_R):
            if rank == self.rank or not size:
                continue
            near = rank // (self.per_node or self.world) == node
            found += Traffic(0, size, 0, 1) if near else Traffic(size, 0, 1, 0)
        return found

    def named(self, ranks: Sequence[int]) -> str:
        """Processes of the group by their rank among all."""
        everyone = [dist.get_global_rank(self.group, rank) for rank in ranks]
        return ("rank " if len(everyone) == 1 else "ranks ") + ", ".join(map(str, everyone))


def connected(group: dist.ProcessGroup | None, timeout_seconds: float, per_node: int = 0) -> Wire:
    """The wire of a group; None is the group of all processes.

    Raises:
        BadInput: torch.distributed is not initialised, this process is not of the group, or the time is not above 0.
    """
    if not dist.is_initialized():
        raise BadInput(
            "torch.distributed is not initialised; call torch.distributed.init_process_group in each process"
        )
    group = dist.group.WORLD if group is None else group
    if group is None or dist.get_rank(group) < 0:
        raise BadInput(f"rank {dist.get_rank()} is not in the group; give each process a group that it is in")
    if not timeout_seconds > 0:
        raise BadInput(f"timeout_seconds is {timeout_seconds}; it is above 0")
    wire = Wire(group, timeout_seconds, per_node)
    if per_node and wire.world % per_node:
        raise BadInput(f"{wire.world} processes, {per_node} a machine; the first is a multiple of the second")
    return wire


def kind(x_TD: Tensor) -> dict[str, int]:
    """What must be the same of all processes' tokens, for rows to mean the same everywhere."""
    return {"width": x_TD.shape[1], "bytes a number": x_TD.element_size(), "tokens with gradients": x_TD.requires_grad}


def counts(counts_RN: Tensor, alike: Mapping[str, int], wire: Wire) -> tuple[Tensor, Traffic]:
    """Whole numbers from each process to each: row r goes to process r, and row r of the result is from it.

    Raises:
        RankMissing: a process did not send its own within the time; says which.
        BadInput: what must be ``alike`` is not; says where.
    """
    world, said = wire.world, torch.tensor([int(value) for value in alike.values()])
    mine_RN = torch.cat([counts_RN, said.expand(world, -1)], dim=1)
    theirs_RN = mine_RN.clone()
    missing = _swapped(mine_RN, theirs_RN, wire)
    if missing:
        raise RankMissing(_sentence(wire, missing, "to say how many tokens it sends"))
    for rank, values in enumerate(theirs_RN[:, -len(alike) :].tolist()):
        for (name, mine), theirs in zip(alike.items(), values, strict=True):
            if theirs != mine:
                raise BadInput(
                    f"{name}: {wire.named([rank])} has {theirs}, and {wire.named([wire.rank])} has {int(mine)}; give "
                    "all processes the same layer and the same kind of tokens"
                )
    return theirs_RN[:, : -len(alike)], wire.counted([mine_RN[0].nbytes] * world)


def _swapped(mine_RN: Tensor, theirs_RN: Tensor, wire: Wire) -> list[int]:
    """Exchange one row with each other process; gives those that did not answer."""
    others = [rank for rank in range(wire.world) if rank != wire.rank]
    ends = monotonic() + wire.timeout_seconds
    works, missing = [], set()
    for rank in others:
        try:
            works.append((rank, dist.irecv(theirs_RN[rank], group=wire.group, group_src=rank)))
            works.append((rank, dist.isend(mine_RN[rank], group=wire.group, group_dst=rank)))
        except RuntimeError:  # the connection is closed already
            missing.add(rank)
    missing |= {rank for rank, work in works if not _came(work, ends)}
    return sorted(missing)


def rows(rows_AD: Tensor, out_R: Sequence[int], in_R: Sequence[int], wire: Wire) -> Tensor:
    """Rows from each process to each: the first ``out_R[0]`` go to process 0, and so on; gradients travel back.

    Raises:
        RankMissing: not all rows came within the time.
    """
    return leave(rows_AD, out_R, in_R, wire)()


def leave(rows_AD: Tensor, out_R: Sequence[int], in_R: Sequence[int], wire: Wire) -> Callable[[], Tensor]:
    """Send rows as `rows` does, and give what waits for those that come: there is time for something else between.

    In the backward pass their gradients travel while that of what was done between is computed.
    """
    trip = _Trip(list(out_R), list(in_R), wire)
    coming_AD = _Leave.apply(rows_AD, trip)  # type: ignore[no-untyped-call]
    return lambda: _Arrive.apply(coming_AD, trip)  # type: ignore[no-untyped-call]


class _Trip:
    """Where rows go, and those that are on their way."""

    def __init__(self, out_R: list[int], in_R: list[int], wire: Wire) -> None:
        self.out_R, self.in_R, self.wire = out_R, in_R, wire
        self.coming: tuple[Tensor, Any] | None = None

    def begin(self, rows_AD: Tensor, *, back: bool = False) -> Tensor:
        """Memory that the rows will come to."""
        out_R, in_R = (self.in_R, self.out_R) if back else (self.out_R, self.in_R)
        coming_AD = rows_AD.new_empty(sum(in_R), *rows_AD.shape[1:])
        with self._or_missing():
            work = dist.all_to_all_single(
                coming_AD, rows_AD.contiguous(), in_R, out_R, group=self.wire.group, async_op=True
            )
        self.coming = coming_AD, work
        return coming_AD

    def end(self) -> Tensor:
        """The rows, when they have come."""
        if self.coming is None:
            raise RuntimeError("no rows are on their way; each trip ends once")
        coming_AD, work = self.coming
        with self._or_missing():
            work.wait(timedelta(seconds=self.wire.timeout_seconds))
        self.coming = None
        return coming_AD

    @contextmanager
    def _or_missing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            others = [rank for rank in range(self.wire.world) if rank != self.wire.rank]
            raise RankMissing(_sentence(self.wire, others, "for rows", some=True)) from error


class _Leave(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_AD: Tensor, trip: _Trip) -> Tensor:
        ctx.trip = trip
        return trip.begin(rows_AD)

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        return ctx.trip.end(), None  # what `_Arrive` has sent back


class _Arrive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coming_AD: Tensor, trip: _Trip) -> Tensor:
        ctx.trip = trip
        trip.end()
        return coming_AD.view_as(coming_AD)

    @staticmethod
    def backward(ctx: Any, grad_AD: Tensor) -> tuple[Tensor, None]:
        ctx.trip.begin(grad_AD, back=True)
        return grad_AD, None  # of the shape that is expected here; nobody reads it


def _came(work: Any, ends: float) -> bool:
    try:
        work.wait(timedelta(seconds=max(ends - monotonic(), 0.001)))
    except RuntimeError:
        return False
    return True


def _sentence(wire: Wire, ranks: Sequence[int], what: str, *, some: bool = False) -> str:
    who = f"{'one of ' if some and len(ranks) > 1 else ''}{wire.named(ranks)}"
    return (
        f"rank {dist.get_rank()} waited at most {wire.timeout_seconds:g} s for {who} {what}: that process died, is "
        "slow, or has stopped with an error of its own; look at its output, or raise timeout_seconds"
    )
