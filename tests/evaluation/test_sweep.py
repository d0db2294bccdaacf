import math
from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput, NoModelLeft
from waypost.evaluation.measures import aiq, arena_score
from waypost.evaluation.play import play_router
from waypost.evaluation.sweep import _held, sweep
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.types import ModelCard, Outcome, Prediction

NAN = np.nan
MODELS = ("a", "b", "c", "d")
CARDS = {name: ModelCard(name) for name in MODELS}


class Fixed:
    """A router that expects the same of every table: what it was made with."""

    def __init__(self, prediction):
        self.prediction, self.models = prediction, prediction.models

    def predict(self, prompts):
        rows = [int(prompt) for prompt in prompts]
        return Prediction(self.models, *(array[rows] for array in self.prediction[1:]))


def expects(quality, usd, models=MODELS):
    quality, usd = np.array(quality, dtype=float), np.array(usd, dtype=float)
    nothing = np.zeros(quality.shape)
    return Prediction(models[: quality.shape[1]], quality, usd, nothing, nothing)


def table_of(quality, usd, declined=None):
    quality, usd = np.array(quality, dtype=float), np.array(usd, dtype=float)
    n, m = quality.shape
    rows = [
        Outcome(
            id=str(i),
            prompt=str(i),
            group="",
            model=MODELS[j],
            quality=None if np.isnan(quality[i, j]) else quality[i, j],
            usd=None if np.isnan(usd[i, j]) else usd[i, j],
            seconds=1.0,
            declined=bool(declined is not None and declined[i][j]),
        )
        for i in range(n)
        for j in range(m)
    ]
    return Outcomes.from_rows(rows)


def played(prediction, table, weight, base=None):
    """The slow way to one point: the objective chooses for each question at that weight."""
    return play_router(Fixed(prediction), table, replace(base or Objective(), usd=weight), CARDS)


def assert_point(curve, p, earned):
    np.testing.assert_allclose(curve.quality_P[p], earned.quality, atol=1e-9, equal_nan=True)
    np.testing.assert_allclose(curve.usd_P[p], earned.usd, atol=1e-9, equal_nan=True)
    np.testing.assert_allclose(curve.share_PM[p], list(earned.share.values()), atol=1e-9, equal_nan=True)
    assert curve.missing_P[p] == earned.missing


def test_a_curve_by_hand():
    """Two questions: b is left at 0.4/0.9 for the first and at 0.1/0.9 for the second."""
    prediction = expects([[0.5, 0.9], [0.6, 0.7]], [[0.1, 1.0], [0.1, 1.0]])
    curve = sweep(prediction, table_of([[0, 1], [1, 1]], [[0.2, 2], [0.2, 2]]), name="r")
    np.testing.assert_allclose(curve.weight_P, [0, 1 / 9, 4 / 9])
    np.testing.assert_allclose(curve.quality_P, [1, 1, 0.5])
    np.testing.assert_allclose(curve.usd_P, [2, 1.1, 0.2])
    np.testing.assert_allclose(curve.share_PM, [[0, 1], [0.5, 0.5], [1, 0]])


unit = st.integers(0, 20).map(lambda k: k / 20)
price = st.integers(0, 10).map(lambda k: k / 1000)


@st.composite
def problems(draw, missing=False, declines=False):
    n, m = draw(st.integers(2, 7)), draw(st.integers(2, 4))

    def grid(cells):
        return [draw(st.lists(cells, min_size=m, max_size=m)) for _ in range(n)]

    gap = st.just(NAN) if missing else st.nothing()
    quality = np.array(grid(unit | gap), dtype=float)
    quality[0] = 1.0  # a model without any score is refused by the table itself
    usd = np.where(np.isnan(quality), NAN, grid(price | gap))
    declined = (np.array(grid(st.booleans())) & ~np.isnan(quality)) if declines else np.zeros((n, m), bool)
    expected_usd = np.array(grid(price | gap), dtype=float)
    expected_usd[0] = np.nan_to_num(expected_usd[0])  # what expects no cost of anything is refused
    prediction = expects(grid(unit), expected_usd)
    return prediction, table_of(np.where(declined, 0.0, quality), usd, declined)


def check_everywhere(prediction, table, base=None):
    """Between any two of its points, and beyond the last, the curve is what the objective does there."""
    curve = sweep(prediction, table, name="r", base=base)
    after = np.append((curve.weight_P[:-1] + curve.weight_P[1:]) / 2, 2 * curve.weight_P[-1] + 1)
    for p, weight in enumerate(after):
        assert_point(curve, p, played(prediction, table, weight, base))


@settings(deadline=None)
@given(problems())
def test_every_point_is_what_the_objective_does_at_its_weights(problem):
    check_everywhere(*problem)


@settings(deadline=None)
@given(problems(missing=True))
def test_missing_cells_and_costs_are_counted_not_zero(problem):
    check_everywhere(*problem)


@settings(deadline=None)
@given(problems(missing=True, declines=True))
def test_calls_that_were_declined_are_paid_on_the_way(problem):
    check_everywhere(*problem)


@settings(deadline=None)
@given(problems(declines=True), st.sampled_from([{"min_quality": 0.5}, {"allowed": ("a", "b")}, {"seconds": 0.1}]))
def test_the_rest_of_the_objective_is_kept(problem, rest):
    prediction, table = problem
    seconds = prediction.quality_NM[::-1].copy()
    check_everywhere(prediction._replace(seconds_NM=seconds), table, Objective(**rest))


@settings(deadline=None)
@given(problems(), st.floats(0, 5000))
def test_the_choice_at_any_weight_is_on_the_curve(problem, weight):
    prediction, table = problem
    curve = sweep(prediction, table, name="r")
    p = np.searchsorted(curve.weight_P, weight, side="right") - 1
    near = np.abs(curve.weight_P - weight).min() < 1e-6 * (1 + weight)
    if not near or weight in curve.weight_P:  # a hair beside a change, rounded scores are a tie
        assert_point(curve, p, played(prediction, table, weight))


@settings(deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_questions_changes_nothing(problem, random):
    prediction, table = problem
    rows = list(range(len(table)))
    random.shuffle(rows)
    shuffled = Prediction(prediction.models, *(array[rows] for array in prediction[1:]))
    one, other = sweep(prediction, table, name="r"), sweep(shuffled, table.select(rows), name="r")
    np.testing.assert_allclose(one.usd_P, other.usd_P, atol=1e-12)
    np.testing.assert_allclose(one.quality_P, other.quality_P, atol=1e-12)


@settings(deadline=None)
@given(problems())
def test_expected_cost_falls_along_a_curve(problem):
    prediction, _ = problem
    truth = table_of(prediction.quality_NM, prediction.usd_NM)
    curve = sweep(prediction, truth, name="r")
    assert (np.diff(curve.usd_P) <= 1e-12).all() and (np.diff(curve.quality_P) <= 1e-12).all()
    assert (np.diff(curve.weight_P) > 0).all() and curve.weight_P[0] == 0


def test_what_ends_at_a_free_model_ends_at_exactly_nothing():
    """Not at the rounding of all that was spent on the way, of which a hair less than nothing may be left."""
    rng = np.random.default_rng(0)
    quality, usd = rng.random((200, 3)), rng.random((200, 3)) * (1e-2, 1e-3, 0)
    curve = sweep(expects(quality, usd), table_of(quality.round(), usd), name="r")
    assert curve.usd_P[-1] == 0 and curve.usd_P.min() == 0
    assert curve.share_PM[-1].tolist() == [0, 0, 1]
    assert arena_score(curve.quality_P[-1], curve.usd_P[-1]) > 0
    assert aiq(curve.usd_P, curve.quality_P, 0.0, 0.01) > curve.quality_P[-1]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0, 1e6)), max_size=30), st.integers(1, 9))
def test_what_is_held_at_each_point_is_a_plain_sum(ranges, size):
    start, stop, values = (np.array([each[k] for each in ranges]) for k in range(3))
    start, stop = (np.minimum(edge.astype(np.intp), size) for edge in (start, stop))
    slow = [math.fsum(values[(start <= p) & (p < stop)]) for p in range(size)]
    np.testing.assert_allclose(_held(start, stop, size, values), slow, rtol=1e-12)


def test_a_question_without_any_score_is_refused():
    prediction = expects([[0.5, 0.9], [NAN, NAN]], [[0.1, 1.0]] * 2)
    with pytest.raises(NoModelLeft, match="knows nothing of its quality"):
        sweep(prediction, table_of([[0, 1], [1, 1]], [[0.2, 2], [0.2, 2]]), name="r")


def test_a_curve_of_many_changes_is_thinned_evenly_and_stays_true():
    rng = np.random.default_rng(0)
    quality, usd = rng.random((600, 3)), rng.random((600, 3)) / 100
    prediction, table = expects(quality, usd), table_of(quality.round(), usd)
    whole, thin = (sweep(prediction, table, name="r", points=points) for points in (5000, 20))
    assert len(whole.weight_P) > 400 and len(thin.weight_P) == 20
    kept = np.searchsorted(whole.weight_P, thin.weight_P)
    np.testing.assert_allclose(thin.quality_P, whole.quality_P[kept])
    assert kept[0] == 0 and kept[-1] == len(whole.weight_P) - 1
    assert np.diff(kept).max() < 2 * len(whole.weight_P) / 19


def test_models_may_come_in_another_order_than_the_tables():
    table = table_of([[0, 1], [1, 1]], [[0.2, 2], [0.2, 2]])
    curve = sweep(expects([[0.9, 0.5]] * 2, [[1.0, 0.1]] * 2, models=("b", "a")), table, name="r")
    assert curve.models == ("a", "b")
    np.testing.assert_allclose(curve.share_PM, [[0, 1], [1, 0]])


def test_what_cannot_be_swept_is_refused():
    table = table_of([[0, 1], [1, 1]], [[0.2, 2], [0.2, 2]])
    prediction = expects([[0.5, 0.9]] * 2, [[0.1, 1.0]] * 2)
    with pytest.raises(BadInput, match="knows none"):
        sweep(prediction._replace(usd_NM=np.full((2, 2), NAN)), table, name="r")
    with pytest.raises(BadInput, match=r"shape \(1, 2\), the table needs \(2, 2\)"):
        sweep(expects([[0.5, 0.9]], [[0.1, 1.0]]), table, name="r")
    with pytest.raises(BadInput, match="'z'"):
        sweep(expects([[0.5, 0.9]] * 2, [[0.1, 1.0]] * 2, models=("a", "z")), table, name="r")
    with pytest.raises(BadInput, match="at least 2"):
        sweep(prediction, table, name="r", points=1)
    with pytest.raises(NoModelLeft):
        sweep(prediction, table, name="r", base=Objective(allowed=("c",)), cards=CARDS)


def test_a_large_table_is_swept_block_by_block():
    rng = np.random.default_rng(0)
    n = 150_000
    quality, usd = rng.random((n, 5)), rng.random((n, 5)) / 100
    names = tuple(map(str, range(n)))
    table = Outcomes(names, names, names, ("v", "w", "x", "y", "z"), quality, usd)
    prediction = Prediction(table.models, quality, usd, quality, quality)
    started = perf_counter()
    curve = sweep(prediction, table, name="r")
    assert perf_counter() - started < 20
    chosen = Objective(usd=curve.weight_P[250]).choose_many(prediction, {m: ModelCard(m) for m in table.models})
    assert curve.quality_P[250] == pytest.approx(quality[np.arange(n), chosen].mean(), abs=1e-9)
