"""CSV files in the form that RouterBench published (arXiv 2403.12031): scores, answers and USD of every model.

Columns: ``sample_id, prompt, eval_name``, then for every model ``M`` the columns ``M`` (score 0..1),
``M|model_response`` and ``M|total_cost`` (USD of the query), and ``oracle_model_to_route_to``, which is not read.
A prompt or answer may be written as a Python list of strings; such text is parsed as a literal, never run.
"""

from __future__ import annotations

import ast
import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

from waypost.errors import BadTable
from waypost.outcomes.table import Outcomes
from waypost.types import Outcome

Row = dict[str, str]

_COST = "|total_cost"
_SURPLUS = "|surplus"
_ANSWER = "|model_response"
_NEEDED = ("sample_id", "prompt", "eval_name")
# The csv module stops at 131,072 characters a cell, which one long prompt with its examples can pass.
_CELL_LIMIT = 1 << 24


def read(path: Path, report: Callable[[str], None] = lambda _: None) -> Outcomes:
    """The table of one file, with its answers; the group is ``eval_name`` up to its first hyphen.

    An empty score or cost is missing.  Rows without any score are left out, and ``report`` says how many; a
    ``sample_id`` that stands for several prompts gets ``#2``, ``#3`` … after the first.

    Raises:
        BadTable: a column is missing or a number cannot be read; the sentence names the row.
    """
    csv.field_size_limit(_CELL_LIMIT)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restkey=_SURPLUS)
        try:
            models = _models(path, list(reader.fieldnames or ()))
            cells, empty, repeated = _cells(path, reader, models)
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadTable(f"{path}, line {reader.line_num}: it is not CSV in UTF-8: {error}") from error
    if empty:
        report(f"{path.name}: left out {len(empty)} rows without any score (row {_some(empty)})")
    if repeated:
        report(f"{path.name}: {len(repeated)} ids stood for a second prompt and were numbered ({_some(repeated)})")
    return Outcomes.from_rows(cells)


def literal(text: str) -> str:
    r"""The text of a cell; a Python list of strings is joined by newlines, anything else stays as it is.

    >>> literal("['first', 'second']"), literal("[1, 2]"), literal("Hi")
    ('first\nsecond', '[1, 2]', 'Hi')
    """
    if not text.startswith("["):
        return text
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    strings = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
    return "\n".join(parts) if strings else text


def _models(path: Path, columns: list[str]) -> list[str]:
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise BadTable(f"{path} has no column {lacking[0]!r}; the routerbench format needs {', '.join(_NEEDED)}")
    models = [name for name in columns if name + _COST in columns]
    if not models:
        raise BadTable(f"{path} has no model: a model 'M' needs a column 'M' with scores and one 'M{_COST}' in USD")
    return models


def _cells(path: Path, rows: Iterator[Row], models: list[str]) -> tuple[list[Outcome], list[int], list[str]]:
    """The measured cells, the numbers of rows without a score, and the ids that stood for a second prompt."""
    cells: list[Outcome] = []
    empty: list[int] = []
    repeated: list[str] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        where = f"{path}, row {number} (id {row['sample_id']!r})"
        if None in row.values() or _SURPLUS in row:
            raise BadTable(f"{where}: it has another number of cells than the header; check its quotes")
        if not any(row[model] for model in models):
            empty.append(number)
            continue
        name = row["sample_id"]
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            repeated.append(name)
            name = f"{name}#{seen[name]}"
        cells += _outcomes(where, name, row, models)
    return cells, empty, repeated


def _outcomes(where: str, name: str, row: Row, models: list[str]) -> list[Outcome]:
    prompt, group = literal(row["prompt"]), row["eval_name"].partition("-")[0]
    return [
        Outcome(
            id=name,
            prompt=prompt,
            group=group,
            model=model,
            quality=_number(where, model, row[model], 1.0),
            usd=_number(where, model + _COST, row[model + _COST], math.inf),
            seconds=None,
            answer=literal(row.get(model + _ANSWER, "")),
        )
        for model in models
    ]


def _number(where: str, column: str, text: str, high: float) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value <= high and math.isfinite(value)):
        allowed = "a number from 0 to 1" if high == 1 else "a finite number of USD, zero or more"
        raise BadTable(f"{where}, column {column!r}: {text!r} is not {allowed}; leave an unknown cell empty")
    return value


def _some(items: list[int] | list[str]) -> str:
    return ", ".join(map(str, items[:3])) + (", …" if len(items) > 3 else "")
