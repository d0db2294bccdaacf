import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.evaluation.measures import cost_score, excess_risk, regret, risk
from waypost.evaluation.sweep import sweep
from waypost.outcomes import Outcomes
from waypost.types import Prediction

NAN = np.nan
grids = arrays(float, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(0, 1))


def table(quality, usd):
    quality = np.array(quality, dtype=float)
    names = tuple(map(str, range(len(quality))))
    return Outcomes(names, names, names, tuple("abc"[: quality.shape[1]]), quality, np.array(usd, dtype=float))


def test_cost_and_score_at_each_trade_off_are_those_of_its_argmax():
    """The slow way: the argmax at each μ, question by question."""
    rng = np.random.default_rng(0)
    q_hat, c_hat, quality, usd = rng.random((4, 50, 3))
    prediction = Prediction(("a", "b", "c"), q_hat, c_hat, q_hat, q_hat)
    mu_L = np.linspace(0, 1, 33)
    found = cost_score(sweep(prediction, table(quality, usd), name="r"), mu_L)
    column_LN = np.argmax((1 - mu_L[:, None, None]) * q_hat - mu_L[:, None, None] * c_hat, axis=2)
    rows = np.arange(50)
    np.testing.assert_allclose(found[0], [usd[rows, column_N].mean() for column_N in column_LN])
    np.testing.assert_allclose(found[1], [quality[rows, column_N].mean() for column_N in column_LN])


def test_a_trade_off_is_between_quality_alone_and_cost_alone():
    one = table([[1, 0]], [[1, 2]])
    curve = sweep(Prediction(("a", "b"), *[one.usd_NM] * 4), one, name="r")
    with pytest.raises(BadInput, match="from 0"):
        cost_score(curve, np.array([0.5, 1.1]))


def test_excess_risk_by_hand():
    eta = risk(np.array([[0.9, 0.5], [0.4, 0.4]]), np.array([[0.8, 0.1], [0.8, 0.1]]), mu=0.5)
    np.testing.assert_allclose(eta, [[0.45, 0.3], [0.7, 0.35]])
    assert excess_risk(np.array([0, 1]), eta).value == pytest.approx(0.075)


@given(grids, grids, st.floats(0, 1), st.integers(0, 2))
def test_excess_risk_is_never_negative_and_zero_for_the_best_choice(quality, usd, mu, column):
    usd = np.resize(usd, quality.shape)
    eta = risk(quality, usd, mu)
    assert excess_risk(eta.argmin(axis=1), eta).value == 0
    assert excess_risk(np.full(len(eta), column), eta).value >= 0


def test_a_question_without_every_risk_is_left_out():
    assert excess_risk(np.array([0, 1]), np.array([[0.1, NAN], [0.5, 0.3]])) == (0.0, 1, 1)


def test_regret_by_hand():
    """Always b: the first question loses a full point, the second 0.5 less the dollar's worth that it saves."""
    one = table([[1, 0], [1, 0.5]], [[0.02, 0.01], [0.03, 0.01]])
    always_b = baselines.single(one, "b")
    assert regret(always_b, one).value == pytest.approx((1 + 0.5) / 2)
    assert regret(always_b, one, usd=10).value == pytest.approx((0.9 + 0.3) / 2)
    assert regret(always_b, one, usd=100).value == pytest.approx(0)


@given(grids)
def test_the_oracle_alone_has_no_regret(quality):
    one = table(quality, quality)
    assert regret(baselines.oracle(one), one).value == pytest.approx(0, abs=1e-12)
    for name in one.models:
        assert regret(baselines.single(one, name), one, usd=0.5).value >= -1e-12


def test_what_was_not_measured_or_has_no_price_is_counted_beside_regret():
    one = table([[NAN, 1], [1, 0.5], [1, 0]], [[1, 1], [1, 1], [NAN, 1]])
    always_a = baselines.single(one, "a")
    assert regret(always_a, one) == (0.0, 2, 1)
    assert regret(always_a, one, usd=0.1) == (0.0, 1, 2)
