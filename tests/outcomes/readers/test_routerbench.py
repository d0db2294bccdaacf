import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadTable
from waypost.outcomes.readers import guessed, read, routerbench

HEADER = (
    "", "sample_id", "prompt", "eval_name", "org/large", "small",
    "small|model_response", "org/large|model_response", "org/large|total_cost", "small|total_cost",
    "oracle_model_to_route_to",
)  # fmt: skip


def row(**changes):
    plain = dict(zip(HEADER, (
        "0", "mmlu.1", "['What is 2+2?']", "mmlu-abstract-algebra", "1.0", "0.0",
        "['five']", "['four']", "0.004", "0.00007", "no_model_correct",
    ), strict=True))  # fmt: skip
    return plain | {key.replace("__", "|").replace("large", "org/large"): value for key, value in changes.items()}


@pytest.fixture
def table(tmp_path):
    def written(*rows, header=HEADER, report=lambda _: None):
        path = tmp_path / "mmlu_train.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([r[name] for name in header] if isinstance(r, dict) else r for r in rows)
        return read("routerbench", [path], report)[0]

    return written


def test_scores_costs_and_answers_are_kept(table):
    found = table(row())
    assert found.models == ("org/large", "small")
    np.testing.assert_array_equal(found.quality_NM, [[1, 0]])
    np.testing.assert_array_equal(found.usd_NM, [[0.004, 0.00007]])
    assert np.isnan(found.seconds_NM).all()
    assert (found.prompts, found.groups, found.ids) == (("What is 2+2?",), ("mmlu",), ("mmlu.1",))
    answer = found.answer(0, "org/large")
    assert (answer.text, answer.usd, answer.ok) == ("four", 0.004, True)


def test_an_empty_score_is_missing(table):
    found = table(row(large=""), row(sample_id="mmlu.2"))
    np.testing.assert_array_equal(found.quality_NM, [[np.nan, 0], [1, 0]])


def test_rows_without_any_score_are_left_out_and_counted(table):
    said = []
    found = table(row(), row(sample_id="mmlu.2", large="", small=""), report=said.append)
    assert len(found) == 1
    assert "left out 2 of 4 answers because the row has no score" in said[0] and "row 1 (id 'mmlu.2')" in said[0]


def test_an_id_used_for_two_prompts_is_numbered_and_said(table):
    said = []
    found = table(row(), row(prompt="['Another?']"), report=said.append)
    assert found.ids == ("mmlu.1", "mmlu.1#2")
    assert "stood for a second prompt and were numbered: 1 (mmlu.1)" in said[0]


def test_the_pickle_of_a_frame_is_read_as_the_csv_is(table):
    pickled = Path(__file__).parent / "pickles" / "frame_23_4.pkl"
    header = ("sample_id", "prompt", "eval_name", "small", "large", "small|model_response", "large|model_response",
              "small|total_cost", "large|total_cost", "oracle_model_to_route_to")  # fmt: skip
    written = table(
        ("mmlu.1", "['What is 2+2?']", "mmlu-maths", 0.0, 1.0, "five", "four", 0.00001, 0.001, "large"),
        ("mmlu.2", "['Name a colour', 'and €']", "mmlu-art", "", 0.5, "", "red", "", 0.002, "large"),
        header=header,
    )
    (found,) = read("routerbench", [pickled])
    assert list(found.rows()) == list(written.rows())
    assert guessed(pickled) == "routerbench"


def test_the_long_form_has_a_row_for_each_model(table):
    header = ("sample_id", "prompt", "eval_name", "model_name", "model_response", "performance", "cost")
    said = []
    found = table(
        ("mmlu.1", "['2+2?']", "mmlu-maths", "small", "['5']", "0", "0.0001"),
        ("mmlu.1", "['2+2?']", "mmlu-maths", "large", "['4']", "1", "0.002"),
        ("mmlu.2", "['3+3?']", "mmlu-maths", "small", "['6']", "", "0.0001"),
        header=header,
        report=said.append,
    )
    assert (found.models, found.prompts, found.groups) == (("small", "large"), ("2+2?",), ("mmlu",))
    assert found.quality_NM.tolist() == [[0, 1]] and found.usd_NM.tolist() == [[0.0001, 0.002]]
    assert found.answer(0, "large").text == "4"
    assert "1 of 3 answers because it has no score" in said[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['a', 'b']", "a\nb"),
        ('["it\'s"]', "it's"),
        ("plain", "plain"),
        ("[unfinished", "[unfinished"),
        ("[x for x in 'ab']", "[x for x in 'ab']"),
        ("[__import__('os').getcwd()]", "[__import__('os').getcwd()]"),
        ("", ""),
        (r"['it\'s \x41\u20ac\U0001f600\n']", "it's A€😀\n"),
        ('["a","b" ] ', "a\nb"),
        (r"['\U00110000']", r"['\U00110000']"),
        (r"['\d']", r"['\d']"),
        ("['a' 'b']", "['a' 'b']"),
        ("['a'], 'b']", "['a'], 'b']"),
        ("['a', 1]", "['a', 1]"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_lists_are_parsed_as_literals_and_never_run(text, expected):
    assert routerbench.literal(text) == expected


@given(st.lists(st.text(), min_size=1))
def test_any_texts_are_read_from_their_list_form(texts):
    assert routerbench.literal(repr(texts)) == "\n".join(texts)


@pytest.mark.parametrize("part", ["1,", "'',", "(", "-", "'\\n',"])
def test_a_long_list_takes_memory_in_proportion_to_its_text(part):
    cell = "['a'," + part * 100_000 + "]"
    tracemalloc.start()
    routerbench.literal(cell)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * len(cell)


def test_a_cell_longer_than_the_csv_module_allows_is_read(table):
    assert len(table(row(prompt="x" * 200_000)).prompts[0]) == 200_000


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (row(large="good"), r"row 1 \(id 'mmlu.1'\), column 'org/large': 'good' is not a number from 0 to 1"),
        (row(small="1.5"), "column 'small': '1.5' is not"),
        (row(large__total_cost="-1"), r"column 'org/large\|total_cost': '-1' is not a finite number of USD"),
        (row(small__total_cost="inf"), "'inf' is not a finite number"),
        (row(small="nan"), "'nan' is not a number from 0 to 1"),
        (["0", "mmlu.9", "short"], "row 1: it has another number of cells"),
        ([*row().values(), "more"], "row 1: it has another number of cells"),
    ],
)
def test_a_bad_row_is_refused_with_its_number_and_reason(table, bad, sentence):
    with pytest.raises(BadTable, match=sentence):
        table(row(), bad)


def test_a_file_of_another_kind_is_refused(table):
    with pytest.raises(BadTable, match="no column 'sample_id'"):
        table(header=("question", "answer"))
    with pytest.raises(BadTable, match="has no model"):
        table(header=("sample_id", "prompt", "eval_name"))


def test_a_model_without_costs_has_unknown_ones_and_other_columns_are_named(table):
    said = []
    header = (*(name for name in HEADER if name != "small|total_cost"), "difficulty", "lost|total_cost")
    found = table(row() | {"difficulty": "0.5", "lost|total_cost": "1"}, header=header, report=said.append)
    assert found.models == ("org/large", "small")
    np.testing.assert_array_equal(found.usd_NM, [[0.004, np.nan]])
    assert said == [
        "mmlu_train.csv: columns that are not read: difficulty, lost|total_cost "
        "(a model 'M' has 'M|total_cost' or 'M|model_response' beside it)"
    ]


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(b"sample_id,prompt,eval_name,a,a|total_cost\n1,caf\xe9,x,1,0\n")
    with pytest.raises(BadTable, match="not CSV in UTF-8"):
        read("routerbench", [path])
