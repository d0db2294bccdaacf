import json

import numpy as np

from waypost.cli import output
from waypost.errors import BadTable


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_machines_get_one_object_a_line_and_null_for_what_is_missing(capsys):
    output.emit([{"a": np.float64(0.5), "b": float("nan")}, {"a": (1, None), "b": {"ü": np.arange(2)}}], json=True)
    assert lines(capsys) == [{"a": 0.5, "b": None}, {"a": [1, None], "b": {"ü": [0, 1]}}]


def test_people_get_a_table_that_is_not_folded_in_a_file(capsys):
    name = "an-organisation/a-model-with-a-very-long-name-" + "x" * 60
    output.emit([{"model": name, "quality": 0.51234, "usd": None}], json=False, title="Title")
    shown = capsys.readouterr().out
    assert name in shown
    assert "0.5123" in shown
    assert "–" in shown
    assert shown.startswith("Title")


def test_text_in_brackets_is_no_markup(capsys):
    output.emit([{"model": "a[bold]b"}], json=False)
    output.say("see [red]this")
    shown = capsys.readouterr()
    assert "a[bold]b" in shown.out
    assert shown.err == "see [red]this\n"


def test_no_rows_print_nothing_for_machines(capsys):
    output.emit([], json=True)
    assert capsys.readouterr().out == ""


def test_an_error_is_a_line_for_people_and_an_object_for_machines(capsys):
    output.fail(BadTable("row 3: no"), json=True)
    shown = capsys.readouterr()
    assert shown.err == "waypost: row 3: no\n"
    assert json.loads(shown.out) == {
        "error": {"type": "BadTable", "code": "invalid_request_error", "message": "row 3: no"}
    }


def test_an_error_for_people_leaves_stdout_alone(capsys):
    output.fail(BadTable("row 3: no"), json=False)
    assert capsys.readouterr().out == ""


def test_a_step_says_what_was_done_on_stderr(capsys):
    with output.step("fitting [knn]"):
        pass
    shown = capsys.readouterr()
    assert shown.err.startswith("fitting [knn] (0.")
    assert shown.out == ""


def test_a_letter_between_colons_is_no_emoji(capsys):
    output.say("cannot import my_router:X: no such module")
    assert capsys.readouterr().err == "cannot import my_router:X: no such module\n"
