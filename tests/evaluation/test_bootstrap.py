from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.evaluation.bootstrap import interval


def slow(values_NK, resamples, seed, level=0.95):
    """One resample and one column at a time, with the same stream of draws."""
    rng = np.random.default_rng(seed)
    n = len(values_NK)
    means = []
    for _ in range(resamples):
        drawn = values_NK[rng.integers(0, n, size=n)]
        means.append([np.nan if np.isnan(c).all() else np.nanmean(c) for c in drawn.T])
    tail = (1 - level) / 2
    return np.nanquantile(np.array(means), (tail, 1 - tail), axis=0).T


@pytest.mark.parametrize("resamples", [1, 7, 300])
def test_it_equals_the_plain_loop(resamples):
    rng = np.random.default_rng(1)
    values = rng.random((40, 3))
    values[rng.random(values.shape) < 0.2] = np.nan
    np.testing.assert_allclose(interval(values, resamples, seed=5), slow(values, resamples, seed=5), atol=1e-12)


def test_chunks_do_not_change_the_result(monkeypatch):
    values = np.random.default_rng(0).random((30, 2))
    whole = interval(values, 100)
    monkeypatch.setattr("waypost.evaluation.bootstrap._CELLS_A_CHUNK", 90)
    np.testing.assert_allclose(interval(values, 100), whole, atol=1e-12)


def test_it_covers_the_normal_theory_interval():
    values = np.random.default_rng(3).normal(size=(2000, 1))
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(interval(values, 4000)[0], values.mean() + np.array([-half, half]), atol=0.1 * half)


def test_a_paired_difference_is_sharper_than_two_separate_intervals():
    rng = np.random.default_rng(0)
    hard = rng.random(500)
    a, b = hard + 0.01, hard + 0.005 * rng.normal(size=500)
    own, _, paired = interval(np.column_stack([a, b, a - b]), 1000)
    assert paired[0] > 0
    assert own[0] < b.mean()


def test_a_column_that_was_never_measured_has_no_interval():
    values = np.column_stack([np.ones(5), np.full(5, np.nan)])
    np.testing.assert_array_equal(interval(values, 50), [[1, 1], [np.nan, np.nan]])


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(0, 1)))
def test_an_interval_lies_within_what_was_measured(values):
    found = interval(values, 60)
    assert (found[:, 0] <= found[:, 1]).all()
    assert (found[:, 0] >= values.min(axis=0) - 1e-12).all()
    assert (found[:, 1] <= values.max(axis=0) + 1e-12).all()


@pytest.mark.parametrize(("n", "resamples"), [(0, 10), (5, 0)])
def test_nothing_to_resample_is_refused(n, resamples):
    with pytest.raises(ValueError, match="needs a question and a resample"):
        interval(np.empty((n, 1)), resamples)


def test_ten_thousand_resamples_of_twelve_routers_on_a_large_test_set_take_seconds():
    values = np.random.default_rng(0).random((20_000, 12))
    # Processor time, which other programs do not stretch and which counts the threads that only wait for each other.
    started = process_time()
    interval(values, 10_000)
    assert process_time() - started < 5
