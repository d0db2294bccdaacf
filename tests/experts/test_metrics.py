"""Metrics have the values that one counts by hand."""

from __future__ import annotations

import math

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import NONE, Routing, Soft, metrics


def sent(rows: list[list[int]], experts: int = 3, weights: list[list[float]] | None = None) -> Routing:
    experts_TK = torch.tensor(rows)
    weights_TK = (experts_TK != NONE).float() if weights is None else torch.tensor(weights)
    return Routing.of(weights_TK, experts_TK, experts=experts)


def test_violation_is_of_the_mean() -> None:
    # Loads 5, 1, 0: the mean is 2.
    assert metrics.violation(sent([[0], [0], [0], [0], [0], [1]])) == pytest.approx((1.5, 1.0))
    assert metrics.violation(sent([[0], [1], [2]])) == pytest.approx((0.0, 0.0))
    assert metrics.violation(sent([[2]] * 7)).most == pytest.approx(2.0)  # E - 1


def test_drops_are_of_choices_and_of_tokens() -> None:
    assert metrics.drops(sent([[0, 1], [NONE, 2], [NONE, NONE], [1, 2]])) == pytest.approx((3 / 8, 1 / 4))


def test_entropies_are_log_e_when_even_and_nought_when_sure() -> None:
    assert metrics.entropies(sent([[0], [1], [2]])) == pytest.approx((math.log(3), 0.0))
    assert metrics.entropies(sent([[0], [0]])) == pytest.approx((0.0, 0.0))
    halves = sent([[0, 1], [1, 0], [NONE, NONE]], weights=[[0.2, 0.2], [0.3, 0.1], [0.0, 0.0]])
    quarters = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    # The third token has no weights, and so no part in the mean.
    assert metrics.entropies(halves) == pytest.approx((math.log(2), (math.log(2) + quarters) / 2))


def test_co_activation_is_of_the_row_s_tokens() -> None:
    found_EE = metrics.co_activation(sent([[0, 1], [0, 1], [0, 2], [0, NONE], [1, NONE]], experts=4))
    expected = [[1, 2 / 4, 1 / 4, 0], [2 / 3, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(found_EE, torch.tensor(expected, dtype=torch.float64))


def test_saturation_is_the_share_of_the_end_that_is_there_already() -> None:
    final = sent([[0, 1], [1, 2], [2, NONE], [NONE, NONE]])
    early = sent([[1, 0], [0, 1], [0, 1], [0, 1]])
    assert metrics.saturation(early, final) == pytest.approx((1 + 0.5 + 0) / 3)
    assert metrics.saturation(final, final) == 1.0


def test_a_change_of_order_or_weight_is_none() -> None:
    before = sent([[0, 1], [1, 2], [2, 0], [NONE, 1]])
    after = sent([[1, 0], [1, 0], [2, NONE], [1, NONE]])
    assert metrics.changed(before, after) == pytest.approx(2 / 4)


@pytest.mark.parametrize("compare", [metrics.saturation, metrics.changed])
def test_routings_of_other_tokens_are_not_compared(compare) -> None:
    with pytest.raises(BadInput, match="2 tokens and 3 experts, the other of 1 and 3; route the same tokens"):
        compare(sent([[0], [1]]), sent([[0]]))


def test_no_tokens_have_finite_metrics() -> None:
    none = Routing.of(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int64), experts=3)
    assert metrics.violation(none) == (0.0, 0.0) and metrics.drops(none) == (0.0, 0.0)
    assert metrics.entropies(none) == (0.0, 0.0) and not metrics.co_activation(none).any()
    assert metrics.saturation(none, none) == 1.0 and metrics.changed(none, none) == 0.0


def test_a_soft_router_is_even_and_undecided() -> None:
    router = Soft(8, experts=4, slots=2)
    router.scale.data.zero_()
    routing = router(torch.randn(6, 8))
    assert metrics.violation(routing) == (0.0, 0.0)
    assert metrics.entropies(routing) == pytest.approx((math.log(4), math.log(4)))
