"""Tokens that travel to experts on other processes come back as they would from experts here."""

from __future__ import annotations

import copy
import os
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

from waypost.errors import BadInput, RankMissing
from waypost.experts import (
    Context,
    Control,
    FeedForward,
    Modules,
    MoE,
    Routing,
    Slots,
    SwiGLU,
    TopK,
)
from waypost.experts.losses import balance, weighed
from waypost.experts.parallel import Exchange, Shard, average_gradients

D, E = 6, 8
COUNTS = (5, 0, 17, 1)  # tokens of each process


def layer(experts: nn.Module | None = None, k: int = 2) -> MoE:
    torch.manual_seed(0)
    router = TopK(D, experts=E, k=k)
    router.weight_ED.data.normal_()
    return MoE(router, experts or FeedForward(D, 5, E, bias=True))


def spread(whole: MoE, exchange, rank: int, world: int) -> MoE:
    """The same layer with its experts spread."""
    router, always = copy.deepcopy(whole.router), copy.deepcopy(whole.always)
    return MoE(router, Shard(whole.experts, rank, world), always=always, dispatcher=exchange)


def tokens(rank: int, count: int | None = None, learns: bool = True) -> Tensor:
    drawn = torch.Generator().manual_seed(100 + rank)
    x_TD = torch.randn(COUNTS[rank] if count is None else count, D, generator=drawn)
    return x_TD.requires_grad_(learns)


def own() -> Modules:
    torch.manual_seed(1)
    return Modules([nn.Sequential(nn.Linear(D, e + 1), nn.Tanh(), nn.Linear(e + 1, D)) for e in range(E)], width=D)


def alike(made, whole: MoE, rank: int, world: int, across: dist.ProcessGroup, others: list[int]) -> None:
    """A spread layer gives, and learns from, what the whole layer does on the whole batch."""
    mine = spread(whole, made, rank, world)
    x_TD = tokens(rank)
    y_TD, routing = mine(x_TD, Control(), Context(across=across))
    loss = (y_TD**2).sum() + weighed(routing.losses, {"balance": 0.1, "z": 0.01})
    loss.backward()
    average_gradients(mine, across)
    batch = [tokens(other) for other in others]
    y_BD, routed = whole(torch.cat(batch))
    total = (y_BD**2).sum() / world + weighed(routed.losses, {"balance": 0.1, "z": 0.01})
    total.backward()
    close = {"rtol": 1e-4, "atol": 1e-6}
    place = others.index(rank)
    torch.testing.assert_close(y_TD, y_BD.split([len(x) for x in batch])[place], **close)
    for name in ("balance", "z"):
        torch.testing.assert_close(routing.losses[name], routed.losses[name], **close)
    torch.testing.assert_close(x_TD.grad / world, batch[place].grad, **close)
    torch.testing.assert_close(mine.router.weight_ED.grad, whole.router.weight_ED.grad, **close)
    for (name, value), cut in zip(
        mine.experts.part.named_parameters(), Shard(gradients(whole.experts), place, world).parameters(), strict=True
    ):
        found = torch.zeros_like(value) if value.grad is None else value.grad
        torch.testing.assert_close(found, cut.data, **close, msg=lambda text, name=name: f"{name}: {text}")

    for value, source in zip(parameters(mine.always), parameters(whole.always), strict=True):
        torch.testing.assert_close(value.grad, source.grad, **close)


def parameters(module: nn.Module | None) -> list[nn.Parameter]:
    return [] if module is None else list(module.parameters())


def gradients(experts: nn.Module) -> nn.Module:
    """The experts with their gradients in the place of their weights."""
    made = copy.deepcopy(experts)
    for value, source in zip(made.parameters(), experts.parameters(), strict=True):
        value.data = torch.zeros_like(source) if source.grad is None else source.grad
    return made


def computes_and_learns_as_one_process(here) -> None:
    group = here.everyone()
    for experts in (None, SwiGLU(D, 5, E), own()):
        alike(Exchange(group, E, timeout_seconds=10), layer(experts), here.rank, 4, group, [0, 1, 2, 3])


def so_it_does_beside_a_shared_expert(here) -> None:
    group = here.everyone()
    whole = layer()
    whole.always = nn.Sequential(nn.Linear(D, 3), nn.GELU(), nn.Linear(3, D))
    alike(Exchange(group, E, timeout_seconds=10), whole, here.rank, 4, group, [0, 1, 2, 3])


class Telling(nn.Module):
    """A shared expert that says when it has computed."""

    def __init__(self, here) -> None:
        super().__init__()
        self.here = here

    def forward(self, x_TD: Tensor) -> Tensor:
        self.here.store.set(f"computed {self.here.rank}", "yes")
        return x_TD


def a_shared_expert_computes_while_rows_travel(here) -> None:
    """Process 1 does not send rows before the shared experts of the others have computed."""
    group = here.everyone()
    whole = layer()
    mine, x_TD = spread(whole, Exchange(group, E, timeout_seconds=10), here.rank, 4), tokens(here.rank)
    mine.always = Telling(here)
    send = dist.all_to_all_single

    def late(*rows, **settings) -> object:
        here.store.wait(["computed 0", "computed 2", "computed 3"], timedelta(seconds=20))
        return send(*rows, **settings)

    with pytest.MonkeyPatch.context() as patch:
        if here.rank == 1:
            patch.setattr(dist, "all_to_all_single", late)
        torch.testing.assert_close(mine(x_TD).y, whole(x_TD).y + x_TD)


def numbers_that_are_not_there_yet_alarm_nobody(here) -> None:
    group = here.everyone()
    mine = spread(layer(), Exchange(group, E, timeout_seconds=10), here.rank, 4)
    with torch.autograd.set_detect_anomaly(True):
        mine(tokens(here.rank)).y.sum().backward()


def two_processes_do_too(here) -> None:
    group = here.pair()
    first = here.rank // 2 * 2
    whole = layer(k=3)
    mine = spread(whole, Exchange(group, E, timeout_seconds=10), here.rank - first, 2)
    x_TD = tokens(here.rank)
    torch.testing.assert_close(mine(x_TD).y, whole(x_TD).y)


def one_expert_may_get_everything(here) -> None:
    group = here.everyone()
    only = torch.zeros(E, dtype=torch.bool)
    only[3] = True
    whole = layer()
    x_TD = tokens(here.rank)
    mine = spread(whole, Exchange(group, E, timeout_seconds=10), here.rank, 4)
    torch.testing.assert_close(mine(x_TD, Control(k=1, allowed_E=only)).y, whole(x_TD, Control(k=1, allowed_E=only)).y)
    moved = mine.dispatcher.dispatch(x_TD, mine(x_TD, Control(k=1, allowed_E=only)).routing)
    assert moved.groups.sizes == ([0, sum(COUNTS)] if here.rank == 1 else [0, 0])


def nobody_may_have_tokens(here) -> None:
    group = here.everyone()
    mine = spread(layer(own()), Exchange(group, E, timeout_seconds=10), here.rank, 4)
    y_TD, _ = mine(tokens(here.rank, 0, learns=False))
    y_TD.sum().backward()
    assert y_TD.shape == (0, D)


def a_process_without_rows_takes_part_in_the_backward_pass(here) -> None:
    """Here the tokens need no gradient, so that only experts with rows would call for one."""
    group = here.everyone()
    only = torch.zeros(E, dtype=torch.bool)
    only[3] = True
    mine = spread(layer(own()), Exchange(group, E, timeout_seconds=10), here.rank, 4)
    y_TD, _ = mine(tokens(here.rank, 3, learns=False), Control(k=1, allowed_E=only))
    y_TD.sum().backward()
    learned = [value.grad is not None for value in mine.experts.part.parameters()]
    assert any(learned) == (here.rank == 1)


def what_is_dropped_stays_at_home(here) -> None:
    group = here.everyone()
    whole = layer()
    mine = spread(whole, Exchange(group, E, timeout_seconds=10), here.rank, 4)
    x_TD = tokens(here.rank)
    y_TD, routing = mine(x_TD, Control(capacity=1))
    assert int(routing.load_E.max()) <= 1
    torch.testing.assert_close(y_TD, whole(x_TD, Control(capacity=1)).y)


class Soft(nn.Module):
    """Mixes tokens into two slots an expert."""

    experts, causal = E, False

    def forward(self, x_TD: Tensor, control: Control, context: Context) -> Routing:
        scores_TES = (x_TD @ torch.linspace(-1, 1, D * E * 2).view(D, E * 2)).view(-1, E, 2)
        mixed = Slots(scores_TES.softmax(0), scores_TES.flatten(1).softmax(1).view_as(scores_TES))
        none = torch.zeros(len(x_TD), 0)
        return Routing(none, none.long(), torch.full((E,), 2), {}, mixed)


def soft_routings_travel_as_mixtures(here) -> None:
    group = here.everyone()
    whole = MoE(Soft(), FeedForward(D, 5, E))
    mine = MoE(Soft(), Shard(whole.experts, here.rank, 4), dispatcher=Exchange(group, E, timeout_seconds=10))
    x_TD = tokens(here.rank)
    torch.testing.assert_close(mine(x_TD).y, whole(x_TD).y)


class Doubling(nn.Module):
    """Experts that add what the router has computed."""

    experts, width = E, D

    def forward(self, rows_AD, groups, shared_AR) -> Tensor:
        return rows_AD + shared_AR.sum(1, keepdim=True)


def what_the_router_has_computed_travels_too(here) -> None:
    group = here.everyone()
    exchange = Exchange(group, E, timeout_seconds=10)
    x_TD = tokens(here.rank)
    routing = layer()(x_TD).routing._replace(shared_TER=torch.arange(len(x_TD) * E * 3.0).view(-1, E, 3))
    moved = exchange.dispatch(x_TD, routing)
    found = exchange.combine(Doubling()(moved.rows_AD, moved.groups, moved.shared_AR), moved, routing)
    added_TK = routing.shared_TER.sum(2).gather(1, routing.experts_TK)
    expected = (routing.weights_TK[:, :, None] * (x_TD[:, None] + added_TK[:, :, None])).sum(1)
    torch.testing.assert_close(found, expected)


def bytes_are_those_of_the_rows_that_leave(here) -> None:
    group = here.everyone()
    exchange = Exchange(group, E, timeout_seconds=10, per_node=2)
    x_TD = tokens(here.rank, 9)
    routing = layer()(x_TD).routing
    rows_R = routing.load_E.view(4, 2).sum(1).tolist()
    near = [r for r in range(4) if r // 2 == here.rank // 2 and r != here.rank]
    far = [r for r in range(4) if r // 2 != here.rank // 2]
    told = (2 + 3) * 8  # counts of two experts, and what must be alike
    sent = exchange.dispatch(x_TD, routing).own.sent
    assert sent.inside == sum(rows_R[r] * D * 4 + told for r in near)
    assert sent.between == sum(rows_R[r] * D * 4 + told for r in far)
    assert sent.messages_between == sum((rows_R[r] > 0) + 1 for r in far)


def processes_that_differ_are_told_where(here) -> None:
    group = here.everyone()
    routing = Routing.of(torch.ones(1, 1), torch.tensor([[0]]), experts=E)
    exchange = Exchange(group, E, timeout_seconds=10)
    with pytest.raises(BadInput, match=r"width: rank .* has .*give all processes the same"):
        exchange.dispatch(torch.ones(1, 7 if here.rank == 2 else 6), routing)
    with pytest.raises(BadInput, match="tokens with gradients: rank"):
        exchange.dispatch(torch.ones(1, 6, requires_grad=here.rank == 2), routing)


def what_does_not_fit_is_refused(here) -> None:
    group = here.everyone()
    with pytest.raises(BadInput, match=r"6 experts over 4 processes; .* take a multiple of 4"):
        Exchange(group, 6)
    with pytest.raises(BadInput, match="timeout_seconds is 0"):
        Exchange(group, 8, timeout_seconds=0)
    with pytest.raises(BadInput, match="4 processes, 3 a machine"):
        Exchange(group, 8, per_node=3)
    with pytest.raises(BadInput, match="over 4 experts came, and the exchange is for 8"):
        Exchange(group, 8).dispatch(torch.ones(1, 6), Routing.of(torch.ones(1, 1), torch.zeros(1, 1).long(), experts=4))
    others = [dist.new_group([0]), dist.new_group([1, 2, 3])]
    with pytest.raises(BadInput, match=f"rank {here.rank} is not in the group"):
        Exchange(others[1] if here.rank == 0 else others[0], 8)


def a_slow_process_is_named(here) -> None:
    group = here.everyone()
    if here.rank == 2:
        here.store.wait(["gave up 0", "gave up 1", "gave up 3"])  # it is as slow as the others are patient
        return
    exchange = Exchange(group, E, timeout_seconds=0.5)
    began = monotonic()
    with pytest.raises(RankMissing, match=rf"rank {here.rank} waited at most 0.5 s for rank 2 to say how many tokens"):
        exchange.dispatch(tokens(here.rank), layer()(tokens(here.rank)).routing)
    here.store.set(f"gave up {here.rank}", "yes")
    assert monotonic() - began < 5


def a_process_that_stops_before_the_way_back_is_missed(here) -> None:
    group = here.everyone()
    exchange = Exchange(group, E, timeout_seconds=0.5)
    routing = layer()(tokens(here.rank)).routing
    moved = exchange.dispatch(tokens(here.rank), routing)
    if here.rank == 1:
        here.store.wait(["went back 0", "went back 2", "went back 3"])
        return
    with pytest.raises(RankMissing, match=rf"rank {here.rank} waited at most 0.5 s for one of ranks .*1.* for rows"):
        exchange.combine(moved.rows_AD, moved, routing)
    here.store.set(f"went back {here.rank}", "yes")


def a_process_that_dies_is_named(here) -> None:
    group = here.everyone()
    if here.rank == 3:
        Path(here.folder / "3.dead").touch()
        os._exit(1)
    exchange = Exchange(group, E, timeout_seconds=10)
    began = monotonic()
    with pytest.raises(RankMissing, match=f"rank {here.rank} waited at most 10 s for rank 3 .* that process died"):
        exchange.dispatch(tokens(here.rank), layer()(tokens(here.rank)).routing)
    assert monotonic() - began < 8  # a closed connection is noticed, and not waited for


CHECKS = [
    computes_and_learns_as_one_process,
    so_it_does_beside_a_shared_expert,
    a_shared_expert_computes_while_rows_travel,
    numbers_that_are_not_there_yet_alarm_nobody,
    two_processes_do_too,
    one_expert_may_get_everything,
    nobody_may_have_tokens,
    a_process_without_rows_takes_part_in_the_backward_pass,
    what_is_dropped_stays_at_home,
    soft_routings_travel_as_mixtures,
    what_the_router_has_computed_travels_too,
    bytes_are_those_of_the_rows_that_leave,
    processes_that_differ_are_told_where,
    what_does_not_fit_is_refused,
    a_slow_process_is_named,
    a_process_that_stops_before_the_way_back_is_missed,
    a_process_that_dies_is_named,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_over_processes(check, said: dict[str, list[str]]) -> None:
    found = said.get(f"test_exchange.{check.__name__}", [])
    assert found == [""] * (3 if "dies" in check.__name__ else 4), "\n".join([*found, *said["errors"]])


def test_a_balance_across_processes_is_that_of_the_whole_batch() -> None:
    """What the checks compare with: uneven loads on two halves can be even together."""
    first, second = torch.eye(2)[:1], torch.eye(2)[1:]
    whole = balance(torch.cat([first, second]), torch.tensor([1, 1]))
    assert whole.item() == 1.0 < balance(first, torch.tensor([1, 0])).item()
