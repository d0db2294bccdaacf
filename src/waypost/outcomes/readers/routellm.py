"""Outcome files of RouteLLM (arXiv 2406.18665): CSV, a prompt and whether each model got it right.

Columns: ``prompt``, one column a model with ``True`` or ``False`` (or a score 0..1), and for some files
``M_response`` with the answer of model ``M``.  There are no costs.  RouteLLM's own evaluation leaves out prompts that
it found in its training data; those lists are files of their own and are not applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waypost.errors import BadTable
from waypost.outcomes.readers._files import Head, Record, head, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_ANSWER = "_response"
_INDEX = ("", "Unnamed: 0", "index")
_OTHERS = ("model_a", "sample_id", "label", "winner", "request_id", "scorer")
_TRUTH = {"True": 1.0, "False": 0.0, "true": 1.0, "false": 0.0}


def fits(found: Head) -> bool:
    """Whether a file begins like an outcome file of RouteLLM."""
    others = set(found.names) & set(_OTHERS)
    return found.kind == "csv" and found.has("prompt") and not others and len(_models(found.names)) > 1


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file; the group is its stem without ``_responses``.

    Raises:
        BadTable: no column ``prompt``, no model, or a cell that is neither true, false nor a score; names the row.
    """
    columns = head(path).names
    models = _models(columns)
    if "prompt" not in columns or not models:
        raise BadTable(f"{path} needs a column 'prompt' and one for each model, it has {', '.join(columns)}")
    group = path.stem.removesuffix("_responses")
    for number, (where, record) in enumerate(records(path, intake.max_bytes)):
        yield from _answers(where, f"{path.stem}-{number}", group, models, record, intake)


def _answers(where: str, id: str, group: str, models: list[str], record: Record, intake: Intake) -> Iterator[Outcome]:
    if not any(record[model] for model in models):
        intake.drop("the row has no score", where, len(models))
    for model in models:
        cell = record[model]
        quality = _TRUTH.get(cell) if cell in _TRUTH else intake.quality(where, model, cell)
        if quality is None:
            continue
        yield Outcome(
            id=id,
            prompt=record["prompt"],
            group=group,
            model=model,
            quality=quality,
            usd=None,
            seconds=None,
            answer=text(record.get(model + _ANSWER)),
        )


def _models(columns: tuple[str, ...]) -> list[str]:
    answers = {name + _ANSWER for name in columns}
    return [name for name in columns if name != "prompt" and name not in _INDEX and name not in answers]
