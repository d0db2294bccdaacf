import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.evaluation.measures import (
    cost_save,
    frontier,
    gain_at_b,
    gain_at_r,
    gap_at_o,
    pareto_dist,
    perf_gain,
)
from waypost.outcomes import Outcomes

NAN = np.nan
clouds = st.lists(
    st.tuples(st.integers(1, 40).map(lambda k: k / 8), st.integers(0, 16).map(lambda k: k / 16)), min_size=1
)


def table(quality):
    quality = np.array(quality, dtype=float)
    names = tuple(map(str, range(len(quality))))
    return Outcomes(names, names, names, tuple("abc"[: quality.shape[1]]), quality, np.ones(quality.shape))


def arrays(points):
    return tuple(np.array(points, dtype=float).T)


def test_gains_and_gap_by_hand():
    """Model a earns 0.75, b 0.5, chance 0.625, the oracle 1."""
    one = table([[1, 0], [1, 0], [1, 1], [0, 1]])
    b = baselines.single(one, "b")
    assert gain_at_b(b, one).value == pytest.approx(0.5 / 0.75 - 1)
    assert gain_at_r(b, one).value == pytest.approx(0.5 / 0.625 - 1)
    assert gap_at_o(b, one).value == pytest.approx(0.5)


def test_what_was_not_measured_is_left_out_of_both_sides():
    one = table([[1, NAN], [1, 1], [0, 1]])
    assert gap_at_o(baselines.single(one, "b"), one) == (0.0, 2, 1)


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1), st.integers(0, 2))
def test_no_model_beats_the_best_and_nothing_the_oracle(quality, column):
    one = table(quality)
    single = baselines.single(one, "abc"[column])
    assert gain_at_b(single, one).value <= 1e-12
    assert 0 <= gap_at_o(single, one).value + 1e-12 <= 1 + 2e-12
    assert gap_at_o(baselines.chance(one), one).value >= -1e-12


def test_perf_gain_is_the_curves_best_over_the_best_model():
    assert perf_gain(np.array([0.5, 0.9]), 0.75) == pytest.approx(0.2)
    assert np.isnan([perf_gain(np.empty(0), 0.75), perf_gain(np.ones(1), 0.0)]).all()


def test_cost_save_by_hand():
    points = arrays([(1, 0.5), (2, 0.79), (5, 0.8), (9, 0.9)])
    assert cost_save(*points, best=0.8, best_usd=8) == pytest.approx(1 - 5 / 8)
    assert cost_save(*points, best=0.9, best_usd=8) == pytest.approx(1 - 9 / 8)
    assert np.isnan(cost_save(*points, best=0.95, best_usd=8))


@given(clouds, st.floats(0, 1), st.floats(0.01, 100))
def test_cost_save_knows_no_currency_and_more_points_never_save_less(points, best, rate):
    usd_P, quality_P = arrays(points)
    found = cost_save(usd_P, quality_P, best, 2.0)
    assert cost_save(usd_P * rate, quality_P, best, 2.0 * rate) == pytest.approx(found, nan_ok=True)
    more = cost_save(np.append(usd_P, 1.0), np.append(quality_P, best), best, 2.0)
    assert more >= 0.5 and not more < found


@given(clouds)
def test_the_frontier_is_what_no_point_beats(points):
    beaten = [p for p in points if any(o != p and o[0] <= p[0] and o[1] >= p[1] for o in points)]
    assert list(zip(*frontier(*arrays(points)), strict=True)) == sorted(set(points) - set(beaten))


def test_pareto_dist_by_hand():
    """The frontier spans 2 dollars and 0.4; the point lies 0.1 below its first corner."""
    front = arrays([(1, 0.5), (3, 0.9)])
    assert pareto_dist(*arrays([(1, 0.4)]), *front) == pytest.approx(0.25)
    assert pareto_dist(*arrays([(1, 0.4), (3, 0.9)]), *front) == pytest.approx(0.125)


@given(clouds, st.floats(0.01, 100))
def test_points_on_the_frontier_are_no_distance_from_it_in_any_currency(points, rate):
    front = frontier(*arrays([*points, (0.5, -0.5), (6, 1.5)]))
    assert pareto_dist(*front, *front) == 0
    found = pareto_dist(*arrays(points), *front)
    scaled = pareto_dist(arrays(points)[0] * rate, arrays(points)[1], front[0] * rate, front[1])
    assert scaled == pytest.approx(found) and found >= 0


def test_a_single_point_gives_a_distance_no_scale():
    one, nothing = arrays([(1, 0.5)]), (np.empty(0), np.empty(0))
    assert np.isnan(pareto_dist(*one, *one))
    for points, front in ((nothing, one), (one, nothing)):
        with pytest.raises(BadInput, match="points on both sides"):
            pareto_dist(*points, *front)


@pytest.mark.parametrize("measure", [frontier, lambda *points: cost_save(*points, best=0.5, best_usd=1)])
def test_a_missing_cost_is_no_point(measure):
    with pytest.raises(BadInput, match="point 0"):
        measure(np.array([NAN]), np.array([0.5]))
