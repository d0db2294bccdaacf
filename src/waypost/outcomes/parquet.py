"""The outcomes table on disk: long (one row a prompt and model), Parquet with ZSTD, written and read by DuckDB.

A table may be larger than memory is as rows, so it is read into columns and written from them, block by block.
Shape suffixes: N prompts, M models, R rows of a block.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadTable
from waypost.outcomes import journal
from waypost.outcomes.recorded import NOTHING, Column, Recorded
from waypost.outcomes.stored import COLUMNS, OPTIONAL, stored
from waypost.outcomes.table import Outcomes
from waypost.types import Outcome

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BLOCK = 10_000  # prompts, or rows, that are written at once
_CREATE = "CREATE TABLE rows (" + ", ".join(f'"{name}" {type_}' for name, type_ in COLUMNS.items()) + ")"
_LISTS = ", ".join(f"unnest(?::{type_}[])" for type_ in COLUMNS.values())
_VALUES = ", ".join(f"nullif({name}, 'nan')" if name in OPTIONAL else f'"{name}"' for name in COLUMNS)
_TEXT = "SELECT avg(strlen(prompt) + strlen(answer) + strlen(reference)) FROM rows"
_WRITE = "COPY rows TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 9, ROW_GROUP_SIZE {size})"
# A group of rows is packed, and unpacked, in memory as a whole: as many as DuckDB's own, fewer where texts are long.
_GROUP_ROWS, _GROUP_BYTES = (2048, 122_880), 1 << 25
# What waits to be written lies on disk, so that memory holds little of it however long it gets.
_WAITING: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "1GB", "threads": 1}


def read(path: Path | str) -> Outcomes:
    """The table of a file, with the rows of a journal left beside it by a collection that was killed.

    Prompts come in the order of their ids.

    Raises:
        BadTable: the file is missing, no Parquet, lacks a column, or holds what no table may (row and column named).
    """
    path = Path(path)
    if not path.is_file():
        raise BadTable(f"no file {path}; make one with: waypost collect builtin --out {path}")
    fresh = journal.read(path)  # before the table: what moves into it meanwhile is then seen twice, never lost
    with stored(path) as file:
        pivot = file.pivot(fresh)
    table = Outcomes(**pivot.parts())
    if all(one < other for one, other in pairwise(table.ids)):
        return table
    return table.select(_by_name(table.ids))


def rows(path: Path) -> list[Outcome]:
    """The rows of a table and of its journal in the order of id and model; none where there is neither.

    Raises:
        BadTable: as `read`, but for a table that is missing, empty or of one model only.
    """
    fresh = journal.read(path)
    if not path.is_file():
        return journal.rows_of(fresh)
    with stored(path) as file:
        return journal.rows_of(file.rows(), fresh)


def write(path: Path | str, table: Outcomes | Iterable[Outcome]) -> None:
    """Write a table as a file, in the order of id and model; the file is replaced at once or not at all.

    Raises:
        BadTable: two prompts of a table have the same id, or a text holds half a character.
    """
    import duckdb

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".waypost.", dir=path.parent) as folder:
        draft = Path(folder, path.name)
        with duckdb.connect(str(Path(folder, "rows")), config=_WAITING) as db:
            db.execute("PRAGMA force_compression='uncompressed'")
            db.execute(_CREATE)
            try:
                _insert(db, table)
            except duckdb.InvalidInputException as error:
                raise BadTable(f"{path} cannot be written: {str(error).splitlines()[0]}; mend that text") from error
            ((text,),) = db.execute(_TEXT).fetchall()
            size = int(np.clip(_GROUP_BYTES / (text or 1), *_GROUP_ROWS))
            db.execute(_WRITE.format(path=str(draft).replace("'", "''"), size=size))
        _sync(draft)
        draft.replace(path)


def _insert(db: DuckDBPyConnection, table: Outcomes | Iterable[Outcome]) -> None:
    if isinstance(table, Outcomes):
        _insert_wide(db, table)
    else:
        _insert_rows(db, journal.rows_of(list(table)))


def _insert_rows(db: DuckDBPyConnection, rows: Sequence[Outcome]) -> None:
    for start in range(0, len(rows), _BLOCK):
        lists = [list(column) for column in zip(*map(astuple, rows[start : start + _BLOCK]), strict=True)]
        db.execute(f"INSERT INTO rows SELECT {_LISTS}", lists)


def _insert_wide(db: DuckDBPyConnection, table: Outcomes) -> None:
    order_N = _by_name(table.ids)
    for one, other in pairwise(order_N.tolist()):
        if table.ids[one] == table.ids[other]:
            raise BadTable(f"id {table.ids[one]!r} stands for rows {one} and {other}; ids must be unique in a file")
    for start in range(0, len(table), _BLOCK):
        db.register("block", _long(table, order_N[start : start + _BLOCK]))
        db.execute(f"INSERT INTO rows SELECT {_VALUES} FROM block")  # noqa: S608 - made of constants
        db.unregister("block")


def _long(table: Outcomes, index_N: NDArray[np.intp]) -> dict[str, Column]:
    """The recorded or scored cells of some prompts, as whole columns in the order of prompt and model."""
    by_name_M = _by_name(table.models)
    recorded = (table.recorded or Recorded(np.array([[False]]), {})).select(index_N).only(by_name_M)
    numbers = {name: getattr(table, f"{name}_NM")[np.ix_(index_N, by_name_M)] for name in ("quality", "usd", "seconds")}
    n_R, m_R = np.nonzero(recorded.there_nm | ~np.isnan(numbers["quality"]))
    texts = {"id": table.ids, "prompt": table.prompts, "group": table.groups, "source": table.sources}
    wide = {name: np.broadcast_to(recorded[name], numbers["quality"].shape) for name in NOTHING}
    return {
        **{name: np.array([column[n] for n in index_N.tolist()], dtype=object)[n_R] for name, column in texts.items()},
        "model": np.array(table.models, dtype=object)[by_name_M][m_R],
        **{name: column[n_R, m_R] for name, column in (numbers | wide).items()},
    }


def _by_name(names: Sequence[str]) -> NDArray[np.intp]:
    return np.argsort(np.array(names, dtype=object), kind="stable")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
