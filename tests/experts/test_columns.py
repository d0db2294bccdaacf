"""Groups, places and choices by column."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts import NONE, Context, Control, ExpertChoice, FeedForward, MoE, SinkhornExpert, SparseTransport
from waypost.experts.columns import best_of_columns, check_factor, chosen, limited_in_groups, places, split


def test_groups_are_whole_or_refused() -> None:
    assert split(12, 4) == (3, 4) and split(12, 0) == (1, 12) and split(0, 4) == (0, 4)
    with pytest.raises(BadInput, match="13 tokens came in groups of 4; give whole groups"):
        split(13, 4)
    with pytest.raises(BadInput, match="groups of -1"):
        split(4, -1)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_no_share_is_refused(factor: float) -> None:
    with pytest.raises(BadInput, match=r"capacity_factor is .*above 0"):
        check_factor(factor)


@pytest.mark.parametrize(
    ("tokens", "k", "factor", "group", "expected"),
    [
        (64, 2, 1.0, 0, 16),
        (64, 2, 1.0, 16, 4),
        (64, 2, 1.25, 16, 5),
        (16, 8, 2.0, 0, 16),
        (1, 1, 1.0, 0, 1),
        (0, 1, 1.0, 0, 0),
    ],
)
def test_places_are_an_even_share_of_a_group(tokens: int, k: int, factor: float, group: int, expected: int) -> None:
    assert places(tokens, k, factor, 8, Control(), Context(group=group)) == expected


def test_a_capacity_is_shared_out_to_groups_or_refused() -> None:
    assert places(64, 2, 1.0, 8, Control(capacity=9), Context(group=16)) == 2
    with pytest.raises(BadInput, match=r"capacity is 3, and tokens come in 4 group\(s\); .* at least 1 token of each"):
        places(64, 2, 1.0, 8, Control(capacity=3), Context(group=16))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 5), st.data())
def test_every_column_holds_the_best_and_as_many_as_asked(g: int, t: int, e: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, t))
    scores_GTE = torch.randn(g, t, e)
    taken_GTE = best_of_columns(scores_GTE, count)
    assert (taken_GTE.sum(1) == count).all()
    taken, left = scores_GTE.masked_fill(~taken_GTE, torch.inf), scores_GTE.masked_fill(taken_GTE, -torch.inf)
    assert (taken.amin(1) > left.amax(1)).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 8), st.integers(1, 5))
def test_a_routing_of_columns_says_who_was_chosen(tokens: int, experts: int) -> None:
    chosen_TE = torch.rand(tokens, experts) < 0.4
    weights_TE = torch.rand(tokens, experts).softmax(-1)
    routing = chosen(chosen_TE, weights_TE)
    assert routing.experts_TK.shape[1] == max(1, *chosen_TE.sum(1).tolist(), 1)
    assert torch.equal(routing.load_E, chosen_TE.sum(0))
    for t in range(tokens):
        mine = routing.experts_TK[t][routing.experts_TK[t] != NONE].tolist()
        assert sorted(mine) == chosen_TE[t].nonzero().flatten().tolist()
        assert routing.weights_TK[t][: len(mine)].tolist() == weights_TE[t, mine].tolist()
        assert mine == sorted(mine, key=lambda e: -weights_TE[t, e])


def test_what_is_no_number_is_chosen_so_that_it_is_seen() -> None:
    routing = chosen(torch.zeros(2, 3, dtype=torch.bool), torch.tensor([[0.2, 0.3, 0.5], [torch.nan] * 3]))
    assert routing.weights_TK[0].sum() == 0 and routing.weights_TK[1].isnan().all()


@pytest.mark.parametrize("made", [ExpertChoice, SinkhornExpert, SparseTransport])
def test_a_layer_whose_experts_choose_refuses_a_token_that_is_no_number(made: type) -> None:
    x_TD = torch.randn(9, 8)
    x_TD[4] = torch.nan
    layer = MoE(made(8, experts=4, k=1), FeedForward(8, hidden=4, experts=4))
    with pytest.raises(BadInput, match="not all numbers"):
        layer(x_TD)


@settings(max_examples=50, deadline=None)
@given(st.booleans(), st.sampled_from([0.5, 1.0, 1.5]))
def test_a_capacity_in_groups_is_that_of_each_group_alone(priority: bool, factor: float) -> None:
    weights_TK, experts_TK = torch.rand(24, 4).topk(2)
    asked = (factor, 4, Control())
    found = limited_in_groups(experts_TK, weights_TK, *asked, Context(group=6), priority)
    for start in range(0, 24, 6):
        part = slice(start, start + 6)
        alone = limited_in_groups(experts_TK[part], weights_TK[part], *asked, Context(), priority)
        assert torch.equal(found[0][part], alone[0]) and torch.equal(found[1][part], alone[1])


def test_a_control_s_capacity_holds_over_all_groups_in_order_of_priority() -> None:
    experts_TK, weights_TK = torch.zeros(4, 1, dtype=torch.int64), torch.tensor([[0.1], [0.9], [0.2], [0.8]])
    kept_TK, _ = limited_in_groups(experts_TK, weights_TK, None, 2, Control(capacity=2), Context(group=2), True)
    assert kept_TK.flatten().tolist() == [NONE, 0, NONE, 0]
    kept_TK, _ = limited_in_groups(experts_TK, weights_TK, None, 2, Control(capacity=2), Context(group=2), False)
    assert kept_TK.flatten().tolist() == [0, 0, NONE, NONE]
