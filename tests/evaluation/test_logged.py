"""A log of decisions is read from any of three kinds of file, and what no log may hold is refused with its row."""

import csv
import json
import sqlite3
from contextlib import closing

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadTable
from waypost.evaluation.logged import Logged

ROWS = [
    {"prompt": "2+2?", "model": "small", "propensity": 0.75, "quality": 1.0, "usd": 1e-6, "source": "talk"},
    {"prompt": "Why,\n\"why\"?", "model": "large", "propensities": {"small": 0.75, "large": 0.25}, "quality": 0.5},
    {"prompt": "Sure?", "model": "small", "propensity": 1, "quality": 0.0, "usd": 0.0, "source": "talk", "more": 1},
    {"prompt": "Never rated", "model": "small", "propensity": 0.75},
]  # fmt: skip
ROW = {"prompt": "p", "model": "a", "propensity": 0.5, "quality": 1.0}


def write_jsonl(path):
    path.write_text("\n\n".join(map(json.dumps, ROWS)))


def write_csv(path):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in ROWS for name in row))
        writer.writeheader()
        writer.writerows({k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in ROWS)


def write_parquet(path):
    lines = path.with_suffix(".tmp")
    write_jsonl(lines)
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT * FROM read_json('{lines}', format='newline_delimited')) TO '{path}' (FORMAT parquet)"
        )


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet])
def test_every_kind_of_file_holds_the_same_log(tmp_path, write):
    path = tmp_path / f"log.{write.__name__.removeprefix('write_')}"
    write(path)
    log = Logged.read(path)
    assert (log.prompts, log.models) == (tuple(row["prompt"] for row in ROWS[:3]), ("large", "small"))
    np.testing.assert_array_equal(log.chosen_N, [1, 0, 1])
    np.testing.assert_array_equal(log.propensity_NM, [[np.nan, 0.75], [0.25, 0.75], [0, 1]])
    np.testing.assert_array_equal(log.own_N, [0.75, 0.25, 1])
    np.testing.assert_array_equal(log.quality_N, [1, 0.5, 0])
    np.testing.assert_array_equal(log.usd_N, [1e-6, np.nan, 0])
    assert (log.sources, log.unscored, len(log)) == (("talk", "", "talk"), 1, 3)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({**ROW, "propensity": None}, "row 2 has no propensity.*cannot be made up afterwards"),
        ({**ROW, "propensity": 0}, "decision 2 .prompt 'p'.: the chosen model's propensity must be above 0"),
        ({**ROW, "propensity": -0.1}, "must be above 0"),
        ({**ROW, "propensity": float("nan")}, "must be above 0"),
        ({**ROW, "propensity": 1.5}, "propensities must be 0..1"),
        ({**ROW, "propensity": "often"}, "row 2: 'propensity' must be a number, got 'often'"),
        ({**ROW, "propensities": {"a": 0.5, "b": 0.1}}, "must name every model and sum to 1"),
        ({**ROW, "propensities": {"a": float("nan"), "b": 0.5}}, "must name every model and sum to 1"),
        (
            {**ROW, "propensity": 0.05, "propensities": {"a": 0.5, "b": 0.5}},
            "row 2: 'propensity' says that 'a' was chosen with probability 0.05, 'propensities' says 0.5",
        ),
        ({**ROW, "propensities": {"b": 1.0}}, "with probability 0.5, 'propensities' says 0;"),
        ({**ROW, "propensities": "{"}, "'propensities' is not JSON"),
        ({**ROW, "propensities": [0.5]}, "must map models to probabilities"),
        ({**ROW, "quality": 7}, "quality must be 0..1"),
        ({**ROW, "quality": float("nan")}, "quality must be 0..1"),
        ({**ROW, "usd": -1}, "usd must be a finite number from 0"),
        ({**ROW, "usd": float("inf")}, "usd must be a finite number from 0"),
        ({**ROW, "model": None}, "row 2: 'model' must be a text, got None"),
        ({**ROW, "prompt": " "}, "row 2: 'prompt' must be a text"),
    ],
)
def test_what_no_log_may_hold_is_refused_with_its_row(row, told):
    with pytest.raises(BadTable, match=told):
        Logged.from_rows([ROW, row])


def test_a_propensity_that_is_said_twice_alike_is_no_contradiction():
    twice = {**ROW, "propensity": 0.333, "propensities": {"a": 1 / 3, "b": 2 / 3}}
    assert Logged.from_rows([twice]).own_N.tolist() == [0.333]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("log.jsonl", b'{"prompt": ', "line 1 is not JSON"),
        ("log.jsonl", b"[1]", "line 1 must be a JSON object"),
        ("log.jsonl", b"", "holds no decision whose quality is known"),
        ("log.csv", b'prompt,model\n"open', "not CSV"),
        ("log.csv", b"prompt\n\xff", "not CSV in UTF-8"),
        ("log.parquet", b"nothing", "not Parquet"),
        ("log.txt", b"", "must end in .jsonl, .csv, .parquet; got .txt"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_its_name(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadTable, match=told) as refused:
        Logged.read(path)
    assert str(path) in str(refused.value)
    with pytest.raises(BadTable, match="no file"):
        Logged.read(tmp_path / "none.jsonl")


def test_a_gateways_store_is_refused_with_the_reason_and_a_way_out(tmp_path):
    path = tmp_path / "waypost.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE decisions (id)")
    with pytest.raises(BadTable, match=r"every choice has propensity 1.*drawn at random.*waypost collect"):
        Logged.read(path)


def test_a_store_without_the_prompts_says_how_to_keep_them(tmp_path):
    path = tmp_path / "waypost.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE decisions (id, prompt, propensities)")
        connection.execute("INSERT INTO decisions VALUES ('a', NULL, '{\"small\": 1.0}')")
    with pytest.raises(BadTable, match="log_prompts: true"):
        Logged.read(path)


def test_parts_of_different_lengths_are_refused():
    with pytest.raises(BadTable, match="one entry for each decision"):
        Logged(("p",), ("a",), np.array([0]), np.ones((1, 2)), np.ones(1), np.ones(1))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.floats(0, 1)), min_size=2))
def test_as_a_table_it_has_the_chosen_cells_and_no_other(cells):
    log = Logged.from_rows(
        {"prompt": f"p{n}", "model": model, "propensity": 0.3, "quality": quality, "usd": usd, "source": model}
        for n, (model, quality, usd) in enumerate(cells)
    )
    if len(log.models) < 2:
        with pytest.raises(BadTable, match="chose one model only"):
            log.outcomes()
        return
    table = log.outcomes()
    assert (table.prompts, table.sources) == (log.prompts, log.sources)
    for n, (model, quality, usd) in enumerate(cells):
        m = table.models.index(model)
        assert (table.quality_NM[n, m], table.usd_NM[n, m]) == (quality, usd)
        assert np.isnan(np.delete(table.quality_NM[n], m)).all()


def test_some_of_the_decisions_are_a_log_again():
    log = Logged.from_rows(ROWS).select(np.array([True, False, True]))
    assert (log.prompts, log.sources, log.models) == (("2+2?", "Sure?"), ("talk", "talk"), ("large", "small"))
