"""Tables in the form that RouterBench published (arXiv 2403.12031): scores, answers and USD of every model.

A file is CSV, or the pickle of a data frame (``routerbench_0shot.pkl``, ``routerbench_5shot.pkl``,
``routerbench_raw.pkl``), which is decoded and never unpickled.  The columns are

- wide: ``sample_id, prompt, eval_name``, then for every model ``M`` the columns ``M`` (score 0..1),
  ``M|model_response`` and ``M|total_cost`` (USD of the query), of which one may be missing.  A column of numbers with
  neither beside it may be anything; like ``oracle_model_to_route_to`` it is not read, and a note names it.
- long: ``sample_id, prompt, eval_name, model_name``, ``performance`` (score 0..1), ``cost`` (USD) and
  ``model_response``, one row a model.

A prompt or answer may be written as a Python list of strings; such text is parsed as a literal, never run.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from waypost.errors import BadTable
from waypost.outcomes.readers import _frames, _pickle
from waypost.outcomes.readers._files import Head, Record, head, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_COST = "|total_cost"
_ANSWER = "|model_response"
_NEEDED = ("sample_id", "prompt", "eval_name")
_NEVER = ("", "Unnamed: 0", "oracle_model_to_route_to")  # the numbers of rows, and a choice between the models
_LONG = ("model_name", "performance")
# A string of a list, as Python writes it, with the comma or the bracket after it.
_ESCAPE = r"""\\(?:[\\'"abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})"""
_STRING = rf"""'(?:[^'\\\n]++|{_ESCAPE})*+'|"(?:[^"\\\n]++|{_ESCAPE})*+\""""
_PART = re.compile(rf"\s*+({_STRING})\s*+(,|\]\s*+\Z)")


def fits(found: Head) -> bool:
    """Whether a file begins like one of RouterBench's."""
    if found.kind == "pickle":
        return b"DataFrame" in found.start[:4096]
    return found.kind == "csv" and found.has(*_NEEDED)


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file; the group is ``eval_name`` up to its first hyphen.

    An empty score or cost is missing; rows without any score are left out.

    Raises:
        BadTable: a column is missing or a number cannot be read; the sentence names the row.
    """
    columns, found = _pickled(path, intake) if head(path).kind == "pickle" else _written(path, intake)
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise BadTable(f"{path} has no column {lacking[0]!r}; the routerbench format needs {', '.join(_NEEDED)}")
    if all(name in columns for name in _LONG):
        return (one for where, row in found for one in _one(where, row, intake))
    models = [name for name in columns if name + _COST in columns or name + _ANSWER in columns]
    if not models:
        raise BadTable(
            f"{path} has no model: a model 'M' needs a column 'M' with scores and one 'M{_COST}' in USD, which may be "
            f"empty"
        )
    read = {model + part for model in models for part in ("", _COST, _ANSWER)}.union(_NEEDED, _NEVER)
    if unread := [name for name in columns if name not in read]:
        intake.note(
            f"{path.name}: columns that are not read: {', '.join(unread)} (a model 'M' has 'M{_COST}' or 'M{_ANSWER}' "
            f"beside it)"
        )
    return (one for where, row in found for one in _several(where, row, models, intake))


def literal(cell: str) -> str:
    r"""The text of a cell; a Python list of strings is joined by newlines, anything else stays as it is.

    >>> literal("['first', 'second']"), literal("[1, 2]"), literal("Hi")
    ('first\nsecond', '[1, 2]', 'Hi')
    """
    if not cell.startswith(("['", '["')):
        return cell
    parts, at = [], 1
    while found := _PART.match(cell, at):
        parts.append(_unescaped(found[1][1:-1]))
        at = found.end()
        if found[2] != ",":
            return "\n".join(parts)
    return cell


def _unescaped(written: str) -> str:
    """What a string stands for, given what is between its quotes."""
    return (
        codecs.decode(written.encode("latin-1", "backslashreplace"), "unicode_escape") if "\\" in written else written
    )


def _written(path: Path, intake: Intake) -> tuple[list[str], Iterator[tuple[str, Record]]]:
    return list(head(path).names), records(path, intake.max_bytes)


def _pickled(path: Path, intake: Intake) -> tuple[list[str], Iterator[tuple[str, Record]]]:
    node = _pickle.load(path, intake.max_bytes)
    try:
        columns = _frames.columns(node)
    except BadTable as error:
        raise BadTable(f"{path}: {error}") from error
    values = zip(*columns.values(), strict=True)
    return list(columns), ((f"{path}, row {n}", dict(zip(columns, row, strict=True))) for n, row in enumerate(values))


def _several(where: str, row: Record, models: list[str], intake: Intake) -> Iterator[Outcome]:
    name, where = row["sample_id"], f"{where} (id {row['sample_id']!r:.80})"
    if all(row[model] in ("", None) for model in models):
        intake.drop("the row has no score", where, len(models))
        return
    prompt, group = _text(row["prompt"]), _text(row["eval_name"]).partition("-")[0]
    for model in models:
        quality = intake.quality(where, model, row[model])
        usd, answer = intake.usd(where, model + _COST, row.get(model + _COST)), _text(row.get(model + _ANSWER))
        if quality is None and usd is None and not answer:
            continue  # it was not asked
        yield Outcome(
            id=_text(name),
            prompt=prompt,
            group=group,
            model=model,
            quality=quality,
            usd=usd,
            seconds=None,
            answer=answer,
        )


def _one(where: str, row: Record, intake: Intake) -> Iterator[Outcome]:
    quality = intake.quality(where, "performance", row["performance"])
    if quality is None:
        intake.drop("it has no score", where)
        return
    yield Outcome(
        id=_text(row["sample_id"]),
        prompt=_text(row["prompt"]),
        group=_text(row["eval_name"]).partition("-")[0],
        model=_text(row["model_name"]),
        quality=quality,
        usd=intake.usd(where, "cost", row.get("cost", row.get("total_cost"))),
        seconds=None,
        answer=_text(row.get("model_response")),
    )


def _text(value: Any) -> str:
    return literal(text(value))
