"""Gates choose in float32, and capacity is kept in the order that is promised."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.experts.gate import best, limited, logits_of


def slow_limit(experts_TK: torch.Tensor, capacity: int, order: list[int]) -> set[tuple[int, int]]:
    """Which places stay, one at a time."""
    taken: dict[int, int] = {}
    kept = set()
    for choice in range(experts_TK.shape[1]):
        for token in order:
            expert = int(experts_TK[token, choice])
            if expert >= 0 and taken.get(expert, 0) < capacity:
                taken[expert] = taken.get(expert, 0) + 1
                kept.add((token, choice))
    return kept


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_capacity_lets_in_first_choices_and_then_in_order(data: st.DataObject) -> None:
    tokens, k, experts = data.draw(st.tuples(st.integers(0, 12), st.integers(1, 3), st.integers(3, 5)))
    rows = [data.draw(st.permutations(range(-1, experts)))[:k] for _ in range(tokens)]
    experts_TK = torch.tensor(rows, dtype=torch.int64).view(tokens, k)
    capacity = data.draw(st.integers(1, 4))
    priority = data.draw(st.one_of(st.none(), st.lists(st.integers(0, 3), min_size=tokens, max_size=tokens)))
    priority_T = None if priority is None else torch.tensor(priority, dtype=torch.float32)
    order = sorted(range(tokens), key=lambda t: -priority[t]) if priority else list(range(tokens))
    found_TK, weights_TK = limited(experts_TK, torch.ones(tokens, k), capacity, experts, priority_T)
    kept = slow_limit(experts_TK, capacity, order)
    for token in range(tokens):
        for choice in range(k):
            stays = (token, choice) in kept
            assert found_TK[token, choice] == (experts_TK[token, choice] if stays else -1)
            if experts_TK[token, choice] >= 0:
                assert weights_TK[token, choice] == float(stays)


def test_scores_of_rounded_tokens_are_not_rounded_again() -> None:
    torch.manual_seed(0)
    x_TD, weight_ED = torch.randn(5, 8).bfloat16(), torch.randn(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found_TE = logits_of(x_TD, weight_ED)
    assert torch.equal(found_TE, x_TD.float() @ weight_ED.T)
    assert logits_of(x_TD.double(), weight_ED).dtype == torch.float64


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_best_come_first(k: int) -> None:
    scores_TE = torch.randn(20, 4)
    values_TK, experts_TK = best(scores_TE, k)
    expected_TE = scores_TE.sort(dim=-1, descending=True)
    assert torch.equal(values_TK, expected_TE.values[:, :k]) and torch.equal(experts_TK, expected_TE.indices[:, :k])
