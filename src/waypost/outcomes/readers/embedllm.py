"""EmbedLLM (arXiv 2410.02223): CSV or Parquet, one row a question and model, right or wrong.

Columns: ``prompt_id, model_name`` (or ``model_id``), ``label`` (0 or 1), ``prompt``, ``category`` (or
``category_id``).  There are no costs and no answers.  Where a question and model stand in several rows (variants of
one task) the first counts; the authors' code takes the largest label, which favours the models.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waypost.errors import BadTable
from waypost.outcomes.readers._files import Head, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_NEEDED = ("prompt_id", "label", "prompt")


def fits(found: Head) -> bool:
    """Whether a file begins like EmbedLLM."""
    return found.has(*_NEEDED)


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file, read row by row; the group is the category.

    Raises:
        BadTable: a row lacks a column, or a label is outside 0..1; names the row.
    """
    texts: dict[str, str] = {}  # each comes again for a hundred models or for every question
    for where, record in records(path, intake.max_bytes):
        model = text(record.get("model_name") or record.get("model_id"))
        if not record.keys() >= set(_NEEDED) or not model:
            raise BadTable(f"{where}: needs {', '.join(_NEEDED)} and model_name")
        quality = intake.quality(where, "label", record["label"])
        if quality is None:
            intake.drop("it has no label", where)
            continue
        id, prompt = text(record["prompt_id"]), text(record["prompt"])
        group = text(record.get("category", record.get("category_id")))
        yield Outcome(
            id=texts.setdefault(id, id),
            prompt=texts.setdefault(prompt, prompt),
            group=texts.setdefault(group, group),
            model=texts.setdefault(model, model),
            quality=quality,
            usd=None,
            seconds=None,
        )
