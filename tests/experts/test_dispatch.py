"""Tokens go to their experts and back, whichever of the ways is taken."""

from __future__ import annotations

import pytest
import torch

from waypost.experts import NONE, Mixed, Routing, Slots, Sorted
from waypost.experts.routing import counted

DROPPED = torch.tensor([[0, 2], [NONE, 1], [2, NONE], [NONE, NONE], [1, 0]])
CASES = {
    "none": torch.zeros(0, 2, dtype=torch.int64),
    "one": torch.tensor([[2, 0]]),
    "one-dropped": torch.tensor([[NONE, 1]]),
    "many": torch.tensor([[0, 2], [2, 1], [2, 0], [1, 0]]),
    "first-only": torch.tensor([[2], [0], [2]]),
    "dropped": DROPPED,
    "all-dropped": torch.full((3, 2), NONE),
}


@pytest.mark.parametrize("experts_TK", CASES.values(), ids=CASES)
def test_sorting_gives_what_multiplying_by_the_dense_view_gives(experts_TK: torch.Tensor) -> None:
    torch.manual_seed(0)
    x_TD = torch.randn(experts_TK.shape[0], 3, dtype=torch.float64, requires_grad=True)
    weights_TK = torch.rand(experts_TK.shape, dtype=torch.float64, requires_grad=True)
    scale_E = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)

    def through(dispatcher) -> torch.Tensor:
        routing = Routing.of(weights_TK.masked_fill(experts_TK == NONE, 0), experts_TK, experts=3)
        moved = dispatcher.dispatch(x_TD, routing)
        scale_A = scale_E.repeat_interleave(torch.tensor(moved.groups.sizes))
        return dispatcher.combine((moved.rows_AD * scale_A[:, None]).sin(), moved, routing)

    mine_TD, right_TD = through(Sorted()), through(Mixed())
    torch.testing.assert_close(mine_TD, right_TD)
    if experts_TK.numel():
        for mine, right in zip(
            torch.autograd.grad(mine_TD.square().sum(), [x_TD, weights_TK]),
            torch.autograd.grad(right_TD.square().sum(), [x_TD, weights_TK]),
            strict=True,
        ):
            torch.testing.assert_close(mine, right)
    with torch.no_grad():
        torch.testing.assert_close(through(Sorted()), mine_TD)


def test_gradients_pass_a_numerical_check() -> None:
    torch.manual_seed(0)
    x_TD, weights_TK = (torch.randn(4, size, dtype=torch.float64, requires_grad=True) for size in (3, 2))

    def through(x_TD: torch.Tensor, weights_TK: torch.Tensor) -> torch.Tensor:
        routing = Routing.of(weights_TK, CASES["many"], experts=3)
        moved = Sorted().dispatch(x_TD, routing)
        return Sorted().combine(moved.rows_AD.sin(), moved, routing)

    assert torch.autograd.gradcheck(through, (x_TD, weights_TK))


def test_loads_are_counted_alike_on_every_device() -> None:
    assert counted(DROPPED, 3).tolist() == [2, 2, 2]
    assert counted(DROPPED.to("meta"), 3).shape == (3,)


def test_slots_of_groups_are_those_of_the_whole_dense_view() -> None:
    torch.manual_seed(0)
    x_TD, shared_TER = torch.randn(6, 5), torch.randn(6, 2, 3)
    weights_TK, experts_TK = torch.full((6, 2), 0.5), torch.tensor([[0, 1]] * 6)
    slots = Slots(torch.rand(6, 2, 4), torch.rand(6, 2, 4))
    brief = Routing(weights_TK, experts_TK, torch.tensor([12, 12]), {}, slots, shared_TER, groups=3)
    whole = brief._replace(slots=brief.dense(), groups=1)
    assert whole.slots.dispatch_TES.shape == (6, 2, 12)
    moved, expected = Mixed().dispatch(x_TD, brief), Mixed().dispatch(x_TD, whole)
    torch.testing.assert_close(moved.rows_AD, expected.rows_AD)
    torch.testing.assert_close(moved.shared_AR, expected.shared_AR)
    assert moved.groups.sizes == expected.groups.sizes == [12, 12]
    out_AD = torch.randn(24, 5)
    torch.testing.assert_close(Mixed().combine(out_AD, moved, brief), Mixed().combine(out_AD, expected, whole))


def test_a_token_has_no_part_in_slots_of_another_group() -> None:
    routing = Routing(
        torch.ones(2, 1), torch.zeros(2, 1, dtype=torch.int64), torch.tensor([2]), {},
        Slots(torch.ones(2, 1, 1), torch.ones(2, 1, 1)), groups=2,
    )  # fmt: skip
    assert routing.dense().dispatch_TES.tolist() == [[[1, 0]], [[0, 1]]]
    assert Mixed().dispatch(torch.tensor([[3.0], [5.0]]), routing).rows_AD.tolist() == [[3], [5]]
