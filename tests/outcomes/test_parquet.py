"""The table on disk: what goes in comes out, files are replaced whole, and others' files are refused with reason."""

import subprocess
import sys
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput, BadTable
from waypost.outcomes import Outcomes, example_table, journal, parquet, stored
from waypost.types import Outcome

UNIT = st.floats(0, 1)
MONEY = st.none() | st.floats(0, 1e6)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
ROWS = st.lists(
    st.builds(
        Outcome, id=TEXT, prompt=TEXT, group=TEXT, model=TEXT, quality=st.none() | UNIT, usd=MONEY, seconds=MONEY,
        tokens_in=st.integers(0, 10**6), tokens_out=st.integers(0, 10**6), answer=TEXT, finish=TEXT,
        logprob=st.none() | st.floats(-100, 0), declined=st.booleans(), reference=TEXT, scorer=TEXT, source=TEXT,
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


@settings(max_examples=25, deadline=None)  # each writes two files
@given(rows=ROWS, data=st.data())
def test_a_table_goes_through_a_file_however_small_the_blocks(tmp_path_factory, rows, data):
    cells = {(each.id, each.model): each for each in [row(model="m"), row(model="n", answer="Hello"), *rows]}
    scored = {each.model for each in cells.values() if each.quality is not None}  # no table has other models
    first = {}
    told = [replace(each, **first.setdefault(each.id, shared(each))) for each in cells.values() if each.model in scored]
    table = Outcomes.from_rows(told)
    folder = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "_CHUNK", data.draw(st.integers(1, 5)))
        patch.setattr(parquet, "_BLOCK", data.draw(st.integers(1, 5)))
        parquet.write(folder / "wide.parquet", table)
        parquet.write(folder / "long.parquet", table.rows())
        assert (folder / "wide.parquet").read_bytes() == (folder / "long.parquet").read_bytes()
        found = parquet.read(folder / "wide.parquet")
    expected = sorted(table.rows(), key=lambda each: (each.id, each.model))
    assert found.fingerprint == Outcomes.from_rows(expected).fingerprint
    assert sorted(found.rows(), key=lambda each: (each.id, each.model)) == expected


def shared(row):
    return {"prompt": row.prompt, "group": row.group, "source": row.source}


def test_a_file_in_any_order_is_read_in_that_of_ids_and_its_later_rows_count_more(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "_CHUNK", 2)
    table = example_table(30)
    parquet.write(tmp_path / "t.parquet", table)
    again = f"(SELECT * REPLACE (0.25 AS quality) FROM '{tmp_path}/t.parquet' WHERE id = 'example-7')"
    mixed = f"FROM '{tmp_path}/t.parquet' ORDER BY hash(prompt || model)"
    duckdb.sql(f"COPY (SELECT * FROM ({mixed}) UNION ALL {again}) TO '{tmp_path}/mixed.parquet' (FORMAT parquet)")
    found = parquet.read(tmp_path / "mixed.parquet")
    assert found.ids == tuple(sorted(table.ids)) and found.models == tuple(sorted(table.models))
    kept = [n for n, name in enumerate(found.ids) if name != "example-7"]
    whole = parquet.read(tmp_path / "t.parquet")
    assert found.select(kept).fingerprint == whole.select(kept).fingerprint
    assert found.quality_NM[found.ids.index("example-7")].tolist() == [0.25] * 3


@pytest.mark.parametrize(("change", "said"), [
    ("quality = 'nan'", r"row 3 .id 'b'.: quality is not finite"),
    ("usd = 'inf'", r"row 3 .id 'b'.: usd is not finite"),
    ("prompt = 'other'", r"row 3: id 'b' stands for two different prompts"),
    ("quality = 3", r"row 1 .id 'b'., model 'n': quality is 3.0, it must be between 0 and 1"),
])  # fmt: skip
def test_what_no_table_may_hold_is_refused_with_its_place(tmp_path, monkeypatch, change, said):
    monkeypatch.setattr(stored, "_CHUNK", 1)
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    parquet.write(good, pairs("a", "b"))
    duckdb.sql(f"CREATE OR REPLACE TABLE changed AS FROM '{good}'")
    duckdb.sql(f"UPDATE changed SET {change} WHERE id = 'b' AND model = 'n'")
    duckdb.sql(f"COPY changed TO '{bad}' (FORMAT parquet)")
    with pytest.raises(BadTable, match=said):
        parquet.read(bad)


def test_two_prompts_of_one_id_are_not_written_over_each_other(tmp_path):
    table = Outcomes.concat([example_table(10), example_table(10, seed=1)])
    with pytest.raises(BadTable, match="id 'example-0' stands for rows 0 and 10; ids must be unique in a file"):
        parquet.write(tmp_path / "t.parquet", table)
    assert not list(tmp_path.iterdir())


def test_rows_with_long_texts_are_packed_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 1 << 16)
    long = [row(f"{n:04}", model, answer="x" * 100) for n in range(1500) for model in ("m", "n")]
    parquet.write(tmp_path / "t.parquet", long)
    sizes = duckdb.sql(f"SELECT DISTINCT row_group_num_rows FROM parquet_metadata('{tmp_path}/t.parquet')").fetchall()
    assert max(sizes) == (2048,)
    assert parquet.read(tmp_path / "t.parquet").answer(1499, "n").text == "x" * 100


def test_half_a_character_cannot_be_written_and_is_named(tmp_path):
    table = Outcomes.from_rows([row(model="m", answer="a\udcff"), row(model="n")])
    for either in (table, table.rows()):
        with pytest.raises(BadTable, match=r"t.parquet cannot be written: .*udcff.*; mend that text"):
            parquet.write(tmp_path / "t.parquet", either)
    assert not list(tmp_path.iterdir())


def test_a_name_is_a_name_and_no_pattern(tmp_path):
    """DuckDB reads ``*?[`` as a pattern, and read another file that matches it."""
    folder = tmp_path / "data[1]"
    for place, name in enumerate(("table_[a].parquet", "table_a.parquet", "table_*.parquet", "table_?.parquet")):
        parquet.write(folder / name, example_table(20 + place))
    for place, name in enumerate(("table_[a].parquet", "table_a.parquet", "table_*.parquet", "table_?.parquet")):
        assert len(parquet.read(folder / name)) == 20 + place


def test_a_damaged_footer_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "table.parquet"
    parquet.write(path, example_table(60))
    whole = path.read_bytes()
    for step in (7, 11, 13):
        damaged = bytearray(whole)
        for place in range(len(whole) - 2000, len(whole) - 8, step):
            damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(BadTable, match=r"table.parquet is no outcomes table in Parquet: "):
            parquet.read(path)
