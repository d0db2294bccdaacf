"""The outcomes table on disk: long (one row a prompt and model), Parquet with ZSTD, written and read by DuckDB."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from waypost.errors import BadTable
from waypost.outcomes import journal
from waypost.outcomes.table import Outcomes
from waypost.types import Outcome

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The columns of `Outcome` in its order; a name or a type here is part of the file format.
COLUMNS = {
    "id": "VARCHAR",
    "prompt": "VARCHAR",
    "group": "VARCHAR",
    "model": "VARCHAR",
    "quality": "DOUBLE",
    "usd": "DOUBLE",
    "seconds": "DOUBLE",
    "tokens_in": "INTEGER",
    "tokens_out": "INTEGER",
    "answer": "VARCHAR",
    "finish": "VARCHAR",
    "logprob": "DOUBLE",
    "declined": "BOOLEAN",
    "reference": "VARCHAR",
    "scorer": "VARCHAR",
    "tokens_cached": "INTEGER",
    "tokens_written": "INTEGER",
    "tokens_reasoning": "INTEGER",
    "source": "VARCHAR",
}
# What tables of version 0.1 lack, and what stands for it.
_LATER = {"tokens_cached": "0", "tokens_written": "0", "tokens_reasoning": "0", "source": "''"}
_OPTIONAL = {"quality", "usd", "seconds", "logprob"}
_LISTS = ", ".join(f'unnest(?::{type_}[]) AS "{name}"' for name, type_ in COLUMNS.items())
_ROWS = f"CREATE TABLE rows AS SELECT {_LISTS}"
_WRITE = "COPY rows TO ? (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 9)"


def read(path: Path | str) -> Outcomes:
    """The table of a file, with the rows of a journal left beside it by a collection that was killed.

    Raises:
        BadTable: the file is missing, no Parquet, lacks a column, or holds what no table may (row and column named).
    """
    path = Path(path)
    if not path.is_file():
        raise BadTable(f"no file {path}; make one with: waypost collect builtin --out {path}")
    return Outcomes.from_rows(rows(path))


def rows(path: Path) -> list[Outcome]:
    """The rows of a table and of its journal in the order of id and model; none where there is neither.

    Raises:
        BadTable: as `read`, but for a table that is missing, empty or of one model only.
    """
    # The journal first: what moves from it into the table meanwhile is then seen twice, never lost.
    fresh = journal.read(path)
    return journal.rows_of(_stored(path) if path.is_file() else [], fresh)


def write(path: Path | str, table: Iterable[Outcome]) -> None:
    """Write rows as a file, in the order of id and model; the file is replaced at once or not at all."""
    import duckdb

    path = Path(path)
    columns = list(zip(*(_values(row) for row in journal.rows_of(list(table))), strict=True))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with duckdb.connect() as db:
            db.execute(_ROWS, [list(column) for column in columns] or [[] for _ in COLUMNS])
            db.execute(_WRITE, [str(draft)])
        _sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _stored(path: Path) -> list[Outcome]:
    import duckdb

    with duckdb.connect() as db:
        try:
            found = db.execute(_query(_columns(db, path)), [str(path)]).fetchall()
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            first = str(error).splitlines()[0]
            raise BadTable(f"{path} is no outcomes table in Parquet: {first}") from error
    return [_row(path, number, values) for number, values in enumerate(found)]


def _columns(db: DuckDBPyConnection, path: Path) -> set[str]:
    described = db.execute("SELECT name FROM parquet_schema(?)", [str(path)]).fetchall()
    names = {name for (name,) in described}
    if lacking := [name for name in COLUMNS if name not in names and name not in _LATER]:
        raise BadTable(f"{path} lacks the columns {', '.join(lacking)}; an outcomes table has {', '.join(COLUMNS)}")
    return names


def _query(there: set[str]) -> str:
    terms = ((name, f'"{name}"' if name in there else _LATER[name]) for name in COLUMNS)
    casts = ", ".join(f'CAST({term} AS {COLUMNS[name]}) AS "{name}"' for name, term in terms)
    return f"SELECT {casts} FROM read_parquet(?)"  # noqa: S608 - made of constants


def _row(path: Path, number: int, values: tuple[object, ...]) -> Outcome:
    named = dict(zip(COLUMNS, values, strict=True))
    for name, value in named.items():
        if value is None and name not in _OPTIONAL:
            raise BadTable(f"{path}: row {number} (id {named['id']!r}): column {name!r} is empty")
    return Outcome(**named)  # type: ignore[arg-type]  # the query casts every column to its type


def _values(row: Outcome) -> tuple[object, ...]:
    return tuple(getattr(row, field.name) for field in fields(row))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
