"""The integer program against every subset that there is."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.routers.parts.program import best_subset, kept_models


def enumerated(value_CM, size_M, budget):
    """The value of the best subset that fits, by looking at all."""
    m = len(size_M)
    subsets = (list(chosen) for n in range(1, m + 1) for chosen in combinations(range(m), n))
    return max(value_CM[:, chosen].max(axis=1).sum() for chosen in subsets if size_M[chosen].sum() <= budget)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(2, 9))
def test_the_program_finds_what_enumeration_finds(seed, categories, models):
    rng = np.random.default_rng(seed)
    value_CM = rng.random((categories, models)) * rng.random((categories, 1))
    size_M = rng.integers(1, 9, models).astype(float)
    budget = float(rng.integers(size_M.min(), size_M.sum() + 1))
    kept_M = best_subset(value_CM, size_M, budget)
    assert size_M[kept_M].sum() <= budget
    assert value_CM[:, kept_M].max(axis=1).sum() == pytest.approx(enumerated(value_CM, size_M, budget), abs=1e-9)


def test_twelve_models_of_many_sizes_too():
    rng = np.random.default_rng(0)
    value_CM, size_M = rng.random((20, 12)), np.array([0.5, 1, 2, 3, 7, 7, 7, 8, 13, 34, 70, 72])
    for budget in (1, 10, 20, 80, 500):
        kept_M = best_subset(value_CM, size_M, budget)
        assert value_CM[:, kept_M].max(axis=1).sum() == pytest.approx(enumerated(value_CM, size_M, budget), abs=1e-9)


def test_greedy_would_miss_the_best_pair():
    """The generalist is the best single model, and belongs to no best pair."""
    value_CM = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6]])
    assert best_subset(value_CM, np.ones(3), 1).tolist() == [False, False, True]
    assert best_subset(value_CM, np.ones(3), 2).tolist() == [True, True, False]


def test_room_that_is_left_is_filled_by_the_best_that_fit():
    value_CM = np.array([[0.9, 0.8, 0.7, 0.1]])
    sizes = {"a": 4.0, "b": 9.0, "c": 3.0, "d": 1.0}
    assert kept_models(list(sizes), value_CM, sizes, 4) == ("a",)
    assert kept_models(list(sizes), value_CM, sizes, 8) == ("a", "c", "d")
    assert kept_models(list("abcd"), value_CM, {}, 2) == ("a", "b")


def test_a_budget_that_holds_nothing_and_a_model_without_a_size_are_refused():
    value_CM = np.array([[0.9, 0.8]])
    with pytest.raises(BadInput, match="no model fits into a budget of 1; b takes 2"):
        kept_models(["a", "b"], value_CM, {"a": 3.0, "b": 2.0}, 1)
    with pytest.raises(BadInput, match="no size is given for b"):
        kept_models(["a", "b"], value_CM, {"a": 3.0}, 1)
