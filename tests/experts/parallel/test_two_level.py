"""Tokens that travel by machine first come back as they would on the straight way, and cross less."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from waypost.errors import BadInput, RankMissing
from waypost.experts import NONE, Context, Control, FeedForward, MoE, Routing, Slots, TopK
from waypost.experts.parallel import Exchange, Shard, TwoLevel, average_gradients, levels

D, E, K = 6, 8, 3
COUNTS = (5, 0, 17, 1)


def layer() -> MoE:
    torch.manual_seed(0)
    router = TopK(D, experts=E, k=K)
    router.weight_ED.data.normal_()
    return MoE(router, FeedForward(D, 5, E, bias=True))


def spread(exchange, rank: int) -> MoE:
    whole = layer()
    return MoE(whole.router, Shard(whole.experts, rank, 4), dispatcher=exchange)


def tokens(rank: int) -> Tensor:
    return torch.randn(COUNTS[rank], D, generator=torch.Generator().manual_seed(rank)).requires_grad_()


def learned(mine: MoE, here, group) -> tuple[Tensor, ...]:
    x_TD = tokens(here.rank)
    y_TD = mine(x_TD, Control(), Context(across=group)).y
    (y_TD**2).sum().backward()
    average_gradients(mine, group)
    return y_TD, x_TD.grad, *(value.grad for value in mine.parameters())


def computes_and_learns_as_the_straight_way(here) -> None:
    group = here.everyone()
    straight = learned(spread(Exchange(group, E, timeout_seconds=10), here.rank), here, group)
    two = learned(spread(TwoLevel(here.levels(), E, timeout_seconds=10), here.rank), here, group)
    for one, other in zip(straight, two, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def computes_as_one_process(here) -> None:
    mine = spread(TwoLevel(here.levels(), E, timeout_seconds=10), here.rank)
    whole = layer()
    for control in (Control(), Control(k=1), Control(capacity=1)):
        torch.testing.assert_close(mine(tokens(here.rank), control).y, whole(tokens(here.rank), control).y)


def one_machine_or_one_process_a_machine_is_a_special_case(here) -> None:
    for nodes in (1, 4):
        mine = spread(TwoLevel(levels(nodes), E, timeout_seconds=10), here.rank)
        torch.testing.assert_close(mine(tokens(here.rank)).y, layer()(tokens(here.rank)).y)


class Soft(nn.Module):
    experts, causal = E, False

    def forward(self, x_TD: Tensor, control: Control, context: Context) -> Routing:
        scores_TES = (x_TD @ torch.linspace(-1, 1, D * E * 2).view(D, E * 2)).view(-1, E, 2)
        mixed = Slots(scores_TES.softmax(0), scores_TES.flatten(1).softmax(1).view_as(scores_TES))
        none = torch.zeros(len(x_TD), 0)
        return Routing(none, none.long(), torch.full((E,), 2), {}, mixed)


def soft_routings_travel_as_mixtures(here) -> None:
    whole = MoE(Soft(), FeedForward(D, 5, E))
    exchange = TwoLevel(here.levels(), E, timeout_seconds=10)
    mine = MoE(Soft(), Shard(whole.experts, here.rank, 4), dispatcher=exchange)
    torch.testing.assert_close(mine(tokens(here.rank)).y, whole(tokens(here.rank)).y)


def a_token_crosses_once_to_each_machine(here) -> None:
    """Process 0's first token has two experts on machine 1 and one here, the second none, the third one there."""
    wants = torch.tensor([[4, 1, 7], [NONE, NONE, NONE], [6, NONE, NONE]] if here.rank == 0 else [[NONE] * 3] * 2)
    routing = Routing.of((wants != NONE).float(), wants, experts=E)
    x_TD = torch.ones(len(wants), D)
    two = TwoLevel(here.levels(), E, timeout_seconds=10).dispatch(x_TD, routing).own.sent
    straight = Exchange(here.everyone(), E, timeout_seconds=10, per_node=2).dispatch(x_TD, routing).own.sent
    told = 6 * 8
    row = D * 4 + 3 * 4 + 3 * 4  # the token, its weights, and which experts
    assert two.between == (2 * row if here.rank == 0 else 0) + told
    assert straight.between == (3 * D * 4 if here.rank == 0 else 0) + 2 * (2 + 3) * 8
    assert two.messages_between == (1 + 3 if here.rank == 0 else 1)


def what_does_not_fit_is_refused(here) -> None:
    made = here.levels()
    with pytest.raises(BadInput, match="7 experts over 2 machines; take a multiple of 2"):
        TwoLevel(made, 7)
    with pytest.raises(BadInput, match="3 experts over 2 processes"):
        TwoLevel(made, 6)
    with pytest.raises(BadInput, match="4 processes on 3 machines"):
        levels(3)
    exchange = TwoLevel(made, E)
    routing = Routing.of(torch.ones(1, 1), torch.zeros(1, 1).long(), experts=4)
    with pytest.raises(BadInput, match="over 4 experts came, and the exchange is for 8"):
        exchange.dispatch(torch.ones(1, D), routing)
    with pytest.raises(BadInput, match=r"\(shared_TER\) does not travel in two levels; use Exchange"):
        exchange.dispatch(torch.ones(1, D), routing._replace(shared_TER=torch.ones(1, 4, 2)))
    with pytest.raises(BadInput, match=r"k: rank .*; give all processes the same"):
        k = 1 + here.rank // 2
        made_of = Routing.of(torch.ones(1, k), torch.zeros(1, k).long(), experts=E)
        TwoLevel(here.levels(), E, timeout_seconds=10).dispatch(torch.ones(1, D), made_of)


def a_slow_process_is_named_by_its_fellow_on_the_other_machine(here) -> None:
    exchange = TwoLevel(here.levels(), E, timeout_seconds=0.5)
    if here.rank == 2:
        here.store.wait(["not two levels 0"])
        return
    if here.rank == 0:  # 0 and 2 have the same place on their machines
        with pytest.raises(RankMissing, match=r"rank 0 waited at most 0.5 s for rank 2 "):
            exchange.dispatch(tokens(0), layer()(tokens(0)).routing)
        here.store.set("not two levels 0", "yes")


CHECKS = [
    computes_and_learns_as_the_straight_way,
    computes_as_one_process,
    one_machine_or_one_process_a_machine_is_a_special_case,
    soft_routings_travel_as_mixtures,
    a_token_crosses_once_to_each_machine,
    what_does_not_fit_is_refused,
    a_slow_process_is_named_by_its_fellow_on_the_other_machine,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_over_processes(check, said: dict[str, list[str]]) -> None:
    found = said.get(f"test_two_level.{check.__name__}", [])
    assert found == [""] * 4, "\n".join([*found, *said["errors"]])
