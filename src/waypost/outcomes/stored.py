"""A file of outcomes seen through DuckDB: one row a prompt and model, checked, and read into columns chunk by chunk.

Shape suffix: R rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from waypost.errors import BadTable
from waypost.outcomes.pivot import Pivot
from waypost.outcomes.recorded import NOTHING
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
_NUMBERS = ("quality", "usd", "seconds")
OPTIONAL = (*_NUMBERS, "logprob")
_CHUNK = 122_880  # rows at once: a group of DuckDB's, where the file's own are not smaller

_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_ROWS = f"SELECT {_NAMES} FROM stored ORDER BY number"  # noqa: S608 - made of constants
_GROUP = "SELECT max(row_group_num_rows) FROM parquet_metadata(?)"
_TAKE = """
    CREATE OR REPLACE TEMP TABLE chunk AS
    SELECT *, dense_rank() OVER (ORDER BY id) - 1 AS n FROM stored WHERE number >= ? AND number < ?"""
_PROMPTS = """
    SELECT min(number), id, prompt, arg_min("group", number), arg_min(source, number)
    FROM chunk GROUP BY n, id, prompt ORDER BY n, min(number)"""
# Of two rows of one cell the later counts.
_CELLS = """
    SELECT n, list_position(?, model) - 1 AS m, {columns}
    FROM chunk QUALIFY row_number() OVER (PARTITION BY id, model ORDER BY number DESC) = 1"""


class Stored:
    """A file's rows as the view ``stored`` of a database: every column there, of its type, without gaps."""

    def __init__(self, db: DuckDBPyConnection, path: Path) -> None:
        self._db, self._path = db, path
        self._file = escape(str(path))  # DuckDB takes a name for a pattern, which may match other files
        file = db.read_parquet(self._file, file_row_number=True)
        file.project(_casts(path, file.columns)).create_view("stored")
        if place := self._first({name: f'"{name}" IS NULL' for name in COLUMNS if name not in OPTIONAL}):
            raise BadTable(f"{self._row(place)}: column {place.column!r} is empty")

    def rows(self) -> list[Outcome]:
        """All rows, as they come in the file."""
        return [Outcome(*values) for values in self._db.execute(_ROWS).fetchall()]

    def pivot(self, fresh: Sequence[Outcome] = ()) -> Pivot:
        """The rows as columns, ``fresh`` ones counting more.

        Raises:
            BadTable: a number that is not finite, or one id for two prompts; the sentence names the row.
        """
        if place := self._first({name: f"NOT isfinite({name})" for name in _NUMBERS}):
            raise BadTable(
                f"{self._row(place)}: {place.column} is not finite; give a finite number, or leave the cell empty if "
                f"it was not measured"
            )
        ((rows, ids),) = self._db.execute("SELECT count(*), count(DISTINCT id) FROM stored").fetchall()
        pivot = Pivot(self._models(fresh), size=ids + len({row.id for row in fresh}))
        columns = ", ".join((*_NUMBERS, *self._telling()))
        ((group,),) = self._db.execute(_GROUP, [self._file]).fetchall()
        for start in range(0, rows, step := min(_CHUNK, group or 1)):
            self._db.execute(_TAKE, [start, start + step])
            place_of = np.array([pivot.place(*prompt) for prompt in self._db.execute(_PROMPTS).fetchall()], np.intp)
            cells = self._db.execute(_CELLS.format(columns=columns), [list(pivot.models)]).fetchnumpy()
            n_R, m_R = place_of[cells.pop("n")], cells.pop("m").astype(np.intp)
            pivot.put(n_R, m_R, {name: np.ma.filled(values_R, np.nan) for name, values_R in cells.items()})
        pivot.add(fresh)
        return pivot

    def _models(self, fresh: Sequence[Outcome]) -> list[str]:
        """The models in the order in which they come when rows are sorted by id and model."""
        first: dict[str, str] = dict(self._db.execute("SELECT model, min(id) FROM stored GROUP BY model").fetchall())
        for row in fresh:
            first[row.model] = min(row.id, first.get(row.model, row.id))
        return sorted(first, key=lambda model: (first[model], model))

    def _telling(self) -> list[str]:
        """The columns beside scores and costs that say something in some row."""
        values = {name: "NULL" if name in OPTIONAL else f"'{nothing}'" for name, nothing in NOTHING.items()}
        said = self._each({name: f"bool_or({name} IS DISTINCT FROM {value})" for name, value in values.items()})
        return [name for name, says in said.items() if says]

    def _first(self, conditions: Mapping[str, str]) -> _Place | None:
        """The first row that meets a condition, and the column of that."""
        found = self._each({name: f"min(number) FILTER (WHERE {term})" for name, term in conditions.items()})
        places = [_Place(number, column) for column, number in found.items() if number is not None]
        return min(places, default=None)

    def _each(self, terms: Mapping[str, str]) -> dict[str, Any]:
        (found,) = self._db.execute(f"SELECT {', '.join(terms.values())} FROM stored").fetchall()  # noqa: S608 - ours
        return dict(zip(terms, found, strict=True))

    def _row(self, place: _Place) -> str:
        ((name,),) = self._db.execute("SELECT id FROM stored WHERE number = ?", [place.number]).fetchall()
        return f"{self._path}: row {place.number} (id {name!r})"


class _Place(NamedTuple):
    number: int
    column: str


@contextmanager
def stored(path: Path) -> Iterator[Stored]:
    """A file, opened.

    Raises:
        BadTable: it is no Parquet, lacks a column, or has a cell that is empty or of another type.
    """
    import duckdb

    with duckdb.connect() as db:
        try:
            yield Stored(db, path)
        except duckdb.Error as error:
            raise BadTable(f"{path} is no outcomes table in Parquet: {str(error).splitlines()[0]}") from error


def _casts(path: Path, there: Sequence[str]) -> str:
    if lacking := [name for name in COLUMNS if name not in there and name not in _LATER]:
        raise BadTable(f"{path} lacks the columns {', '.join(lacking)}; an outcomes table has {', '.join(COLUMNS)}")
    terms = ((name, f'"{name}"' if name in there else _LATER[name]) for name in COLUMNS)
    casts = ", ".join(f'CAST({term} AS {COLUMNS[name]}) AS "{name}"' for name, term in terms)
    return f"{casts}, file_row_number AS number"
