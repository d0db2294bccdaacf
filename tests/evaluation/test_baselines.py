import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.errors import BadTable
from waypost.evaluation import baselines
from waypost.outcomes import Outcomes

NAN = np.nan


def table(quality, usd=None):
    quality = np.array(quality, dtype=float)
    n, m = quality.shape
    usd = np.full((n, m), NAN) if usd is None else np.array(usd, dtype=float)
    names = tuple(str(i) for i in range(n))
    return Outcomes(names, names, ("g",) * n, tuple("abcdef"[:m]), quality, usd)


def test_the_oracle_takes_the_cheapest_of_the_best():
    oracle = baselines.oracle(table([[1, 1, 0], [0, 0, 0], [0.2, 0.9, 0.9]], [[3, 2, 1], [3, 2, 1], [1, 2, NAN]]))
    np.testing.assert_array_equal(oracle.quality_N, [1, 0, 0.9])
    np.testing.assert_array_equal(oracle.usd_N, [2, 1, 2])


def test_the_oracle_passes_over_missing_cells():
    oracle = baselines.oracle(table([[NAN, 0.5], [NAN, NAN], [1, 0]]))
    np.testing.assert_array_equal(oracle.quality_N, [0.5, NAN, 1])
    assert np.isnan(oracle.usd_N).all()


def test_chance_is_the_exact_expectation_over_measured_models():
    chance = baselines.chance(table([[1, 0], [NAN, 1], [NAN, NAN]], [[2, 4], [9, 1], [1, 1]]))
    np.testing.assert_array_equal(chance.quality_N, [0.5, 1, NAN])
    np.testing.assert_array_equal(chance.usd_N, [3, 1, NAN])
    assert chance.share == {"a": 0.25, "b": 0.75}


def test_a_single_model_leaves_out_what_it_was_not_asked():
    single = baselines.single(table([[1, 0], [NAN, 1], [0, 1]], [[2, 4], [2, 4], [4, 4]]), "a")
    assert (single.quality, single.usd, single.n, single.missing) == (0.5, 3, 2, 1)
    assert single.share == {"a": 1, "b": 0}


def test_the_best_single_model_of_equals_is_the_cheaper_then_the_first_by_name():
    assert baselines.best_single(table([[1, 1, 0]], [[2, 1, 0]])) == "b"
    assert baselines.best_single(table([[1, 1, 0]])) == "a"


def test_the_best_single_model_is_not_the_one_that_was_asked_easy_questions_only():
    """Of b's questions a, which was asked the hard ones too, answers all."""
    assert baselines.best_single(table([[1, 0.9], [1, 0.9], [0, NAN], [0, NAN]])) == "a"


def test_models_that_share_no_question_are_compared_through_others():
    """a is 0.2 above b, and b 0.2 above c, whose questions are easier."""
    assert baselines.best_single(table([[0.5, 0.3, NAN], [NAN, 1.0, 0.8]])) == "a"


def test_models_that_no_question_joins_are_refused():
    with pytest.raises(BadTable, match="no question joins models 'a' and 'c', not even through others"):
        baselines.best_single(table([[1, 1, NAN, NAN], [NAN, NAN, 1, 0]]))


@given(
    arrays(float, (6, 4), elements=st.floats(0, 1)),
    arrays(bool, (6, 4), elements=st.booleans()),
)
def test_model_effects_are_the_least_squares_fit(quality, known):
    """Against the plain regression on a column for each question and each model."""
    known[0] = True
    one = table(np.where(known, quality, NAN))
    n, m = np.nonzero(known)
    design = np.hstack([np.eye(6)[n], np.eye(4)[m]])
    effect = np.linalg.lstsq(design, quality[known])[0][6:]
    best = one.models.index(baselines.best_single(one))
    assert effect[best] == pytest.approx(effect.max(), abs=1e-9)


def test_the_cheapest_is_unknown_without_costs():
    assert baselines.cheapest(table([[1, 0]])) is None
    assert baselines.cheapest(table([[1, 0, 0]], [[NAN, 2, 1]])) == "c"


@given(arrays(float, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(0, 1)))
def test_no_choice_beats_the_oracle_and_chance_is_between_the_models(quality):
    one = table(quality)
    singles = [baselines.single(one, name).quality for name in one.models]
    assert baselines.oracle(one).quality >= max(singles) - 1e-12
    assert baselines.chance(one).quality == pytest.approx(np.mean(singles))
    assert baselines.single(one, baselines.best_single(one)).quality == max(singles)


def test_chance_has_no_known_cost_where_a_model_of_unknown_price_may_be_called():
    chance = baselines.chance(table([[1, 0], [NAN, 1]], [[2, NAN], [NAN, 1]]))
    np.testing.assert_array_equal(chance.usd_N, [NAN, 1])
