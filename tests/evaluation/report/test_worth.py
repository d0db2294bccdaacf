import numpy as np
import pytest

from waypost.evaluation import baselines
from waypost.evaluation.report.worth import worths
from waypost.outcomes import Outcomes


def table(quality_NM, usd_NM):
    n = len(quality_NM)
    names = tuple(f"q{i}" for i in range(n))
    return Outcomes(names, names, ("",) * n, ("small", "large"), np.array(quality_NM), np.array(usd_NM))


def test_worth_is_quality_less_what_the_money_weighs():
    tested = table([[0.5, 0.9], [0.5, 0.9]], [[0.01, 0.03], [0.01, 0.03]])
    best, (small, large) = worths(
        tested, {name: baselines.single(tested, name) for name in tested.models}, {"quality": 1.0, "usd": 10.0}
    )
    assert best == "large"
    assert (small.value, large.value) == (pytest.approx(0.4), pytest.approx(0.6))
    assert (small.gain, large.gain) == (pytest.approx(-0.2), 0)
    assert small.gain_ci95 == (pytest.approx(-0.2), pytest.approx(-0.2))


def test_dear_money_makes_the_small_model_the_one_to_beat():
    tested = table([[0.5, 0.9]], [[0.01, 0.03]])
    assert worths(tested, {"it": baselines.single(tested, "large")}, {"usd": 30.0})[0] == "small"


def test_where_only_quality_counts_there_is_nothing_to_say():
    tested = table([[0.5, 0.9]], [[0.01, 0.03]])
    assert worths(tested, {"it": baselines.single(tested, "small")}, {"quality": 1.0}) == (None, ())


def test_an_unknown_cost_is_no_cost_of_zero():
    tested = table([[0.5, 0.9], [0.5, 0.9]], [[0.01, np.nan], [0.01, 0.03]])
    _, (found,) = worths(tested, {"it": baselines.single(tested, "large")}, {"quality": 1.0, "usd": 10.0})
    assert found.value == pytest.approx(0.6)
    unknown = table([[0.5, 0.9]], [[np.nan, np.nan]])
    assert worths(unknown, {"it": baselines.single(unknown, "large")}, {"usd": 10.0}) == (None, ())
