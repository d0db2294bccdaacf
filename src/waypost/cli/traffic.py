"""What came in lately, read for drift: prompts, an outcomes table, or the decisions of a gateway's store."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.cli import output
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.objective import Objective
    from waypost.outcomes.drift import Traffic

_NAMES = ("prompt", "question", "query", "text", "input", "messages")
_SQLITE = b"SQLite format 3\0"


def is_store(path: Path) -> bool:
    """Whether a file is SQLite's.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error


def decided(path: Path, objective: Objective) -> Traffic:
    """The decisions of a gateway's store that were made by a trade-off; others are counted and left out.

    Raises:
        BadInput: the file holds no decisions, or none by that trade-off.
    """
    import numpy as np
    import orjson

    from waypost.outcomes.drift import Traffic

    query = "SELECT chosen, predictions, weights, prompt FROM decisions ORDER BY time"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise BadInput(f"{path} is no store of waypost serve: {error}") from error
    kept = [(chosen, orjson.loads(p), prompt) for chosen, p, w, prompt in rows if orjson.loads(w) == objective.weights]
    if len(kept) < len(rows):
        output.say(f"{len(rows) - len(kept)} of {len(rows)} decisions were made by another trade-off, or by the client")
    if not kept:
        raise BadInput(f"{path} has no decision by the calibrated trade-off {objective.weights}")
    models = sorted({model for _, predictions, _ in kept for model in predictions})
    quality = [[predictions.get(m, {}).get("quality", np.nan) for m in models] for _, predictions, _ in kept]
    lengths = [np.nan if prompt is None else len(prompt) for _, _, prompt in kept]
    # Of a prompt that was not kept nobody can tell whether it is a copy.
    same = [hash(row if prompt is None else prompt) for row, (_, _, prompt) in enumerate(kept)]
    quality_NM = np.array([[np.nan if q is None else q for q in row] for row in quality], dtype=np.float64)
    return Traffic.of([chosen for chosen, _, _ in kept], quality_NM, lengths, same)


def prompts(path: Path, format: str) -> tuple[str, ...]:
    """The prompts of a log: JSONL or CSV with a column such as ``prompt``, or a table in one of our formats.

    Raises:
        BadInput: no prompts are found; the sentence names the line.
    """
    from waypost.outcomes import readers

    if format == "waypost" and path.suffix in (".jsonl", ".ndjson", ".csv"):
        rows = _csv(path) if path.suffix == ".csv" else _jsonl(path)
        found = tuple(_prompt(row, f"{path}:{line}") for line, row in rows)
    else:
        found = readers.read(format, [path], output.say)[0].prompts
    if not found:
        raise BadInput(f"{path} has no prompts")
    return found


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from enumerate(csv.DictReader(file), 2)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is no CSV file in UTF-8: {error}") from error


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    import orjson

    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield number, orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise BadInput(f"{path}:{number}: this is not JSON: {error}") from error


def _prompt(row: Any, where: str) -> str:
    from waypost.types import Query

    if isinstance(row, str):
        return row
    name = next((name for name in _NAMES if isinstance(row, Mapping) and row.get(name) is not None), None)
    if name is None:
        raise BadInput(f"{where}: no prompt; a line is a text, or has one of the fields {', '.join(_NAMES)}")
    if name == "messages" and isinstance(row[name], list):
        return Query(tuple(message for message in row[name] if isinstance(message, Mapping))).text
    return str(row[name])
