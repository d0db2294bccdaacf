import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput, BadTable
from waypost.outcomes.readers import Intake
from waypost.types import Outcome


def row(model="x", quality=1.0, usd=None):
    return Outcome("1", "Hi", "", model, quality, usd, None)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_cell_is_missing_and_never_zero(empty):
    intake = Intake()
    assert intake.quality("row", "x", empty) is None
    assert intake.usd("row", "x", empty) is None
    assert intake.seconds("row", "x", empty) is None


@given(st.floats(0, 100))
def test_a_scale_brings_marks_to_the_unit(mark):
    assert math.isclose(Intake(scale=100).quality("row", "x", mark) * 100, mark, abs_tol=1e-12)


def test_a_cost_of_a_thousand_queries_is_made_one_of_a_query():
    assert Intake(per=1000).usd("row", "x", "2.5") == 0.0025


@pytest.mark.parametrize("value", ["nan", float("nan"), "good", -0.1, "-inf", [1], 10**400])
def test_a_score_that_is_none_is_refused(value):
    with pytest.raises(
        BadTable, match=r"row 3, column 'x': .* is not a number from 0 to 1; leave an unknown score empty$"
    ):
        Intake().quality("row 3", "x", value)


def test_a_score_above_the_scale_asks_for_the_scale():
    with pytest.raises(BadTable, match=r"87 is not a number from 0 to 1; .* with --scale 10 or --scale 100"):
        Intake().quality("row 3", "x", 87)


@pytest.mark.parametrize("value", ["nan", float("nan"), -1e-9, math.inf, "free"])
def test_a_cost_that_is_none_is_refused(value):
    with pytest.raises(BadTable, match="is not a finite number of USD, zero or more"):
        Intake().usd("row 3", "x", value)


@pytest.mark.parametrize("value", [-1, 1.5, "many", 1 << 31, float("nan")])
def test_tokens_are_whole_numbers(value):
    with pytest.raises(BadTable, match="is not a number of tokens"):
        Intake().tokens("row 3", "x", value)


@pytest.mark.parametrize("unit", ["scale", "per"])
@pytest.mark.parametrize("value", [math.inf, math.nan, 0.5])
def test_a_unit_that_is_none_is_refused(unit, value):
    with pytest.raises(BadInput, match=f"{unit} is {value}; it must be a finite number, 1 or more"):
        Intake(**{unit: value})


def test_what_was_left_out_is_counted_by_reason_with_the_first_places():
    intake = Intake()
    for number in range(5):
        intake.drop("it has no score", f"row {number}")
    intake.drop("the call failed", "row 9", 2)
    for _ in range(20):
        intake.take(Path("a.csv"), row())
    intake.check()
    assert intake.sentences() == [
        "left out 5 of 27 answers because it has no score (row 0, row 1, row 2, …)",
        "left out 2 of 27 answers because the call failed (row 9)",
    ]


def test_a_reading_that_leaves_most_out_is_refused():
    intake = Intake()
    intake.drop("the call failed", "row 0", 2)
    intake.take(Path("a.csv"), row())
    with pytest.raises(BadTable, match="2 of 3 answers cannot be used: the call failed"):
        intake.check()


def test_scores_that_stay_small_on_a_wide_scale_are_mixed_units():
    intake = Intake(scale=100)
    intake.take(Path("a.csv"), row("x", quality=0.87))
    intake.take(Path("a.csv"), row("y", quality=0.01))
    with pytest.raises(BadTable, match=r"a.csv: no score of 'y' is above 1, on a scale to 100"):
        intake.check()


def test_a_model_that_always_fails_is_no_mixed_unit():
    intake = Intake(scale=100)
    intake.take(Path("a.csv"), row("y", quality=0.0))
    intake.check()


def test_costs_a_thousand_times_apart_between_files_are_mixed_units():
    intake = Intake()
    for _ in range(20):
        intake.take(Path("a.csv"), row(usd=0.002))
        intake.take(Path("b.csv"), row(usd=2.0))
    with pytest.raises(BadTable, match=r"'x' costs \$2 per query in b.csv and \$0.002 in a.csv"):
        intake.check()


def test_files_of_one_name_in_two_folders_are_two_files():
    intake = Intake()
    for _ in range(20):
        intake.take(Path("a/x.csv"), row(usd=0.002))
        intake.take(Path("b/x.csv"), row(usd=0.9))
    with pytest.raises(BadTable, match=r"in b/x.csv and \$0.002 in a/x.csv"):
        intake.check()


@pytest.mark.parametrize(("dear", "refused"), [(3, True), (2, False)])
def test_queries_above_a_dollar_are_taken_for_thousands_until_it_is_said(dear, refused):
    for per in (None, 1.0):
        intake = Intake(per=per)
        for number in range(4):
            intake.take(Path("a.csv"), row(usd=2.0 if number < dear else 0.5))
        intake.take(Path("a.csv"), row(usd=None))
        problems = list(intake.problems())
        assert len(problems) == (refused and per is None)
        assert all("a.csv: more than half of the queries cost above $1 with 'x'" in problem for problem in problems)


def test_all_problems_are_told():
    intake = Intake(scale=100)
    intake.drop("the call failed", "row 0", 3)
    intake.take(Path("a.csv"), row(quality=0.005, usd=2.0))
    assert [problem.partition(":")[0] for problem in intake.problems()] == [
        "3 of 4 answers cannot be used", "a.csv", "a.csv",
    ]  # fmt: skip
