import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from waypost.evaluation import baselines
from waypost.evaluation.confusion import SEVERAL, choices, confusion
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes

NAMES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("bcde")), min_size=1)


def table(quality_NM):
    n = len(quality_NM)
    words = tuple(f"q{i}" for i in range(n))
    usd_NM = np.tile([3.0, 2.0, 1.0], (n, 1))
    return Outcomes(words, words, ("g",) * n, ("dear", "middle", "cheap"), np.array(quality_NM, dtype=float), usd_NM)


@given(NAMES)
def test_every_pair_is_counted_and_the_diagonal_is_the_agreement(pairs):
    so, said = zip(*pairs, strict=True)
    found = confusion(so, said)
    assert found.columns[: len(found.rows)] == found.rows
    assert found.n == len(pairs)
    assert found.agreement == np.mean([a == b for a, b in pairs])
    assert [sum(row) for row in found.counts] == [so.count(name) for name in found.rows]


def test_a_choice_among_equally_good_models_is_right():
    tested = table([[1, 1, 0], [1, 1, 0]])
    found = choices(tested, baselines.single(tested, "dear"))
    assert (found.rows, found.agreement) == (("dear",), 1)


def test_a_wrong_choice_stands_against_the_cheapest_of_the_best():
    tested = table([[1, 1, 0]])
    found = choices(tested, baselines.single(tested, "cheap"))
    assert (found.rows, found.columns, found.counts) == (("middle",), ("middle", "cheap"), ((0, 1),))


def test_where_all_models_do_alike_nothing_can_be_chosen_wrongly():
    tested = table([[1, 1, 1], [0, 0, 0], [0, 1, 0]])
    assert choices(tested, baselines.single(tested, "middle")).n == 1


def test_a_choice_that_was_never_measured_is_left_out():
    tested = table([[np.nan, 1, 0], [0, 1, 0]])
    assert choices(tested, baselines.single(tested, "dear")).n == 1


def test_several_calls_for_one_question_are_a_column_of_their_own():
    tested = table([[1, 0, 0], [1, 0, 0]])
    both = Earned(tested.models, np.ones(2), np.ones(2), np.ones(2), np.array([[1.0, 0, 1], [1, 0, 0]]))
    found = choices(tested, both)
    assert found.counts[0][found.columns.index(SEVERAL)] == 1
    assert found.agreement == 0.5
