"""Cached results of RouterArena (github.com/RouteWorks/RouterArena): JSON Lines, an answer a line.

A file holds one model or several; files of the same questions are joined by ``global_index``.  Fields:
``global_index, question, llm_selected`` (the model), ``generated_answer, token_usage`` (``input_tokens,
output_tokens``), ``success`` and ``evaluation_result`` with ``score`` (0..1), ``inference_cost`` (USD of the query),
``ground_truth`` and ``metric``.  Some scores are METEOR, which falls a little below 0 for an empty match; those count
as 0, and it is said how many.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waypost.errors import BadTable
from waypost.outcomes.readers._files import Head, Record, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_NEEDED = ("global_index", "question", "llm_selected")


def fits(found: Head) -> bool:
    """Whether a file begins like a result file of RouterArena."""
    return found.has(*_NEEDED)


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file; the group is ``global_index`` up to its first underscore.

    Raises:
        BadTable: a line lacks the question or the model, or a score or cost is no such number; names the line.
    """
    below = 0
    for where, record in records(path, intake.max_bytes):
        if lacking := [name for name in _NEEDED if not isinstance(record.get(name), str)]:
            raise BadTable(f"{where}: needs a text {lacking[0]!r}")
        result = record.get("evaluation_result")
        if record.get("success") is False or record.get("error"):
            intake.drop("the call failed", where)
        elif not isinstance(result, dict) or result.get("score") is None:
            intake.drop("it was not evaluated", where)
        else:
            low = isinstance(result["score"], float) and -1 < result["score"] < 0
            below += low
            yield _answer(where, record, {**result, "score": 0.0} if low else result, intake)
    if below:
        intake.note(f"{path.name}: scores a little below 0, as METEOR can be, which count as 0: {below}")


def _answer(where: str, record: Record, result: Record, intake: Intake) -> Outcome:
    usage = record.get("token_usage")
    tokens = usage if isinstance(usage, dict) else {}
    return Outcome(
        id=record["global_index"],
        prompt=record["question"],
        group=record["global_index"].partition("_")[0],
        model=record["llm_selected"],
        quality=intake.quality(where, "score", result["score"]),
        usd=intake.usd(where, "inference_cost", result.get("inference_cost")),
        seconds=None,
        tokens_in=intake.tokens(where, "input_tokens", tokens.get("input_tokens")),
        tokens_out=intake.tokens(where, "output_tokens", tokens.get("output_tokens")),
        answer=text(record.get("generated_answer")),
        reference=text(result.get("ground_truth")),
    )
