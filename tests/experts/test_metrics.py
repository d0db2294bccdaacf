"""Measures of a routing, counted by hand."""

from __future__ import annotations

import math

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import NONE, ExpertChoice, Routing, Soft, metrics


def routing(experts: list[list[int]], count: int = 4) -> Routing:
    experts_TK = torch.tensor(experts)
    weights_TK = (experts_TK != NONE).float() / experts_TK.shape[1]
    return Routing.of(weights_TK, experts_TK, experts=count)


NOBODY = Routing.of(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int64), experts=4)


def test_violation_is_measured_against_an_even_load() -> None:
    assert metrics.load_violation(torch.tensor([3, 3, 3])) == (0.0, 0.0)
    assert metrics.load_violation(torch.tensor([1, 2, 3])) == pytest.approx((0.5, -0.5))
    assert metrics.load_violation(torch.tensor([0, 0])) == (0.0, 0.0)


def test_drops_are_choices_that_go_nowhere() -> None:
    assert metrics.drop_share(routing([[0, 1], [2, NONE], [NONE, NONE]])) == pytest.approx(0.5)
    assert metrics.drop_share(NOBODY) == 0.0


def test_a_token_is_unserved_when_it_has_no_expert_at_all() -> None:
    assert metrics.unserved(routing([[0, 1], [2, NONE], [NONE, NONE], [NONE, 3]])) == pytest.approx(1 / 4)
    assert metrics.unserved(NOBODY) == 0.0


def test_where_experts_choose_places_may_be_empty_and_every_token_served() -> None:
    router = ExpertChoice(2, experts=2, k=1, capacity_factor=1.4).eval()
    router.weight_ED.data = torch.eye(2)
    # Each expert takes two of three tokens: the middle one is the second best of both.
    found = router(torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    assert found.load_E.tolist() == [2, 2] and found.experts_TK.tolist() == [[0, NONE], [0, 1], [1, NONE]]
    assert metrics.unserved(found) == 0.0 and metrics.drop_share(found) == pytest.approx(1 / 3)


def test_measures_of_a_layer_that_is_training_need_no_detaching() -> None:
    router = Soft(8, experts=4, slots=2)
    router.scale.data.zero_()
    found = router(torch.randn(6, 8))
    assert found.weights_TK.requires_grad
    assert metrics.entropy(found) == pytest.approx(math.log(4)) and metrics.load_entropy(found.load_E) == 1.0


def test_entropy_is_that_of_the_weights_whatever_their_sum() -> None:
    half = Routing.of(torch.tensor([[0.25, 0.25], [0.5, 0.0]]), torch.tensor([[0, 1], [2, 3]]), experts=4)
    assert metrics.entropy(half) == pytest.approx(math.log(2) / 2)
    assert metrics.entropy(NOBODY) == 0.0


def test_load_entropy_is_one_when_even_and_nought_when_one_has_all() -> None:
    assert metrics.load_entropy(torch.tensor([5, 5])) == 1.0
    assert metrics.load_entropy(torch.tensor([5, 0])) == 0.0
    assert 0 < metrics.load_entropy(torch.tensor([5, 1])) < 1


def test_co_activation_goes_from_row_to_column() -> None:
    found = metrics.co_activation(routing([[0, 1], [0, 2], [0, 1]]))
    assert found[0].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert found[1].tolist() == [1, 1, 0, 0]
    assert found[3].tolist() == [0, 0, 0, 0]


def test_saturation_and_change_do_not_mind_the_order_of_choices() -> None:
    early, late = routing([[0, 1], [2, 3]]), routing([[1, 0], [2, 1]])
    assert metrics.saturation(early, late) == pytest.approx(3 / 4)
    assert metrics.change(early, late) == pytest.approx(1 / 2)
    assert metrics.saturation(late, late) == 1.0 and metrics.change(late, late) == 0.0


def test_routings_of_other_tokens_cannot_be_compared() -> None:
    for measure in (metrics.saturation, metrics.change):
        with pytest.raises(BadInput, match="1 tokens and 4 experts, the other of 2 and 4; route the same tokens"):
            measure(routing([[0, 1]]), routing([[0, 1], [2, 3]]))
