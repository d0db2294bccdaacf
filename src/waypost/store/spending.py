"""Whose money it was: what the rows of the log have cost, by key, by team and by model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import orjson

from waypost.store.tables import tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

Scope = Literal["key", "team", "model"]
Share = tuple[str | None, str | None, float]
"""Whom a cost is taken from, if anybody, who has really had it, and how much that is."""

# A row's cost is that of all its attempts; it stands with the model that served, which gives each other its own.
_OTHERS = """
SELECT CASE WHEN d.usd IS NULL THEN NULL ELSE d.served END AS served, {model} AS model, SUM({usd}) AS usd
FROM decisions AS d, {attempts} AS attempt
WHERE d.time >= :since AND {usd} IS NOT NULL AND (d.usd IS NULL OR d.served IS NULL OR {model} <> d.served)
GROUP BY 1, 2
"""
_DIALECTS = {
    "sqlite": {
        "attempts": "json_each(d.attempts)",
        "model": "json_extract(attempt.value, '$.model')",
        "usd": "json_extract(attempt.value, '$.usd')",
    },
    "postgresql": {
        "attempts": "json_array_elements(d.attempts)",
        "model": "(attempt.value ->> 'model')",
        "usd": "(attempt.value ->> 'usd')::float",
    },
}


def summed(connection: Connection, scope: Scope, since: str) -> dict[str, float]:
    """USD by key, team or called model of the rows since a time, as of `iso`."""
    from sqlalchemy import func, select, text

    table = tables().decisions
    column = table.c["served" if scope == "model" else scope]
    asked = select(column, func.sum(table.c.usd)).where(table.c.time >= since, column.is_not(None)).group_by(column)
    found = {name: usd or 0.0 for name, usd in connection.execute(asked)}
    if scope == "model":
        others = text(_OTHERS.format(**_DIALECTS[connection.dialect.name]))
        _moved(found, (tuple(row) for row in connection.execute(others, {"since": since})))
    return found


def shares(row: Mapping[str, Any], scope: Scope) -> dict[str, float]:
    """USD by key, team or called model of one row, as the table has it.

    >>> attempts = '[{"model": "small", "usd": 0.25}, {"model": "large", "usd": 0.5}]'
    >>> shares({"served": "large", "usd": 0.75, "attempts": attempts}, "model")
    {'large': 0.5, 'small': 0.25}
    """
    whose, usd = row["served" if scope == "model" else scope], row["usd"]
    found = {whose: usd} if whose is not None and usd else {}
    if scope == "model":
        served = None if usd is None else whose
        calls = [(call["model"], call["usd"]) for call in orjson.loads(row["attempts"] or "[]")]
        _moved(found, [(served, model, cost) for model, cost in calls if cost and model != served])
    return found


def _moved(found: dict[str, float], others: Iterable[Share]) -> None:
    for served, model, usd in others:
        if model is not None:
            found[model] = found.get(model, 0.0) + usd
        if served is not None:
            found[served] = max(0.0, found.get(served, 0.0) - usd)
