import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.evaluation.measures import apgr, cpt, pgr, thresholds

NAN = np.nan
binary = st.integers(0, 1).map(float)
questions = st.lists(st.tuples(st.integers(0, 5).map(float), binary, binary), min_size=1, max_size=30)


@st.composite
def curves(draw):
    inner = sorted(draw(st.sets(st.integers(1, 63), max_size=8)))
    share = [0.0, *(k / 64 for k in inner), 1.0]
    weak, strong = draw(st.tuples(st.integers(0, 16), st.integers(0, 16)))
    assume(weak != strong)
    middle = draw(st.lists(st.integers(0, 16), min_size=len(inner), max_size=len(inner)))
    return np.array(share), np.array([weak, *middle, strong]) / 16


def test_pgr_is_measured_from_the_weak_model_to_the_strong():
    np.testing.assert_allclose(pgr(np.array([0.6, 0.7, 0.8, 0.9, 0.5]), 0.6, 0.8), [0, 0.5, 1, 1.5, -0.5])


def test_between_equal_models_there_is_no_gap_to_recover():
    assert np.isnan(pgr(0.7, 0.6, 0.6))
    assert np.isnan(apgr(np.array([0.0, 1.0]), np.array([0.6, 0.6])))
    assert np.isnan(cpt(0.5, np.array([0.0, 1.0]), np.array([0.6, 0.6])))


def test_thresholds_by_hand():
    """The best scored gains 1, the next two go together and lose 1, the last gains 1."""
    found = thresholds(np.array([1, 9, 5, 5.0]), weak_N=np.array([0, 0, 1, 1.0]), strong_N=np.array([1, 1, 0, 1.0]))
    np.testing.assert_allclose(found.share_P, [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(found.quality_P, [0.5, 0.75, 0.5, 0.75])
    assert (found.weak, found.strong, found.n, found.missing) == (0.5, 0.75, 4, 0)


def test_a_question_that_one_model_was_not_asked_is_left_out_and_counted():
    found = thresholds(np.array([3, 2, 1.0]), np.array([0, NAN, 0.5]), np.array([1, 1, 0.5]))
    np.testing.assert_allclose(found.quality_P, [0.25, 0.75, 0.75])
    assert (found.n, found.missing) == (2, 1)


@given(questions)
def test_every_threshold_is_what_sending_by_it_earns(rows):
    score_N, weak_N, strong_N = np.array(rows).T
    found = thresholds(score_N, weak_N, strong_N)
    slow = {0.0: weak_N.mean()}
    for threshold in score_N:
        sent_N = score_N >= threshold
        slow[sent_N.mean()] = np.where(sent_N, strong_N, weak_N).mean()
    assert dict(zip(found.share_P, found.quality_P, strict=True)) == pytest.approx(slow)


@given(questions, st.randoms(use_true_random=False))
def test_neither_order_nor_the_scale_of_scores_matters(rows, random):
    score_N, weak_N, strong_N = np.array(rows).T
    found = thresholds(score_N, weak_N, strong_N)
    shuffled = np.array(random.sample(rows, len(rows))).T
    for other in (thresholds(*shuffled), thresholds(np.exp(score_N), weak_N, strong_N)):
        np.testing.assert_allclose(other.share_P, found.share_P)
        np.testing.assert_allclose(other.quality_P, found.quality_P)


@given(curves())
def test_apgr_is_a_direct_integral(curve):
    share_P, quality_P = curve
    middles = (np.arange(6400) + 0.5) / 6400
    slow = pgr(np.interp(middles, share_P, quality_P), quality_P[0], quality_P[-1]).mean()
    assert apgr(share_P, quality_P) == pytest.approx(slow)


def test_a_coin_recovers_half_of_the_gap_on_average():
    assert apgr(np.array([0.0, 0.4, 1.0]), np.array([0.5, 0.66, 0.9])) == pytest.approx(0.5)
    assert cpt(0.8, np.array([0.0, 0.4, 1.0]), np.array([0.5, 0.66, 0.9])) == pytest.approx(0.8)


def test_cpt_of_a_curve_that_falls_is_the_first_crossing():
    """It reaches 60 % of the gap at a share of 0.2, falls, and reaches it again at 0.73."""
    assert cpt(0.6, np.array([0, 0.2, 0.6, 1.0]), np.array([0, 0.6, 0.4, 1.0])) == pytest.approx(0.2)


@given(curves(), st.floats(0.01, 1))
def test_no_smaller_share_recovers_as_much(curve, target):
    share_P, quality_P = curve
    found = cpt(target, share_P, quality_P)
    gap = pgr(np.interp(np.linspace(0, found, 500, endpoint=False), share_P, quality_P), quality_P[0], quality_P[-1])
    assert (gap < target + 1e-9).all()
    assert pgr(np.interp(found, share_P, quality_P), quality_P[0], quality_P[-1]) == pytest.approx(target)


def test_more_than_the_curve_ever_recovers_is_not_a_share():
    assert np.isnan(cpt(1.2, np.array([0.0, 1.0]), np.array([0.5, 0.9])))


@pytest.mark.parametrize(
    ("share", "quality"), [([0.1, 1.0], [0, 1]), ([0, 0.5], [0, 1]), ([0, 0.5, 0.5, 1], [0, 1, 1, 1]), ([0], [1])]
)
def test_a_curve_runs_from_the_weak_model_alone_to_the_strong_alone(share, quality):
    for measure in (apgr, lambda *curve: cpt(0.5, *curve)):
        with pytest.raises(BadInput):
            measure(np.array(share, dtype=float), np.array(quality, dtype=float))


def test_what_cannot_be_sent_or_compared_is_refused():
    one = np.ones(2)
    with pytest.raises(BadInput, match="without a score"):
        thresholds(np.array([1, NAN]), one, one)
    with pytest.raises(BadInput, match="no question"):
        thresholds(one, np.array([NAN, 1]), np.array([1, NAN]))
    with pytest.raises(BadInput, match="2, 2 and 1"):
        thresholds(one, one, np.ones(1))
    with pytest.raises(BadInput, match="at every share"):
        apgr(np.array([0.0, 1.0]), np.array([NAN, 1.0]))
