"""Files of records, whatever their kind: CSV, JSON, JSON Lines and Parquet, told apart by content."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from waypost.errors import BadTable

Record = dict[str, Any]

SURPLUS = "|surplus"
# The csv module stops at 131,072 characters a cell, which one long prompt with its examples can pass.
_CELL_LIMIT = 1 << 24
_HEAD = 1 << 20
_BATCH = 1000


class Head(NamedTuple):
    """What a file begins with: its kind, the names in its first record, and the first bytes."""

    kind: str
    names: tuple[str, ...]
    start: bytes

    def has(self, *names: str) -> bool:
        """Whether the first record has all these names."""
        return set(names) <= set(self.names)


def head(path: Path) -> Head:
    """The kind of a file (``csv``, ``json``, ``jsonl``, ``parquet`` or ``pickle``) and the names in its first record.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_HEAD)
    kind = _kind(path, start)
    if kind == "parquet":
        return Head(kind, tuple(_parquet_names(path)), start)
    if kind == "pickle":
        return Head(kind, (), start)
    begin = start.decode("utf-8-sig", errors="replace")
    names = _csv_names(begin) if kind == "csv" else _json_names(begin)
    return Head(kind, tuple(names), start)


def records(path: Path, max_bytes: int) -> Iterator[tuple[str, Record]]:
    """The records of a file, each with its place; CSV, JSON Lines and Parquet are read piece by piece.

    Raises:
        BadTable: the file is not what it seems, or JSON in one piece above ``max_bytes``; names the line or row.
    """
    with path.open("rb") as file:
        kind = _kind(path, file.read(_HEAD))
    if kind == "pickle":
        raise BadTable(f"{path} is a pickle; only the formats routerbench and routereval have any")
    try:
        if kind == "csv":
            yield from _csv(path)
        elif kind == "parquet":
            yield from _parquet(path)
        elif kind == "jsonl":
            yield from _lines(path)
        else:
            yield from _listed(path, max_bytes)
    except UnicodeDecodeError as error:
        raise BadTable(f"{path} is not {kind.upper()} in UTF-8: {error}") from error


def whole(path: Path, max_bytes: int) -> Any:
    """The value of a JSON file.

    Raises:
        BadTable: it is no JSON, or above ``max_bytes``.
    """
    if (size := path.stat().st_size) > max_bytes:
        raise BadTable(f"{path} has {size:,} bytes of JSON in one piece and the limit is {max_bytes:,} (--max-bytes)")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadTable(f"{path} is not JSON: {error}") from error


def short_id(*texts: str) -> str:
    """A short name made of texts, the same in every run.

    >>> short_id("What is 2 + 2?") == short_id("What is 2 + 2?")
    True
    """
    return hashlib.blake2b("\0".join(texts).encode(errors="surrogatepass"), digest_size=8).hexdigest()


def text(value: Any) -> str:
    """A cell as text; an empty one is none."""
    return "" if value is None else str(value)


def _kind(path: Path, start: bytes) -> str:
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"\x80") or path.suffix in (".pkl", ".pickle"):
        return "pickle"
    begin = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin.startswith(b"["):
        return "json"
    if not begin.startswith(b"{"):
        return "csv"
    first, newline, rest = begin.partition(b"\n")
    if newline and rest.strip():
        return "jsonl" if first.rstrip().endswith(b"}") else "json"
    return "json" if path.suffix == ".json" else "jsonl"


def _json_names(begin: str) -> list[str]:
    at = begin.find("{")
    try:
        first = json.JSONDecoder().raw_decode(begin, at)[0] if at >= 0 else None
    except (ValueError, RecursionError):
        return []
    if isinstance(first, dict) and isinstance(first.get("data"), list) and first["data"]:
        first = first["data"][0]
    return list(first) if isinstance(first, dict) else []


def _csv_names(begin: str) -> list[str]:
    try:
        return next(csv.reader(begin.splitlines(keepends=True)), [])
    except csv.Error:
        return []


def _csv(path: Path) -> Iterator[tuple[str, Record]]:
    csv.field_size_limit(_CELL_LIMIT)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restkey=SURPLUS)
        try:
            names = Counter(name for name in reader.fieldnames or () if name)
            if names and names.most_common(1)[0][1] > 1:
                raise BadTable(f"{path} has two columns {names.most_common(1)[0][0]!r}; which one is meant?")
            for number, row in enumerate(reader):
                if None in row.values() or SURPLUS in row:
                    raise BadTable(
                        f"{path}, row {number}: it has another number of cells than the header; check its quotes"
                    )
                yield f"{path}, row {number}", row
        except csv.Error as error:
            raise BadTable(f"{path}, line {reader.line_num}: it is not CSV: {error}") from error


def _lines(path: Path) -> Iterator[tuple[str, Record]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadTable(f"{path}:{number}: this is not JSON: {error}") from error
            yield f"{path}:{number}", _record(f"{path}:{number}", record)


def _listed(path: Path, max_bytes: int) -> Iterator[tuple[str, Record]]:
    rows = whole(path, max_bytes)
    if isinstance(rows, dict):
        rows = rows["data"] if isinstance(rows.get("data"), list) else [rows]
    for number, record in enumerate(rows):
        yield f"{path}, row {number}", _record(f"{path}, row {number}", record)


def _record(where: str, value: Any) -> Record:
    if not isinstance(value, dict):
        raise BadTable(f"{where}: a record must be a JSON object, got {str(value)[:40]!r}")
    return value


def _parquet(path: Path) -> Iterator[tuple[str, Record]]:
    import duckdb

    with duckdb.connect() as db:
        try:
            found = db.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [column[0] for column in found.description or ()]
            number = 0
            while batch := found.fetchmany(_BATCH):
                for row in batch:
                    yield f"{path}, row {number}", dict(zip(names, row, strict=True))
                    number += 1
        except duckdb.Error as error:
            raise BadTable(f"{path} is no Parquet: {str(error).splitlines()[0]}") from error


def _parquet_names(path: Path) -> list[str]:
    import duckdb

    with duckdb.connect() as db:
        try:
            found = db.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(path)])
        except duckdb.Error:
            return []
        return [column[0] for column in found.description or ()]
