"""Whom a prompt is held against: places among best and worst, and prompts of its kind and of others."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.routers.parts.contrast import draws, kinds, shares

SCORES = arrays(np.float64, (4, 6), elements=st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0, np.nan]))


@given(SCORES, st.integers(1, 4), st.integers(1, 4))
def test_places_are_shared_as_a_slow_count_shares_them(quality_NM, top_k, last_k):
    best_NM, worst_NM = shares(quality_NM, top_k, last_k)
    for quality_M, best_M, worst_M in zip(quality_NM, best_NM, worst_NM, strict=True):
        known = sorted((q for q in quality_M if not np.isnan(q)), reverse=True)
        top = min(top_k, -(-len(known) // 2))
        last = min(last_k, len(known) - top)
        for q, best, worst in zip(quality_M, best_M, worst_M, strict=True):
            equal = [place for place, score in enumerate(known) if score == q]
            among_best = [place for place in equal if place < top and q > 0]
            among_worst = [place for place in equal if place >= len(known) - last and q <= 0.5]
            assert best == pytest.approx(len(among_best) / max(len(equal), 1))
            assert worst == pytest.approx(len(among_worst) / max(len(equal), 1))


def test_seven_different_scores_have_the_papers_three_and_three():
    best_NM, worst_NM = shares(np.array([[0.1, 0.9, 0.3, 0.7, 0.6, 0.5, 0.2]]), 3, 3)
    assert best_NM.tolist() == [[0, 1, 0, 1, 1, 0, 0]]
    assert worst_NM.tolist() == [[1, 0, 1, 0, 0, 0, 1]]


def test_a_row_draws_its_own_kind_then_others():
    kind_N = np.array([2, 0, 1, 1, 2, 0, 0, 2, 1, 0])
    draw = draws(kind_N, 3, np.ones(10, dtype=bool))
    rows = torch.arange(10).repeat(200)
    drawn = draw(rows).numpy()
    assert (kind_N[drawn[:, 0]] == kind_N[rows]).all()
    assert (kind_N[drawn[:, 1:]] != kind_N[rows][:, None]).all()
    # Every row of the right kind is drawn about as often as the others.
    assert set(drawn[rows.numpy() == 2, 0]) == {2, 3, 8}
    assert set(drawn[rows.numpy() == 2, 1:].ravel()) == {0, 1, 4, 5, 6, 7, 9}


def test_one_kind_has_nothing_to_draw():
    every = np.ones(5, dtype=bool)
    assert draws(np.zeros(5, dtype=int), 3, every) is None
    assert draws(np.arange(5), 3, np.arange(5) < 1) is None


def test_only_some_rows_are_drawn_and_a_row_of_a_kind_without_any_draws_itself():
    kind_N = np.array([0, 1, 2, 0, 1, 0, 1, 2])
    drawn_N = np.array([True, True, False, False, True, True, False, False])
    rows = torch.arange(8).repeat(100)
    drawn = draws(kind_N, 3, drawn_N)(rows).numpy()
    assert (kind_N[drawn[:, 0]] == kind_N[rows]).all()
    assert (kind_N[drawn[:, 1:]] != kind_N[rows][:, None]).all()
    lone = np.isin(rows.numpy(), (2, 7))
    assert (drawn[lone, 0] == rows.numpy()[lone]).all()
    assert set(drawn[~lone].ravel()) | set(drawn[lone, 1:].ravel()) == set(np.flatnonzero(drawn_N))


def test_kinds_are_groups_or_clusters():
    vectors = np.repeat(np.eye(3), 4, axis=0)
    assert kinds(vectors, ["b", "a"] * 6, 0, seed=0).tolist() == [1, 0] * 6
    found = kinds(vectors, [""] * 12, 3, seed=0)
    assert [len(set(found[n : n + 4])) for n in (0, 4, 8)] == [1, 1, 1]
    assert len(set(found)) == 3
    assert not kinds(np.ones((4, 2)), [""] * 4, 5, seed=0).any()
