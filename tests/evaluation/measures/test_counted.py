import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.evaluation.measures.counted import average, counts, ratio

NAN = np.nan
cells = st.lists(st.tuples(*[st.floats(0, 1) | st.just(NAN)] * 2), min_size=1)


def test_a_ratio_is_of_the_questions_that_have_both():
    assert ratio(np.array([1, NAN, 1.0, 0]), np.array([1, 1, NAN, 1.0])) == (0.5, 2, 2)


def test_what_was_never_measured_gives_no_number():
    for found in (ratio(np.array([NAN]), np.array([1.0])), average(np.array([NAN]))):
        assert np.isnan(found.value) and found[1:] == (0, 1)


def test_nothing_over_nothing_is_not_known():
    assert np.isnan(ratio(np.array([1.0]), np.array([0.0])).value)


@given(cells, st.randoms(use_true_random=False))
def test_order_and_rows_without_a_number_change_nothing(rows, random):
    top_N, bottom_N = np.array(rows).T
    shuffled = np.array(random.sample([*rows, (NAN, 0.5)], len(rows) + 1)).T
    for before, after in ((ratio(top_N, bottom_N), ratio(*shuffled)), (average(top_N), average(shuffled[0]))):
        assert after.value == pytest.approx(before.value, nan_ok=True)
        assert (after.n, after.missing) == (before.n, before.missing + 1)


def test_kept_and_left_out_are_counted():
    assert counts(np.array([True, False, True])) == (2, 1)
