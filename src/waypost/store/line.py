"""A decision as one line of the spool: a JSON array of the table's columns, as they are bound.

What the table keeps as JSON stands in it as a text, so that nobody takes it apart on its way.  New columns come at the
end: a line of another version, with fewer or more of them, is still read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import orjson

from waypost.store.decisions import Attempt, Decided, by_model, iso

COLUMNS = (
    *("id", "time", "prompt_sha256", "prompt", "requested", "router", "chosen", "why"),
    *("ranking", "predictions", "removed", "weights", "attempts"),
    *("served", "usd", "seconds", "tokens_in", "tokens_out", "status"),
    *("tokens_cached", "tokens_written", "tokens_reasoning", "propensities"),
    *("key", "team", "api", "session", "cache", "shadow", "canary", "overhead_seconds"),
)
AS_JSON = frozenset({"ranking", "predictions", "removed", "weights", "attempts", "propensities", "shadow"})

_ZERO = b"\\u0000"
# JSON may name the character 0, which a text in a database cannot hold.  Before it stand whole pairs of backslashes.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def written(row: Decided) -> bytes:
    """The line of a row, with its end.

    Raises:
        ValueError: the time is in no calendar.
        OverflowError: likewise.
        TypeError: something in it is not for JSON.

    >>> from waypost.types import Decision
    >>> decision = Decision("ridge", ("small",), {}, {}, {}, {}, {}, {}, "because")
    >>> written(Decided("a1", 0.0, "", None, "auto", decision, (), "small", 0.5, 1.0, 5, 7, 200))[:67]
    b'["a1","1970-01-01T00:00:00.000+00:00","",null,"auto","ridge","small'
    """
    # Every request waits for this one, so it is written out.
    decision = row.decision
    return orjson.dumps(
        (
            row.id,
            iso(row.time),
            row.prompt_sha256,
            row.prompt,
            row.requested,
            decision.router,
            decision.model,
            decision.why,
            _json(decision.ranking),
            _json(by_model(decision)),
            _object(decision.removed),
            _object(decision.weights),
            _attempts(row.attempts),
            row.served,
            row.usd,
            row.seconds,
            row.tokens_in,
            row.tokens_out,
            row.status,
            row.tokens_cached,
            row.tokens_written,
            row.tokens_reasoning,
            _object(decision.propensities),
            row.key,
            row.team,
            row.api,
            row.session,
            row.cache,
            "null" if row.shadow is None else _object(row.shadow),
            row.canary,
            row.overhead_seconds,
        ),
        option=orjson.OPT_APPEND_NEWLINE,
    )


def values(line: bytes) -> dict[str, Any]:
    """The values of a line by column, whoever wrote it; of a column that it does not have None.

    Raises:
        ValueError: it is no line, or has a value that cannot be stored.

    >>> found = values(b'["a1","1970-01-01T00:00:00.000+00:00"]')
    >>> found["id"], found["usd"]
    ('a1', None)
    """
    found = orjson.loads(line)
    if not isinstance(found, list) or any(isinstance(value, dict | list) for value in found):
        raise ValueError("a line is a list of single values")
    row = dict(zip_longest(COLUMNS, found[: len(COLUMNS)]))
    if not isinstance(row["id"], str) or not isinstance(row["time"], str):
        raise ValueError("a line begins with an id and a time")
    for name in AS_JSON:
        if row[name] is not None:
            orjson.loads(row[name])
    return row


def row_of(line: bytes) -> dict[str, Any]:
    """A line as a row that is shown, as `Decided.row` gives it.

    Raises:
        ValueError: as for `values`.
    """
    row = values(line)
    return {name: orjson.loads(value) if name in AS_JSON and value else value for name, value in row.items()}


def beginning_of(id: str) -> bytes:
    """What the line of a decision begins with.

    >>> beginning_of("a1")
    b'["a1",'
    """
    return b"[%b," % orjson.dumps(id)


def of_this_version(line: bytes) -> bytes:
    """A line with just the columns that the table has.

    Raises:
        ValueError: as for `values`.
    """
    return orjson.dumps(list(values(line).values()))


def storable(line: bytes) -> bytes:
    """A line without the character that no database can hold, which the one for unknown characters stands for."""
    if _ZERO not in line:
        return line
    row = values(line)
    for name, value in row.items():
        if isinstance(value, str):
            row[name] = _NUL.sub("\\1\ufffd", value) if name in AS_JSON else value.replace("\0", "\ufffd")
    return orjson.dumps(list(row.values()))


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _object(value: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(value)).decode() if value else "{}"


def _attempts(attempts: Sequence[Attempt]) -> str:
    return orjson.dumps([attempt.row() for attempt in attempts]).decode()
