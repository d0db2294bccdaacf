import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.evaluation.measures import Curve, aiq, at, common_range, hull
from waypost.evaluation.measures.curves import corners

NAN = np.nan


def arrays(points):
    return np.array([usd for usd, _ in points], dtype=float), np.array([quality for _, quality in points], dtype=float)


def mixed(usd, points):
    """The definition itself: the best mixture of two points whose mean cost is at most ``usd``."""
    best = max((quality for cost, quality in points if cost <= usd), default=NAN)
    for low, q_low in points:
        for high, q_high in points:
            if low <= usd < high:
                best = max(best, q_low + (q_high - q_low) * (usd - low) / (high - low))
    return best


clouds = st.lists(
    st.tuples(st.integers(0, 40).map(lambda k: k / 8), st.integers(0, 16).map(lambda k: k / 16)), min_size=1
)


def test_a_hull_by_hand():
    """The second point lies below the line from the first to the third; the fourth is dearer and worse."""
    points = [(1, 0.5), (2, 0.6), (3, 0.9), (4, 0.8), (5, 1.0)]
    np.testing.assert_array_equal(hull(*arrays(points)), [[1, 3, 5], [0.5, 0.9, 1.0]])


def test_of_equal_costs_the_best_is_kept():
    np.testing.assert_array_equal(hull(*arrays([(1, 0.2), (1, 0.6), (1, 0.4)])), [[1], [0.6]])


@given(clouds, st.floats(0, 6))
def test_a_hull_is_the_best_mixture_within_each_cost(points, usd):
    assert at(usd, *hull(*arrays(points))) == pytest.approx(mixed(usd, points), nan_ok=True, abs=1e-12)


@given(clouds, st.randoms(use_true_random=False), st.tuples(st.floats(0, 1), st.floats(0, 5)))
def test_neither_order_nor_dominated_points_move_a_hull(points, random, worse):
    before = hull(*arrays(points))
    cheapest = min(points)
    dominated = (cheapest[0] + worse[1], cheapest[1] * worse[0])
    shuffled = random.sample([*points, dominated], len(points) + 1)
    np.testing.assert_array_equal(hull(*arrays(shuffled)), before)


@given(clouds)
def test_a_hull_rises_ever_less_steeply(points):
    usd_H, quality_H = hull(*arrays(points))
    slopes = np.diff(quality_H) / np.diff(usd_H)
    assert (slopes > 0).all() and (np.diff(slopes) < 1e-12).all()
    assert usd_H[0] == min(points)[0] and quality_H[-1] == max(quality for _, quality in points)


def test_a_hull_of_a_million_points_takes_no_time():
    rng = np.random.default_rng(0)
    usd_P = rng.random(1_000_000)
    usd_H, quality_H = hull(usd_P, np.sqrt(usd_P) * rng.random(1_000_000))
    assert 10 < len(usd_H) < 10_000
    assert (np.diff(quality_H) > 0).all()


@given(clouds)
def test_corners_are_the_places_of_a_hulls_points(points):
    usd_P, quality_P = arrays(points)
    at_H = corners(usd_P, quality_P)
    np.testing.assert_array_equal((usd_P[at_H], quality_P[at_H]), hull(usd_P, quality_P))


@pytest.mark.parametrize("bad", [(NAN, 0.5), (1.0, NAN), (np.inf, 0.5)])
def test_a_missing_cost_or_quality_is_no_point(bad):
    with pytest.raises(BadInput, match="point 1 has cost"):
        hull(*arrays([(1, 0.5), bad]))


def test_costs_and_qualities_belong_together():
    with pytest.raises(BadInput, match="one length"):
        hull(np.ones(2), np.ones(3))


def test_left_of_the_cheapest_point_there_is_nothing_and_right_of_the_dearest_nothing_more():
    found = at(np.array([0.9, 1.0, 2.0, 3.0, 99.0]), *hull(*arrays([(1, 0.5), (3, 0.9)])))
    np.testing.assert_allclose(found, [NAN, 0.5, 0.7, 0.9, 0.9])


def test_a_hull_of_nothing_gives_nothing():
    assert np.isnan(at(1.0, *hull(np.empty(0), np.empty(0))))


def test_aiq_by_hand():
    """From 2 to 3 the hull rises from 0.7 to 0.9, then it is flat to 6: (0.8 + 3·0.9) / 4."""
    assert aiq(*arrays([(1, 0.5), (3, 0.9)]), low=2, high=6) == pytest.approx((0.8 + 2.7) / 4)


@given(clouds, st.floats(0.1, 9), st.floats(0.1, 9))
def test_aiq_is_a_direct_integral_of_the_hull(points, low, width):
    low += min(points)[0]
    middles = low + (np.arange(4000) + 0.5) / 4000 * width
    slow = at(middles, *hull(*arrays(points))).mean()
    assert aiq(*arrays(points), low, low + width) == pytest.approx(slow, abs=1e-3)


@given(clouds, st.floats(0.01, 1000), st.floats(0.1, 5))
def test_aiq_is_a_quality_and_knows_no_currency(points, scale, width):
    usd_P, quality_P = arrays(points)
    low = usd_P.min()
    found = aiq(usd_P, quality_P, low, low + width)
    assert quality_P[usd_P == low].max() - 1e-12 <= found <= quality_P.max() + 1e-12
    assert aiq(usd_P * scale, quality_P, low * scale, (low + width) * scale) == pytest.approx(found)


@given(clouds, st.tuples(st.floats(0, 5), st.floats(0, 1)))
def test_another_point_never_lowers_aiq(points, another):
    low = max(min(points)[0], another[0])
    before, after = (aiq(*arrays(each), low, low + 1) for each in (points, [*points, another]))
    assert after >= before - 1e-12


def test_aiq_is_refused_where_the_curve_is_not_defined():
    points = arrays([(1, 0.5), (3, 0.9)])
    with pytest.raises(BadInput, match=r"not defined from \$0.5 on: its cheapest point costs \$1"):
        aiq(*points, low=0.5, high=2)
    with pytest.raises(BadInput, match="must rise"):
        aiq(*points, low=2, high=2)
    with pytest.raises(BadInput, match="no points"):
        aiq(np.empty(0), np.empty(0), low=1, high=2)


@given(st.lists(clouds, min_size=1, max_size=4))
def test_every_curve_is_defined_on_the_common_range(sets):
    low, high = common_range([arrays(points)[0] for points in sets])
    assume(low < high)
    for points in sets:
        assert 0 <= aiq(*arrays(points), low, high) <= 1


@pytest.mark.parametrize("nothing", [[], [np.empty(0)], [np.ones(1), np.empty(0)]])
def test_nothing_has_no_common_range(nothing):
    with pytest.raises(BadInput, match="at least one set"):
        common_range(nothing)


def test_willingness_to_pay_is_one_over_the_weight():
    curve = Curve("r", np.array([0.0, 50.0]), np.ones(2), np.ones(2), np.ones((2, 1)), ("a",))
    np.testing.assert_array_equal(curve.willingness_P, [np.inf, 0.02])
    np.testing.assert_array_equal(curve.missing_P, [0, 0])
