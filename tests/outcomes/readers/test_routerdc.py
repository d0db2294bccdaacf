import json

import numpy as np
import pytest

from waypost.errors import BadTable
from waypost.outcomes.readers import read


@pytest.fixture
def table(tmp_path):
    def written(content, name="gsm8k-train.json", report=lambda _: None):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read("routerdc", [path], report)[0]

    return written


def rows(*scores):
    return [{"question": f"Question {i}?", "scores": s, "cluster_id": 3} for i, s in enumerate(scores)]


def test_shares_of_ten_samples_are_the_quality(table):
    found = table(rows({"a/x": 0.3, "b/y": 1.0}, {"a/x": 0, "b/y": 0.7000000000000001}))
    np.testing.assert_allclose(found.quality_NM, [[0.3, 1.0], [0, 0.7]])
    assert found.models == ("a/x", "b/y")
    assert found.prompts == ("Question 0?", "Question 1?")


def test_a_probability_above_zero_is_a_right_choice(table):
    found = table(rows({"x": 0.4187, "y": 0}, {"x": 0.1, "y": 0.99}))
    np.testing.assert_array_equal(found.quality_NM, [[1, 0], [1, 1]])


def test_the_reader_says_how_it_understood_the_scores(table):
    said = []
    table(rows({"x": 0.4187, "y": 0}), report=said.append)
    table(rows({"x": 0.4, "y": 0}), report=said.append)
    assert ["multiple choice" in said[0], "scores on tenths" in said[1]] == [True, True]


def test_null_is_missing_and_never_zero(table):
    found = table(rows({"x": None, "y": 0.25}, {"x": 0.5, "y": None})).only(["x", "y"])
    np.testing.assert_array_equal(found.quality_NM, [[np.nan, 1], [1, np.nan]])


def test_there_are_no_costs_and_no_answers(table):
    found = table(rows({"x": 1, "y": 0}))
    assert np.isnan(found.usd_NM).all()
    assert found.answer(0, "x") is None


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("gsm8k-train.json", "gsm8k"),
        ("arc_challenge_test.json", "arc_challenge"),
        ("ceval.json", "ceval"),
        ("train_set.json", "train_set"),
    ],
)
def test_the_group_is_the_data_set(table, name, group):
    assert table(rows({"x": 1, "y": 0}), name).groups == (group,)


def test_models_may_come_in_any_order_in_a_row(table):
    np.testing.assert_array_equal(table(rows({"x": 1, "y": 0}, {"y": 0, "x": 1})).quality_NM, [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("not json", "is not JSON"),
        ({"question": "Hi"}, "must be a list"),
        ([], "must be a list of at least one"),
        ([{"scores": {"x": 1, "y": 1}}], "row 0: needs a text 'question'"),
        ([{"question": "Hi", "scores": {}}], "row 0: needs 'scores'"),
        (rows({"x": 1, "y": 0}, {"x": 1}), "row 1: 'y' is not in every row"),
        (rows({"x": 1, "y": 0}, {"x": 1, "y": 1.5}), "row 1, column 'y': 1.5 is not a number from 0 to 1"),
        (rows({"x": "1", "y": 0}), "row 0, column 'x': .* got '1'"),
        (rows({"x": float("nan"), "y": 0}), "row 0, column 'x': nan is not"),
        (rows({"x": True, "y": 0}), "row 0, column 'x': .* got True"),
    ],
)
def test_a_bad_file_is_refused_with_its_row(table, content, sentence):
    with pytest.raises(BadTable, match=sentence):
        table(content)
