import json
from contextlib import suppress

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadTable
from waypost.outcomes.readers._files import head, records, whole

LIMIT = 1 << 20


def found(path):
    return [record for _, record in records(path, LIMIT)]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "x,y\n1,2\n", "csv"),
        ("a.txt", "\ufeffx,y\n1,2\n", "csv"),
        ("a.json", '[{"x": 1, "y": 2}]', "json"),
        ("a.log", '{"x": 1, "y": 2}\n{"x": 3, "y": 4}\n', "jsonl"),
        ("one.jsonl", '{"x": 1, "y": 2}\n', "jsonl"),
        ("page.json", '{"total": 1, "data": [{"x": 1, "y": 2}]}', "json"),
        ("pretty.json", '[\n  {\n    "x": 1,\n    "y": 2\n  }\n]', "json"),
    ],
)
def test_a_file_is_known_by_its_content(written, name, content, kind):
    path = written(name, content)
    assert (head(path).kind, head(path).names) == (kind, ("x", "y"))
    assert {str(value) for value in found(path)[0].values()} == {"1", "2"}


def test_parquet_with_structs_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    duckdb.sql("SELECT 1 AS x, {'score': 0.5, 'response': 'hi'} AS m").write_parquet(str(path))
    assert head(path).names == ("x", "m")
    assert found(path) == [{"x": 1, "m": {"score": 0.5, "response": "hi"}}]


def test_blank_lines_are_no_records_and_places_count_them(written):
    path = written("a.jsonl", '{"x": 1}\n\n{"x": 2}\n')
    assert [where.rpartition(":")[2] for where, _ in records(path, LIMIT)] == ["1", "3"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"x": 1}\n{"x": \n', "a.jsonl:2: this is not JSON"),
        ("a.jsonl", '{"x": 1}\n7\n', "a.jsonl:2: a record must be a JSON object, got '7'"),
        ("a.jsonl", '{"x": 1}\n' + "[" * 100_000 + "\n", "a.jsonl:2: this is not JSON"),
        ("a.json", "[1]", "row 0: a record must be a JSON object"),
        ("a.json", '[{"x": 1}', "is not JSON"),
        ("a.csv", "x,y\n1\n", "row 0: it has another number of cells"),
        ("a.csv", "x,y\n1,2,3\n", "row 0: it has another number of cells"),
        ("a.csv", "x,y,x\n1,2,3\n", "a.csv has two columns 'x'; which one is meant?"),
        ("a.pkl", "N.", "is a pickle"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(written, name, content, sentence):
    with pytest.raises(BadTable, match=sentence):
        found(written(name, content))


def test_text_that_is_not_utf8_is_refused(tmp_path):
    for name, data in (("a.csv", b"x\ncaf\xe9\n"), ("a.jsonl", b'{"x": 1}\n{"x": "\xe9"}\n'), ("a.json", b'["\xe9"]')):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadTable, match=r"UTF-8|not JSON"):
            found(tmp_path / name)


def test_parquet_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadTable, match="is no Parquet"):
        found(tmp_path / "a.parquet")


def test_json_in_one_piece_has_a_limit(written):
    path = written("a.json", [{"x": 1}])
    with pytest.raises(BadTable, match="10 bytes of JSON in one piece and the limit is 5"):
        whole(path, 5)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_records_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.file"
    path.write_bytes(data)
    head(path)
    with suppress(BadTable):
        found(path)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9), min_size=1), min_size=2))
def test_json_lines_come_back_as_they_were(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert found(path) == rows
