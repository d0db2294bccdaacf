"""Kinds of prompts: cells, calibrated probabilities, and how strange a prompt is."""

import numpy as np
import pytest

from waypost.routers.parts.folded import Folded
from waypost.routers.parts.kinds import Far, Kinds, Scale, cells_of, groups_of


def _mixture(n, seed):
    """Two kinds that overlap along the first feature, and their true probabilities."""
    rng = np.random.default_rng(seed)
    kind_N = rng.integers(0, 2, n)
    x_ND = rng.normal(0, 1, (n, 6))
    x_ND[:, 0] += np.where(kind_N == 1, 1.0, -1.0)
    return x_ND, kind_N, 1 / (1 + np.exp(-2 * x_ND[:, 0]))


def test_probabilities_are_those_of_the_law():
    x_ND, kind_N, _ = _mixture(4000, 0)
    kinds, unseen_NC = Kinds.fitted(Folded(x_ND, np.ones(4000), np.arange(4000) % 5), kind_N, cells=2, dim=4)
    test_ND, _, true_N = _mixture(4000, 1)
    missed_N = np.abs(kinds(test_ND)[:, 1] - true_N)
    assert missed_N.mean() < 0.02 and np.quantile(missed_N, 0.99) < 0.08
    assert np.allclose(kinds(test_ND).sum(axis=1), 1)
    assert np.abs(unseen_NC[:, 1].mean() - kind_N.mean()) < 0.01


def test_where_nothing_tells_the_kinds_apart_the_probability_is_their_share():
    rng = np.random.default_rng(2)
    x_ND, kind_N = rng.normal(0, 1, (3000, 40)), (rng.random(3000) < 0.3).astype(int)
    kinds, _ = Kinds.fitted(Folded(x_ND, np.ones(3000), np.arange(3000) % 5), kind_N, cells=2, dim=4)
    assert np.abs(kinds(rng.normal(0, 1, (500, 40)))[:, 1] - 0.3).max() < 0.12


def test_one_kind_is_certain():
    x_ND, _, _ = _mixture(50, 3)
    kinds, unseen_NC = Kinds.fitted(
        Folded(x_ND, np.ones(50), np.arange(50) % 5), np.zeros(50, dtype=int), cells=1, dim=4
    )
    assert (kinds(x_ND) == 1).all() and (unseen_NC == 1).all()


@pytest.fixture
def far():
    rng = np.random.default_rng(4)
    unit_N = np.repeat(np.arange(5), 200)
    x_ND = rng.normal(0, 1, (1000, 8)) + 6 * np.eye(8)[unit_N]
    folded = Folded(x_ND, np.ones(1000), np.arange(1000) % 5)
    return Far.fitted(folded, unit_N, share=0.1), x_ND


def test_what_lies_as_far_as_a_left_out_kind_is_strange_and_what_was_seen_is_not(far):
    law, x_ND = far
    strange_ND = np.random.default_rng(5).normal(0, 1, (200, 8)) + 6 * np.eye(8)[7]
    assert law(law.leverage(x_ND)).mean() < 0.15
    assert law(law.leverage(strange_ND)).mean() > 0.5
    assert law(law.leverage(10 * strange_ND)).min() > 0.99


def test_farther_is_never_less_strange(far):
    law, _ = far
    assert (np.diff(law(np.geomspace(1e-6, 1e9, 200))) >= 0).all()


def test_without_a_share_or_with_one_unit_nothing_is_strange():
    x_ND, kind_N, _ = _mixture(100, 6)
    folded = Folded(x_ND, np.ones(100), np.arange(100) % 5)
    for law in (Far.fitted(folded, kind_N, share=0.0), Far.fitted(folded, np.zeros(100, dtype=int), share=0.5)):
        assert (law(np.array([1.0, 1e6])) == 0).all()


def test_cells_lie_inside_their_groups_and_have_about_the_rows_asked_for():
    x_ND = np.random.default_rng(7).normal(0, 1, (900, 4))
    group_N = np.repeat([0, 1, 2], [600, 250, 50])
    cell_N, group_C = cells_of(x_ND, group_N, 100)
    assert (group_C[cell_N] == group_N).all()
    assert np.bincount(group_C).tolist() == [6, 2, 1]
    assert np.unique(cell_N).tolist() == list(range(9))


def test_rows_that_are_all_alike_are_one_cell():
    cell_N, group_C = cells_of(np.ones((500, 3)), np.zeros(500, dtype=int), 50)
    assert not cell_N.any() and group_C.tolist() == [0]


def test_beyond_sixty_four_groups_the_smallest_are_one():
    names = [f"g{n % 100:02d}" for n in range(1000)] + [f"g{n:02d}" for n in range(63)]
    group_N = groups_of(names)
    assert group_N.max() == 63
    assert np.bincount(group_N)[:63].tolist() == [11] * 63 and np.bincount(group_N)[63] == 370


def test_a_feature_that_never_varied_says_nothing_and_an_extreme_one_is_cut():
    raw_ND = np.column_stack([np.full(100, 0.5), np.arange(100.0), np.full(100, 3.0)])
    scaled = Scale.fitted(raw_ND, np.ones(100), dim=1)(np.array([[0.7, 1e9, 1e9], [0.5, 49.5, 3.0]]))
    assert np.allclose(scaled, [[0.2, 3 / 16, 0], [0, 0, 0]])


def test_a_known_subject_in_the_form_of_another_kind_is_in_doubt():
    rng = np.random.default_rng(8)
    kind_N = np.repeat([0, 1], 500)
    # The first four features are the subject, the last two the form; both tell the kinds apart.
    x_ND = rng.normal(0, 0.3, (1000, 6)) + np.where(kind_N[:, None] == 1, [1, 0, 0, 0, 3, 0], [-1, 0, 0, 0, -3, 0])
    kinds, _ = Kinds.fitted(Folded(x_ND, np.ones(1000), np.arange(1000) % 5), kind_N, cells=2, dim=4)
    crossed = kinds(np.array([[1.0, 0, 0, 0, -3, 0], [1, 0, 0, 0, 3, 0]]))[:, 1]
    assert 0.2 < crossed[0] < 0.8 and crossed[1] > 0.95
