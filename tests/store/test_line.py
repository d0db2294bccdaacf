"""A line holds a row to the last bit, and whoever reads it is not surprised."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.store import Attempt, Decided
from waypost.store.line import AS_JSON, COLUMNS, beginning_of, of_this_version, row_of, storable, values, written
from waypost.store.tables import tables
from waypost.types import Decision

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MAYBE = st.none() | TEXT
NUMBER = st.floats(0, 1e9) | st.just(float("nan"))
COUNT = st.integers(0, 2**63 - 1)
NUMBERS = st.dictionaries(TEXT, NUMBER, max_size=3)
DECISIONS = st.builds(
    Decision,
    router=TEXT,
    ranking=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    scores=NUMBERS,
    quality=NUMBERS,
    usd=NUMBERS,
    seconds=NUMBERS,
    removed=st.dictionaries(TEXT, TEXT, max_size=3),
    weights=NUMBERS,
    why=TEXT,
    propensities=NUMBERS,
)
ATTEMPTS = st.builds(Attempt, TEXT, TEXT, NUMBER, st.none() | NUMBER, MAYBE)
ROWS = st.builds(
    Decided,
    id=TEXT,
    time=st.floats(0, 4e9),
    prompt_sha256=TEXT,
    prompt=MAYBE,
    requested=TEXT,
    decision=DECISIONS,
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    served=MAYBE,
    usd=st.none() | NUMBER,
    seconds=NUMBER,
    **dict.fromkeys(("tokens_in", "tokens_out", "tokens_cached", "tokens_written", "tokens_reasoning"), COUNT),
    status=st.integers(100, 599),
    **dict.fromkeys(("key", "team", "session", "canary"), MAYBE),
    api=TEXT,
    cache=st.sampled_from([None, "exact", "semantic"]),
    shadow=st.none() | NUMBERS,
    overhead_seconds=st.none() | NUMBER,
)


def shown(row):
    return orjson.loads(orjson.dumps(row.row()))


def test_the_columns_are_those_of_the_table():
    columns = tables().decisions.columns
    assert list(COLUMNS) == [column.name for column in columns]
    assert {column.name for column in columns if str(column.type) == "JSON"} == AS_JSON


@given(ROWS)
def test_a_line_says_what_the_row_says(row):
    line = written(row)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert row_of(line[:-1]) == shown(row)
    assert line.startswith(beginning_of(row.id))
    assert of_this_version(line[:-1]) == line[:-1]


@given(ROWS)
def test_of_what_can_be_stored_only_the_zeros_are_others(row):
    line = written(row)[:-1]
    kept = storable(line)
    assert row_of(kept) == orjson.loads(orjson.dumps(row.row()).replace(rb"\u0000", "\ufffd".encode()))
    assert kept == line or b"u0000" in line


@given(TEXT)
def test_a_text_that_only_looks_like_a_zero_stays(text):
    row = replace(plain(), prompt=rf"{text}\u0000", shadow={rf"\u0000{text}\\": 1.0})
    assert row_of(storable(written(row)))["prompt"] == row.prompt.replace("\0", "\ufffd")
    assert row_of(storable(written(row)))["shadow"] == {name.replace("\0", "\ufffd"): 1.0 for name in row.shadow}


def plain():
    decision = Decision("ridge", ("small",), {}, {}, {}, {}, {}, {}, "because")
    return Decided("a", 0.0, "", None, "auto", decision, (), "small", 0.5, 1.0, 5, 7, 200)


def test_a_line_of_another_version_is_read_as_far_as_it_goes():
    whole = orjson.loads(written(plain()))
    assert values(orjson.dumps(whole[:15])) == {
        **dict.fromkeys(COLUMNS),
        **dict(zip(COLUMNS, whole[:15], strict=False)),
    }
    assert of_this_version(orjson.dumps([*whole, "of a later version"])) == orjson.dumps(whole)


@pytest.mark.parametrize(
    "odd", [b"\0" * 20, b'["a"', b'{"id": "a"}', b'["a", "b", ["a list"]]', b"[]", b'["a", 7]', b"7", b"\xff"]
)
def test_what_is_no_line_is_refused(odd):
    with pytest.raises(ValueError):
        of_this_version(odd)


@pytest.mark.parametrize("odd", [7, "{", ""])
def test_what_is_to_be_json_and_is_none_is_refused(odd):
    whole = orjson.loads(written(plain()))
    whole[COLUMNS.index("ranking")] = odd
    with pytest.raises(ValueError):
        values(orjson.dumps(whole))
