"""Battles of two models, as RouteLLM trains on (arXiv 2406.18665) and Chatbot Arena publishes: who was preferred.

Columns (CSV, JSON, JSON Lines or Parquet): ``prompt, model_a, model_b`` and either ``winner`` (``model_a``,
``model_b``, ``tie``, ``tie (bothbad)``) or ``winner_model_a, winner_model_b, winner_tie`` with 0 and 1; where they
are kept, ``response_a, response_b``.  Quality is preference: 1 for the winner, 0 for the loser, 0.5 for both in a
tie.  It compares two answers and says of neither how good it is; every other model is missing in the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waypost.errors import BadTable
from waypost.outcomes.readers._files import Head, Record, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.outcomes.readers.routerbench import literal
from waypost.types import Outcome

_NEEDED = ("prompt", "model_a", "model_b")
_WINNERS = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
_FLAGS = {"winner_model_a": 1.0, "winner_model_b": 0.0, "winner_tie": 0.5}


def fits(found: Head) -> bool:
    """Whether a file begins like battles."""
    return found.has(*_NEEDED)


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The two answers of each battle.

    Raises:
        BadTable: a row lacks the prompt or a model; names the row.
    """
    intake.note(f"{path.name}: quality is preference within a pair (1 won, 0.5 tie, 0 lost), not how good an answer is")
    for number, (where, record) in enumerate(records(path, intake.max_bytes)):
        yield from _battle(where, f"{path.stem}-{number}", record, intake)


def _battle(where: str, id: str, record: Record, intake: Intake) -> Iterator[Outcome]:
    if lacking := [name for name in _NEEDED if not isinstance(record.get(name), str)]:
        raise BadTable(f"{where}: needs a text {lacking[0]!r}")
    models = record["model_a"], record["model_b"]
    won = _winner(record)
    if won is None:
        intake.drop("nobody won and it is no tie", where, 2)
    elif models[0] == models[1]:
        intake.drop("a model met itself", where, 2)
    else:
        for model, quality, side in zip(models, (won, 1 - won), "ab", strict=True):
            yield Outcome(
                id=id,
                prompt=literal(record["prompt"]),
                group="battle",
                model=model,
                quality=quality,
                usd=None,
                seconds=None,
                answer=literal(text(record.get(f"response_{side}"))),
            )


def _winner(record: Record) -> float | None:
    """The quality of the first model."""
    if "winner" in record:
        return _WINNERS.get(text(record["winner"]))
    won = [value for name, value in _FLAGS.items() if text(record.get(name)) in ("1", "1.0", "True")]
    return won[0] if len(won) == 1 else None
