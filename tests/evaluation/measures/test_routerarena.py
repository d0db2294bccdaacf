from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.evaluation.measures import arena_score, optimality, robustness
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes

NAN = np.nan
unit, dollars = st.floats(0, 1), st.floats(0, 1)


def table(quality, usd):
    quality = np.array(quality, dtype=float)
    names = tuple(map(str, range(len(quality))))
    return Outcomes(names, names, names, tuple("abc"[: quality.shape[1]]), quality, np.array(usd, dtype=float))


def test_an_arena_score_by_hand():
    """At $1 per 1,000 questions C = log2(200 / 1) / log2(200 / 0.0044)."""
    cheap = log2(200) / log2(200 / 0.0044)
    assert arena_score(0.7, 0.001) == pytest.approx(1.1 * 0.7 * cheap / (0.1 * 0.7 + cheap))


def test_costs_beyond_the_bounds_count_as_the_bounds():
    assert arena_score(0.7, 0.0) == arena_score(0.7, 4.4e-6) == pytest.approx(1.1 * 0.7 / 1.07)
    assert arena_score(0.7, 0.2) == arena_score(0.7, 50.0) == 0
    assert arena_score(0.0, 0.2) == 0


@given(unit, unit, dollars, dollars)
def test_an_arena_score_rises_with_quality_and_falls_with_cost(q, better, usd, dearer):
    q, better = sorted((q, better))
    usd, dearer = sorted((usd, dearer))
    assert -1e-12 <= arena_score(q, dearer) - 1e-12 <= arena_score(q, usd) <= 1 + 1e-12
    assert arena_score(q, usd) <= arena_score(better, usd) + 1e-12


@given(unit, st.floats(1e-5, 0.1), st.floats(0.1, 10))
def test_an_arena_score_knows_no_currency(q, usd, rate):
    assert arena_score(q, usd * rate, usd_min=4.4e-6 * rate, usd_max=0.2 * rate) == pytest.approx(arena_score(q, usd))


def test_an_unknown_cost_or_quality_has_no_score():
    assert np.isnan([arena_score(0.7, NAN), arena_score(NAN, 0.1)]).all()


@pytest.mark.parametrize("bad", [{"quality": 1.1, "usd": 1}, {"quality": 0.5, "usd": -1}])
def test_an_impossible_quality_or_cost_is_refused(bad):
    with pytest.raises(BadInput, match="quality in"):
        arena_score(**bad)


def test_bounds_must_rise():
    with pytest.raises(BadInput, match="bounds"):
        arena_score(0.5, 0.1, usd_min=0.2)


QUALITY = [[1, 1, 0], [0, 1, 1], [0, 0, 1], [0.9, 0, 0]]
USD = [[1, 2, 3]] * 4


def test_optimality_by_hand():
    """Always b: right twice out of the three that anyone answers, optimal once, for 6 where 1 + 2 + 3 were needed."""
    one = table(QUALITY, USD)
    assert optimality(baselines.single(one, "b"), one) == (
        pytest.approx(1 / 3),
        pytest.approx(1.0),
        pytest.approx(2 / 3),
        3,
        0,
    )
    assert optimality(baselines.single(one, "c"), one)[:3] == pytest.approx((1 / 3, 6 / 9, 2 / 3))


def test_of_equally_cheap_right_models_any_is_optimal():
    one = table([[1, 1]], [[2, 2]])
    assert [optimality(baselines.single(one, name), one).sel for name in "ab"] == [1, 1]


def test_paying_another_call_first_is_not_optimal():
    one = table([[1, 1]], [[1, 2]])
    both = Earned(("a", "b"), np.ones(1), np.full(1, 3.0), np.ones(1), np.ones((1, 2)))
    assert optimality(both, one)[:3] == pytest.approx((0, 1 / 3, 1))


def test_what_was_not_measured_is_counted_and_questions_nobody_answers_are_not_asked():
    one = table([[1, NAN], [1, 1], [0, 0], [1, 1]], [[1, NAN], [1, 2], [1, 2], [1, NAN]])
    found = optimality(baselines.single(one, "b"), one)
    assert (found.n, found.missing) == (1, 2)
    assert found[:3] == (0, 0.5, 1)


def test_nothing_to_ask_gives_no_number():
    one = table([[0.5, 0]], [[1, 2]])
    found = optimality(baselines.single(one, "a"), one)
    assert np.isnan(found[:3]).all() and found.n == 0


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=9), st.integers(0, 2))
def test_optimality_is_within_its_bounds_and_the_oracle_reaches_them(quality, column):
    one = table(quality, np.random.default_rng(0).random((len(quality), 3)) + 0.1)
    found, best = (optimality(each, one) for each in (baselines.single(one, "abc"[column]), baselines.oracle(one)))
    if best.n:
        assert best[:3] == pytest.approx((1, 1, 1))
        assert found.sel <= found.acc <= 1
        assert found.cost > 0


def test_robustness_counts_flips():
    assert robustness(["a", "a", "b", "b"], ["a", "b", "b", "a"]).value == 0.5
    assert robustness(["a", None, "b"], ["a", "a", None]) == (1.0, 1, 2)
    assert np.isnan(robustness([None], ["a"]).value)


def test_robustness_is_of_the_same_questions():
    with pytest.raises(BadInput, match="same questions"):
        robustness(["a"], ["a", "b"])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_robustness_is_the_same_both_ways(pairs):
    before, after = zip(*pairs, strict=True)
    assert robustness(before, after) == robustness(after, before)
    assert robustness(before, before).value == 1
