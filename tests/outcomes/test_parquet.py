"""The table on disk: what goes in comes out, files are replaced whole, and others' files are refused with reason."""

import subprocess
import sys

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput, BadTable
from waypost.outcomes import journal, parquet
from waypost.types import Outcome

UNIT = st.floats(0, 1)
MONEY = st.none() | st.floats(0, 1e6)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
ROWS = st.lists(
    st.builds(
        Outcome, id=TEXT, prompt=TEXT, group=TEXT, model=TEXT, quality=st.none() | UNIT, usd=MONEY, seconds=MONEY,
        tokens_in=st.integers(0, 10**6), tokens_out=st.integers(0, 10**6), answer=TEXT, finish=TEXT,
        logprob=st.none() | st.floats(-100, 0), declined=st.booleans(), reference=TEXT, scorer=TEXT,
    ),
    max_size=6,
    unique_by=lambda row: (row.id, row.model),
)  # fmt: skip


def row(id="a", model="m", **more):
    values = {"prompt": f"prompt {id}", "group": "g", "quality": 1.0, "usd": 0.1, "seconds": 0.2} | more
    return Outcome(id=id, model=model, **values)


def pairs(*ids):
    return [row(id, model) for id in ids for model in ("m", "n")]


@settings(max_examples=25, deadline=None)  # each writes a file
@given(rows=ROWS)
def test_rows_come_back_as_they_were_in_the_order_of_id_and_model(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    parquet.write(path, rows)
    assert parquet.rows(path) == sorted(rows, key=lambda r: (r.id, r.model))


def test_the_order_of_rows_does_not_change_the_file(tmp_path):
    rows = pairs("a", "b", "c")
    parquet.write(tmp_path / "one.parquet", rows)
    parquet.write(tmp_path / "two.parquet", rows[::-1])
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_a_table_is_read_with_its_answers(tmp_path):
    parquet.write(tmp_path / "t.parquet", [row(model="m", answer="Hello", logprob=-0.5), row(model="n", quality=None)])
    parquet.write(tmp_path / "t.parquet", [*parquet.rows(tmp_path / "t.parquet"), row("b", "n", usd=None)])
    table = parquet.read(tmp_path / "t.parquet")
    assert table.models == ("m", "n") and table.ids == ("a", "b")
    assert table.answer(0, "m").text == "Hello" and table.answer(0, "m").logprob == -0.5
    assert table.answer(1, "m") is None


def test_the_columns_are_typed_and_packed(tmp_path):
    parquet.write(tmp_path / "t.parquet", pairs("a"))
    described = duckdb.sql(f"DESCRIBE SELECT * FROM '{tmp_path}/t.parquet'").fetchall()
    assert {name: kind for name, kind, *_ in described} == parquet.COLUMNS
    packed = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{tmp_path}/t.parquet')").fetchall()
    assert packed == [("ZSTD",)]


def test_a_write_that_fails_leaves_the_old_table_and_nothing_else(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write(path, pairs("a"))
    with pytest.raises(duckdb.Error):
        parquet.write(path, [row(tokens_in="many")])
    assert parquet.rows(path) == pairs("a")
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize(("sql", "said"), [
    ("SELECT 'a' AS id, 'Hi' AS prompt, 1.0 AS quality", "lacks the columns group, model, usd, seconds"),
    ("SELECT * REPLACE ('good' AS quality) FROM '{good}'", "no outcomes table in Parquet: .*good"),
    ("SELECT * REPLACE (NULL AS model) FROM '{good}'", r"row 0 .id 'a'.: column 'model' is empty"),
])  # fmt: skip
def test_a_file_that_is_no_table_is_refused_with_what_it_lacks(tmp_path, sql, said):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    parquet.write(good, pairs("a"))
    duckdb.sql(f"COPY ({sql.format(good=good)}) TO '{bad}' (FORMAT parquet)")
    with pytest.raises(BadTable, match=said):
        parquet.read(bad)


def test_a_text_file_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "t.parquet").write_text("hello")
    with pytest.raises(BadTable, match="no outcomes table in Parquet"):
        parquet.read(tmp_path / "t.parquet")
    with pytest.raises(BadTable, match=r"no file .*waypost collect builtin"):
        parquet.read(tmp_path / "gone.parquet")


def test_a_table_of_one_model_can_be_stored_but_not_learned_from(tmp_path):
    parquet.write(tmp_path / "t.parquet", [row()])
    assert parquet.rows(tmp_path / "t.parquet") == [row()]
    with pytest.raises(BadTable, match="a choice needs at least 2"):
        parquet.read(tmp_path / "t.parquet")


def test_the_journal_beside_a_table_is_read_with_it_and_counts_more(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write(path, pairs("a"))
    with journal.Journal(path) as log:
        log.append(row("a", "m", quality=0.0))
        log.append(row("b", "m"))
        assert parquet.read(path).ids == ("a", "b")
        assert parquet.rows(path)[0].quality == 0.0


def test_a_torn_last_line_was_never_acknowledged(tmp_path):
    path = tmp_path / "t.parquet"
    with journal.Journal(path) as log:
        log.append(row("a"))
    with journal.beside(path).open("ab") as file:
        file.write(b'{"id": "torn')
    assert parquet.rows(path) == [row("a")]
    with journal.Journal(path) as log:  # the next row begins a line of its own
        log.append(row("b"))
    assert [r.id for r in parquet.rows(path)] == ["a", "b"]


@pytest.mark.parametrize("line", ["nonsense", '{"id": "a"}', "[]"])
def test_a_broken_line_in_the_middle_is_named(tmp_path, line):
    path = tmp_path / "t.parquet"
    with journal.Journal(path) as log:
        log.append(row("a"))
    with journal.beside(path).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadTable, match=r"t.parquet.journal:2: "):
        parquet.rows(path)


def test_an_empty_journal_is_removed_and_a_full_one_kept(tmp_path):
    path = tmp_path / "t.parquet"
    with journal.Journal(path) as log:
        log.append(row("a"))
    assert journal.beside(path).exists()
    with journal.Journal(path) as log:
        log.clear()
    assert not journal.beside(path).exists()


def test_only_one_process_collects_into_a_table(tmp_path):
    path = tmp_path / "t.parquet"
    code = f"from pathlib import Path; from waypost.outcomes.journal import Journal; Journal(Path({str(path)!r}))"
    with journal.Journal(path):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        with pytest.raises(BadInput, match="another process is collecting"):
            journal.Journal(path)
    assert other.returncode == 1 and "another process is collecting into this table" in other.stderr
