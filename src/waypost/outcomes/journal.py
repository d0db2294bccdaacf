"""Rows that must survive a kill: one line of JSON a row beside the table, on disk before it is acknowledged."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Self

from waypost.errors import BadInput, BadTable
from waypost.types import Outcome

_FIELDS = {field.name for field in fields(Outcome)}
_LATER = {"tokens_cached", "tokens_written", "tokens_reasoning", "source"}  # journals of version 0.1 lack these


def beside(table: Path) -> Path:
    """Where a table's journal lies.

    >>> beside(Path("outcomes.parquet")).name
    'outcomes.parquet.journal'
    """
    return table.with_name(table.name + ".journal")


def read(table: Path) -> list[Outcome]:
    """The rows in a table's journal; a torn last line, which was never acknowledged, is left out.

    Raises:
        BadTable: a line that is complete and yet no row.
    """
    path = beside(table)
    if not path.is_file():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [_row(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]


class Journal:
    """The journal of one table, open for writing; only one process may hold it.

    Raises:
        BadInput: another process is writing to the same table.
    """

    def __init__(self, table: Path) -> None:
        self.path = beside(table)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab")
        _lock(self._file, self.path)
        _mend(self._file)

    def append(self, row: Outcome) -> None:
        """Write a row; when this returns it is on disk."""
        self._file.write(json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def clear(self) -> None:
        """Forget the rows, once they are in the table itself."""
        self._file.truncate(0)

    def close(self) -> None:
        """Let go of the journal, and remove it if nothing is in it."""
        if self.path.stat().st_size == 0:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(file: IO[bytes], path: Path) -> None:
    if sys.platform == "win32":  # where a file that is open elsewhere cannot be removed under its writer
        return
    import fcntl

    taken = BadInput(f"another process is collecting into this table ({path}); wait for it, or choose another --out")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise taken from None
    # The other may have finished between our opening and our locking, and have removed the file we hold.
    if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
        file.close()
        raise taken


def _mend(file: IO[bytes]) -> None:
    """Cut off a torn last line, so that the next row does not continue it."""
    with Path(file.name).open("rb") as whole:
        text = whole.read()
    kept = text.rfind(b"\n") + 1
    if kept < len(text):
        file.truncate(kept)


def _row(path: Path, number: int, line: bytes) -> Outcome:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise BadTable(f"{path}:{number}: this line is no row: {error}; remove the line to go on") from error
    if not isinstance(values, dict) or not _FIELDS - _LATER <= set(values) <= _FIELDS:
        raise BadTable(f"{path}:{number}: a row has the fields {', '.join(sorted(_FIELDS))}; remove the line to go on")
    return Outcome(**values)


def rows_of(*parts: Iterator[Outcome] | list[Outcome]) -> list[Outcome]:
    """Rows in the order of their id and model; of two rows of one cell the later counts."""
    cells = {(row.id, row.model): row for part in parts for row in part}
    return [cells[cell] for cell in sorted(cells)]
