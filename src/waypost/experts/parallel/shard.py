"""A process's part of the experts, the whole of them for a file, and gradients across processes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from waypost.errors import BadInput
from waypost.experts.feed_forward import Experts, Modules
from waypost.experts.grouped import Groups


class Shard(nn.Module):
    """The experts of one process: process ``rank`` of ``world`` has the rank-th equal part of them.

    ``experts`` are whole ones, of which the part is copied: stacked weights with one entry an expert in front, or
    `Modules`.  Give the layer an `Exchange` or `TwoLevel` over the same processes.

    Raises:
        BadInput: the experts cannot be dealt out evenly, or some of their weights belong to no single expert; and, when
            called, rows came that are grouped for another number of experts.

    >>> from waypost.experts import FeedForward
    >>> part = Shard(FeedForward(8, hidden=16, experts=4), rank=1, world=2)
    >>> part.part.up_EHD.shape, part(torch.ones(3, 8), Groups.of(torch.tensor([1, 2]))).shape
    (torch.Size([2, 16, 8]), torch.Size([3, 8]))
    """

    def __init__(self, experts: Experts, rank: int, world: int) -> None:
        super().__init__()
        if not 0 <= rank < world:
            raise BadInput(f"rank is {rank} of {world} processes; it is from 0 to {world - 1}")
        if experts.experts % world:
            raise BadInput(
                f"{experts.experts} experts over {world} processes; each holds as many as the others, so take a "
                f"multiple of {world}"
            )
        self.experts, self.width = experts.experts, experts.width
        self.held = experts.experts // world
        self.part: Any = _part(experts, rank * self.held, self.held)

    def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """(A, D)."""
        if groups.ends_E.shape[0] != self.held:
            raise BadInput(
                f"rows are grouped for {groups.ends_E.shape[0]} experts, and this process holds {self.held} of "
                f"{self.experts}; give the layer dispatcher=Exchange(...) over the same processes"
            )
        out_AD: Tensor = self.part(rows_AD, groups, shared_AR)
        learns = torch.is_grad_enabled() and any(value.requires_grad for value in self.part.parameters())
        if learns and not out_AD.requires_grad:
            # Without rows nothing was computed, yet the others wait for this process in the backward pass.
            out_AD = out_AD.detach().requires_grad_()
        return out_AD


def whole(layer: nn.Module, group: dist.ProcessGroup | None = None) -> dict[str, Tensor]:
    """The state of a layer with all of its experts, as one without `Shard` has and loads it; all processes call it.

    >>> from waypost.experts import FeedForward
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> part = Shard(FeedForward(8, hidden=16, experts=4), rank=0, world=1)
    >>> {name: tuple(value.shape) for name, value in whole(part).items()}
    {'up_EHD': (4, 16, 8), 'down_EDH': (4, 8, 16)}
    >>> dist.destroy_process_group()
    """
    state = layer.state_dict()
    for prefix, shard in [pair for pair in layer.named_modules() if isinstance(pair[1], Shard)]:
        lead = f"{prefix}." if prefix else ""
        for name in shard.part.state_dict():
            parts = _gathered(state.pop(f"{lead}part.{name}"), group)
            if isinstance(shard.part, Modules):
                _, place, rest = name.split(".", 2)
                for rank, part in enumerate(parts):
                    state[f"{lead}each.{rank * shard.held + int(place)}.{rest}"] = part
            else:
                state[lead + name] = torch.cat(parts)
    return dict(state)


def average_gradients(layer: nn.Module, group: dist.ProcessGroup | None = None) -> None:
    """Make gradients those of the mean of the processes' losses, in place; all processes call it after backward.

    What every process has is averaged over processes.  The gradient of a `Shard` has the tokens of all processes in it
    already, and is only divided.
    """
    world = dist.get_world_size(group)
    own = {id(v) for shard in layer.modules() if isinstance(shard, Shard) for v in shard.parameters()}
    for value in layer.parameters():
        if not value.requires_grad:
            continue
        if id(value) not in own:
            if value.grad is None:  # another process may have one
                value.grad = torch.zeros_like(value)
            dist.all_reduce(value.grad, group=group)
        if value.grad is not None:
            value.grad /= world


def _part(experts: Any, first: int, held: int) -> nn.Module:
    chosen = range(first, first + held)
    if isinstance(experts, Modules):
        return Modules([copy.deepcopy(experts.each[e]) for e in chosen], experts.width)
    # Weights are cut before the rest is copied, so that no process holds all of them twice.
    cut: dict[int, Any] = {}
    for name, value in [*experts.named_parameters(), *experts.named_buffers()]:
        if value.shape[:1] != (experts.experts,):
            raise BadInput(
                f"{name} has shape {tuple(value.shape)}, and so not one entry for each of the {experts.experts} "
                "experts; keep what they share outside of them, as MoE's always"
            )
        part = value.detach()[first : first + held].clone()
        cut[id(value)] = nn.Parameter(part, value.requires_grad) if isinstance(value, nn.Parameter) else part
    made: Any = copy.deepcopy(experts, cut)
    made.experts = held
    return made  # type: ignore[no-any-return]


def _gathered(value: Tensor, group: dist.ProcessGroup | None) -> list[Tensor]:
    parts = [torch.empty_like(value) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, value.contiguous(), group=group)
    return parts
