"""Slots of groups are moved as their whole dense view says."""

from __future__ import annotations

import torch

from waypost.experts import Mixed, Routing, Slots


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
