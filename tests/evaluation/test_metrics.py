import numpy as np
import pytest

from waypost.evaluation.metrics import Earned, gap_closed, mean

NAN = np.nan


def earned(quality, calls=((1, 0), (0, 1), (1, 1))):
    known = np.array(quality, dtype=float)
    return Earned(("a", "b"), known, known / 100, np.full(len(known), NAN), np.array(calls, dtype=float))


def test_a_question_that_was_never_measured_is_no_zero():
    value = earned([1, NAN, 0.5])
    assert (value.quality, value.n, value.missing) == (0.75, 2, 1)
    assert value.usd == pytest.approx(0.0075)


def test_unknown_seconds_stay_unknown():
    assert np.isnan(earned([1, 1, 1]).seconds)


def test_the_shares_of_a_cascade_count_every_call():
    assert earned([1, 0, 1]).share == {"a": pytest.approx(2 / 3), "b": pytest.approx(2 / 3)}


def test_shares_are_of_the_measured_questions():
    assert earned([1, NAN, NAN]).share == {"a": 1.0, "b": 0.0}


def test_nothing_measured_gives_no_number():
    value = earned([NAN, NAN, NAN])
    assert value.n == 0
    assert np.isnan([value.quality, value.usd, *value.share.values(), mean(np.array([]))]).all()


@pytest.mark.parametrize(("quality", "share"), [(0.6, 0.0), (0.8, 1.0), (0.5, -0.5)])
def test_the_gap_is_measured_from_best_single_to_oracle(quality, share):
    assert gap_closed(quality, 0.6, 0.8) == pytest.approx(share)


def test_there_is_no_gap_where_one_model_is_always_best():
    assert np.isnan(gap_closed(0.5, 0.6, 0.6))


def test_one_call_of_unknown_cost_makes_the_mean_cost_unknown():
    """A router that sends its dear questions to an unpriced model must not look cheap."""
    value = Earned(("a", "b"), np.ones(3), np.array([0.1, NAN, 0.3]), np.array([1.0, 2.0, NAN]), np.eye(2)[[0, 1, 0]])
    assert np.isnan([value.usd, value.seconds]).all()
    assert value.unpriced == 1


def test_a_question_that_was_left_out_needs_no_cost():
    value = Earned(("a", "b"), np.array([1, NAN]), np.array([0.1, NAN]), np.array([2.0, NAN]), np.eye(2))
    assert (value.usd, value.seconds, value.unpriced) == (0.1, 2, 0)


@pytest.mark.parametrize("rows", [np.array([0, 2]), np.array([True, False, True])])
def test_some_of_the_questions_are_chosen_by_place_or_by_mask(rows):
    some = earned([1, NAN, 0.5]).select(rows)
    assert (some.quality, some.n, some.missing) == (0.75, 2, 0)
    assert some.share == {"a": 1.0, "b": 0.5}
