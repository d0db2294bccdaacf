"""A process's part of the experts: cut out, put together again, and trained as the whole is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts import Context, Control, FeedForward, Modules, MoE, SwiGLU, TopK
from waypost.experts.grouped import Groups
from waypost.experts.losses import weighed
from waypost.experts.parallel import Exchange, Shard, average_gradients, whole

D, E = 6, 8


def layer(experts: nn.Module | None = None) -> MoE:
    torch.manual_seed(0)
    return MoE(TopK(D, experts=E, k=2), experts or FeedForward(D, 5, E, bias=True), always=nn.Linear(D, D))


def own() -> Modules:
    torch.manual_seed(1)
    return Modules([nn.Sequential(nn.Linear(D, 3), nn.Linear(3, D)) for _ in range(E)], width=D)


def batch(rank: int, step: int) -> Tensor:
    return torch.randn(3 + 2 * rank, D, generator=torch.Generator().manual_seed(10 * step + rank))


def a_saved_layer_is_one_that_was_never_spread(here) -> None:
    group = here.everyone()
    for experts in (FeedForward(D, 5, E, bias=True), SwiGLU(D, 5, E), own()):
        one = layer(experts)
        mine = MoE(one.router, Shard(experts, here.rank, 4), always=one.always, dispatcher=Exchange(group, E))
        state = whole(mine, group)
        assert state.keys() == one.state_dict().keys()
        for name, value in one.state_dict().items():
            assert torch.equal(state[name], value), name


@torch.no_grad()
def step_down(made: nn.Module) -> None:
    for value in made.parameters():
        if value.grad is not None:
            value -= 0.3 * value.grad
            value.grad = None


def trains_as_one_process_does(here) -> None:
    """Five steps on the mean of the processes' losses, with a balance over the whole batch."""
    group = here.everyone()
    one = layer()
    mine = layer()
    mine.experts, mine.dispatcher = Shard(mine.experts, here.rank, 4), Exchange(group, E, timeout_seconds=10)
    for step in range(5):
        batches = [batch(rank, step) for rank in range(4)]
        y_TD, routing = mine(batches[here.rank], Control(), Context(across=group))
        (y_TD.square().mean() + weighed(routing.losses, {"balance": 0.1})).backward()
        average_gradients(mine, group)
        step_down(mine)
        y_BD, routed = one(torch.cat(batches))
        parts = y_BD.split([len(x) for x in batches])
        (sum(y.square().mean() for y in parts) / 4 + weighed(routed.losses, {"balance": 0.1})).backward()
        step_down(one)
    state = whole(mine, group)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(
            state[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


CHECKS = [a_saved_layer_is_one_that_was_never_spread, trains_as_one_process_does]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_over_processes(check, said: dict[str, list[str]]) -> None:
    found = said.get(f"test_shard.{check.__name__}", [])
    assert found == [""] * 4, "\n".join([*found, *said["errors"]])


@pytest.mark.parametrize("experts", [FeedForward(D, 5, E, bias=True), own()])
def test_parts_compute_what_the_whole_does(experts: nn.Module) -> None:
    groups = Groups.of(torch.tensor([1, 0, 2, 3, 0, 1, 4, 1]))
    rows_AD = torch.randn(12, D)
    out = [
        Shard(experts, rank, 2)(rows, Groups.of(torch.tensor(sizes)))
        for rank, (rows, sizes) in enumerate(zip(rows_AD.split([6, 6]), ([1, 0, 2, 3], [0, 1, 4, 1]), strict=True))
    ]
    torch.testing.assert_close(torch.cat(out), experts(rows_AD, groups))


def test_a_part_is_a_copy_of_its_own_and_no_larger() -> None:
    experts = FeedForward(D, 5, E)
    part = Shard(experts, 1, 4)
    assert sum(value.untyped_storage().nbytes() for value in part.parameters()) * 4 == sum(
        value.nbytes for value in experts.parameters()
    )
    part.part.up_EHD.data.zero_()
    assert experts.up_EHD.all()
    assert experts.experts == E and part.experts == E and part.part.experts == 2


def test_a_frozen_weight_stays_frozen() -> None:
    experts = FeedForward(D, 5, E)
    experts.up_EHD.requires_grad_(False)
    assert [value.requires_grad for value in Shard(experts, 0, 2).parameters()] == [False, True]


class Common(FeedForward):
    """Has a weight that all experts share."""

    def __init__(self) -> None:
        super().__init__(D, 5, E)
        self.scale_D = nn.Parameter(torch.ones(D))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Shard(FeedForward(D, 5, E), 0, 3), "8 experts over 3 processes; .* a multiple of 3"),
        (lambda: Shard(FeedForward(D, 5, E), 2, 2), "rank is 2 of 2 processes; it is from 0 to 1"),
        (lambda: Shard(Common(), 0, 2), r"scale_D has shape \(6,\).*8 experts; .* MoE's always"),
        (
            lambda: MoE(TopK(D, experts=E), Shard(FeedForward(D, 5, E), 0, 2))(torch.ones(2, D)),
            r"grouped for 8 experts, and this process holds 4 of 8; .*dispatcher=Exchange",
        ),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
