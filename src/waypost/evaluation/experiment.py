"""The rows of an experiment: appended as they are computed, found again by all that they depend on."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, get_type_hints

import numpy as np
import orjson

from waypost.errors import BadInput, WaypostError
from waypost.evaluation.bootstrap import holm
from waypost.evaluation.compare import Comparison, Line

# What a row depends on: the same of all of these is the same row.
KEY = (
    "kind",
    "router",
    "parameters",
    "test",
    "data",
    "train",
    "split",
    "seed",
    "objective",
    "bootstrap",
    "version",
    "commit",
)
_START = f'{{"{KEY[0]}":'.encode()  # of each row
_FACTS = ("n", "complete", "clusters", "resamples", "best_single", "best_single_in_training", "cheapest")

Row = Mapping[str, Any]


class Rows:
    """The rows in a file of one JSON object a line; without a path they are kept in memory only.

    A row is its key (the fields of `KEY`) and its figures.  A torn last line, left by a run that was killed, is cut
    off where rows stand above it; ``mended`` says so.  Several processes may append to one file.

    Raises:
        BadInput: a folder, or a file of something else, which is left as it is.

    >>> rows, key = Rows(), dict.fromkeys(KEY, "")
    >>> rows.find(key) is None
    True
    >>> rows.append(key, {"gain": 0.1})
    >>> rows.find(key)["gain"]
    0.1
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None and path.is_dir():
            raise BadInput(f"{path} is a folder; name a file for the rows, such as {path / 'rows.jsonl'}")
        self.path = path
        rows, self.mended = _read(path) if path is not None and path.is_file() else ([], False)
        self._rows: dict[bytes, Row] = {_identity(row): row for row in rows}

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, key: Row) -> Row | None:
        """The row of a key, or None where it has to be computed."""
        return self._rows.get(_identity(key))

    def append(self, key: Row, figures: Row) -> None:
        """Keep a row; when this returns it is on disk."""
        line = orjson.dumps({**key, **figures}, option=orjson.OPT_SERIALIZE_NUMPY)
        self._rows[_identity(key)] = orjson.loads(line)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path, "ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())


def figures(found: Comparison, line: Line) -> dict[str, Any]:
    """What a row says of a line of a comparison, beside its key.

    Of what was asked, which must have been asked alone, ``zero`` is the zero router's line at the same cost.
    """
    zero = found.line("zero", "bound") if line.kind == "asked" and found.zero_at else None
    return {
        **_figures(line),
        "comparison": {name: getattr(found, name) for name in _FACTS},
        "zero": None if zero is None else _figures(zero),
    }


def comparison(rows: Iterable[Row]) -> Comparison:
    """The comparison that the rows of one test and one run make up.

    The resamples of the rows are not kept, so the p-values of what was asked are corrected by Holm's rule.

    >>> from waypost.evaluation import compare
    >>> from waypost.outcomes import example_table
    >>> found = compare(example_table(50), {}, resamples=50)
    >>> rows = [{"kind": line.kind, "router": line.name, **figures(found, line)} for line in found.lines]
    >>> comparison(rows).line("tiny") == found.line("tiny")
    True
    """
    listed = list(rows)
    asked = [row for row in listed if row["kind"] == "asked"]
    beside = [row for row in listed if row["kind"] != "asked"]
    p_K = holm(np.array([math.nan if row["p"] is None else row["p"] for row in asked]))
    lines = [replace(_line(row), p_adjusted=float(p)) for row, p in zip(asked, p_K, strict=True)]
    lines += [_line(row) for row in beside if row["kind"] == "model"]
    lines += [_line(row) for row in beside if row["router"] == "chance"]
    best = max((row for row in asked if row["zero"]), key=lambda row: row["quality"], default=None)
    if best is not None:
        lines.append(_line({**best["zero"], "kind": "bound", "router": "zero"}))
    lines += [_line(row) for row in beside if row["router"] == "oracle"]
    facts = beside[0]["comparison"]
    return Comparison(**facts, zero_at=None if best is None else best["router"], lines=tuple(lines))


@contextmanager
def blamed(router: str, test: str) -> Iterator[None]:
    """Let an error of what is measured end the run, and say where it came from.

    Raises:
        BadInput: in place of an error that Waypost raised on purpose, with the router and the test in its sentence.

    >>> with blamed("knn", "mmlu"):
    ...     raise BadInput("it has no models")
    Traceback (most recent call last):
    waypost.errors.BadInput: knn on mmlu: it has no models
    """
    try:
        yield
    except WaypostError as error:
        raise BadInput(f"{router} on {test}: {error}") from error
    except Exception as error:
        error.add_note(f"while measuring {router} on {test}")
        raise


def _identity(row: Row) -> bytes:
    return orjson.dumps([row[name] for name in KEY], option=orjson.OPT_SORT_KEYS)


def _read(path: Path) -> tuple[list[Row], bool]:
    """The rows of a file, and whether a torn last line was cut off, which the next row would have continued."""
    with _locked(path, "rb+") as file:
        text = file.read()
        whole, end, torn = text.rpartition(b"\n")
        rows = [_row(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]
        if torn and not (rows and _START.startswith(torn[: len(_START)])):
            raise BadInput(f"{path} does not end like a file of rows; mend its last line, or choose another --out file")
        file.truncate(len(whole + end))
    return rows, bool(torn)


@contextmanager
def _locked(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """A file that no other process reads or writes meanwhile; what one appends is no torn line to another."""
    with path.open(mode) as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"{path}:{number}: this line is no row: {error}; mend it, or choose another --out file"
        ) from error
    if lacking := [name for name in KEY if not isinstance(row, dict) or name not in row]:
        raise BadInput(f"{path}:{number}: a row of an experiment has a '{lacking[0]}'; choose another --out file")
    return dict(row)


def _value(value: Any, hint: Any) -> Any:
    if hint is float:
        return math.nan if value is None else value
    if isinstance(value, list):
        return tuple(math.nan if end is None else end for end in value)
    return value


def _figures(line: Line) -> dict[str, Any]:
    return {name: value for name, value in asdict(line).items() if name not in ("kind", "name")}


def _line(row: Row) -> Line:
    """The line of a row; a number that was missing is NaN again."""
    hints = get_type_hints(Line)
    values = {"name": row["router"], **{name: row[name] for name in hints if name != "name"}}
    return Line(**{name: _value(value, hints[name]) for name, value in values.items()})
