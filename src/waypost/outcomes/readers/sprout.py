"""SPROUT, the data set of CARROT (arXiv 2502.03261): Parquet, a question a row and a struct a model.

Columns: ``key, dataset, prompt, golden answer`` and for every model ``M`` a struct ``M`` of ``num_input_tokens,
num_output_tokens, response, score``.  A score is 0..1, given by a judge model.  Costs are not in the file: they are
tokens times a price list, which the reader of the table chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from waypost.errors import BadTable
from waypost.outcomes.readers._files import Head, Record, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_NEEDED = ("key", "dataset", "prompt")


def fits(found: Head) -> bool:
    """Whether a file begins like SPROUT."""
    return found.has(*_NEEDED, "golden answer") or found.has(*_NEEDED, "golden_answer")


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file; the group is ``dataset``.

    Raises:
        BadTable: a column is missing, there is no model, or a number cannot be used; names the row.
    """
    for where, record in records(path, intake.max_bytes):
        if lacking := [name for name in _NEEDED if record.get(name) is None]:
            raise BadTable(f"{where}: needs {lacking[0]!r}; SPROUT has {', '.join(_NEEDED)} and a struct a model")
        models = {name: value for name, value in record.items() if isinstance(value, dict) and "score" in value}
        if not models:
            raise BadTable(f"{where}: no model; a model is a struct with num_input_tokens, num_output_tokens and score")
        for model, answer in models.items():
            yield from _answer(where, model, record, answer, intake)


def _answer(where: str, model: str, record: Record, answer: dict[str, Any], intake: Intake) -> Iterator[Outcome]:
    quality = intake.quality(where, model, answer["score"])
    if quality is None:
        intake.drop("it has no score", where)
        return
    yield Outcome(
        id=text(record["key"]),
        prompt=text(record["prompt"]),
        group=text(record["dataset"]),
        model=model,
        quality=quality,
        usd=None,
        seconds=None,
        tokens_in=intake.tokens(where, model, answer.get("num_input_tokens")),
        tokens_out=intake.tokens(where, model, answer.get("num_output_tokens")),
        answer=text(answer.get("response")),
        reference=text(record.get("golden answer", record.get("golden_answer"))),
    )
