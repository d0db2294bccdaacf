import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from waypost.evaluation.audit.statistics import change, difference, robust_z, share, trend


@given(n=st.integers(1, 300), k=st.integers(0, 300))
def test_the_interval_of_a_share_is_wilsons(n, k):
    k = min(k, n)
    found = share(np.arange(n) < k)
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.low - 1e-12 <= found.share == k / n <= found.high + 1e-12


def test_a_share_of_nothing_is_unknown():
    found = share(np.zeros(0, dtype=bool))
    assert np.isnan(found.share)
    assert found.n == 0


def test_a_difference_has_newcombes_interval():
    """His table II, method 10: 56/70 - 48/80 is 0.0524 to 0.3339, and 10/10 - 0/10 is 0.6075 to 1."""
    found = difference(share(np.arange(70) < 56), share(np.arange(80) < 48))
    assert (found.share, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    found = difference(share(np.ones(10, bool)), share(np.zeros(10, bool)))
    assert (found.share, found.low, found.high) == pytest.approx((1.0, 0.6075, 1.0), abs=5e-5)


def test_a_change_is_paired():
    """Two prompts of ten change sides in opposite directions: no change in the mean, with an interval around 0."""
    before_N = np.array([True] * 5 + [False] * 5)
    after_N = before_N.copy()
    after_N[[0, 9]] = [False, True]
    found = change(before_N, after_N)
    assert found.share == 0
    assert found.low < 0 < found.high
    assert change(before_N, before_N).high == 0


def test_a_trend_with_scores_of_0_and_1_is_that_of_cochran_and_armitage():
    """By hand: 2, 5 and 9 of 10 at levels 1 to 3; N - 1 stands where the textbook has N."""
    level_N = np.repeat([1, 2, 3], 10)
    score_N = np.concatenate([np.arange(10) < k for k in (2, 5, 9)]).astype(float)
    p = 16 / 30
    top = sum((level - 2) * k for level, k in ((1, 2), (2, 5), (3, 9)))
    z = top / np.sqrt(p * (1 - p) * 10 * sum((level - 2) ** 2 for level in (1, 2, 3)))
    found = trend(level_N, score_N)
    assert found.z == pytest.approx(z * np.sqrt(29 / 30))
    assert found.p == pytest.approx(2 * stats.norm.sf(found.z))


def test_without_a_difference_there_is_no_trend():
    assert trend(np.array([1, 2, 3]), np.ones(3)).p == 1
    assert trend(np.array([1, 1, 1]), np.arange(3.0)).p == 1


def test_how_far_a_value_stands_out_is_measured_in_its_peers_deviations():
    peers = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    assert robust_z(np.array([0.14826, 1.4826]), peers, floor=0.01) == pytest.approx([1, 10])
