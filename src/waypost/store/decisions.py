"""One row a decision, one row a feedback: what is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from waypost.types import Decision

_TEN_DIGITS = 16**10 - 1
_drawn: list[str] = []


@dataclass(slots=True)
class Attempt:
    """One call that was made: ``outcome`` is ok, declined, failed, or cut (broken off, by either side)."""

    model: str
    outcome: str
    seconds: float = 0.0
    usd: float | None = None
    problem: str | None = None

    def row(self) -> dict[str, Any]:
        """The attempt as it is stored and shown."""
        return {
            "model": self.model,
            "outcome": self.outcome,
            "seconds": self.seconds,
            "usd": self.usd,
            "problem": self.problem,
        }


@dataclass(slots=True)
class Decided:
    """A request from its decision to its end.

    ``time`` is in Unix seconds; ``prompt`` is None unless prompts are to be kept; ``usd`` is the cost of all
    attempts, None when one has no known price; ``status`` is the HTTP status, 499 when the client left.  Of the
    answer given, ``tokens_cached`` and ``tokens_written`` are parts of ``tokens_in``, ``tokens_reasoning`` of
    ``tokens_out``.

    ``key`` is the id of the caller's key and ``team`` its team, ``api`` the API by which the request came,
    ``session`` the hash of its conversation's name, ``cache`` the kind of hit that answered it.  ``shadow`` is what
    another router would have chosen, ``canary`` the name of the trial that chose.  ``overhead_seconds`` is what the
    gateway took for itself, None where nobody has measured.
    """

    id: str
    time: float
    prompt_sha256: str
    prompt: str | None
    requested: str
    decision: Decision
    attempts: tuple[Attempt, ...]
    served: str | None
    usd: float | None
    seconds: float
    tokens_in: int
    tokens_out: int
    status: int
    tokens_cached: int = 0
    tokens_written: int = 0
    tokens_reasoning: int = 0
    key: str | None = None
    team: str | None = None
    api: str = "chat"
    session: str | None = None
    cache: Literal["exact", "semantic"] | None = None
    shadow: Mapping[str, Any] | None = None
    canary: str | None = None
    overhead_seconds: float | None = None

    def row(self) -> dict[str, Any]:
        """The row as it is stored and shown.

        Raises:
            ValueError: the time is in no calendar.
            OverflowError: likewise.
        """
        decision = self.decision
        return {
            "id": self.id,
            "time": iso(self.time),
            "prompt_sha256": self.prompt_sha256,
            "prompt": self.prompt,
            "requested": self.requested,
            "router": decision.router,
            "chosen": decision.model,
            "why": decision.why,
            "ranking": list(decision.ranking),
            "predictions": by_model(decision),
            "removed": dict(decision.removed),
            "weights": dict(decision.weights),
            "propensities": dict(decision.propensities),
            "attempts": [attempt.row() for attempt in self.attempts],
            "served": self.served,
            "usd": self.usd,
            "seconds": self.seconds,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "tokens_written": self.tokens_written,
            "tokens_reasoning": self.tokens_reasoning,
            "status": self.status,
            "key": self.key,
            "team": self.team,
            "api": self.api,
            "session": self.session,
            "cache": self.cache,
            "shadow": None if self.shadow is None else dict(self.shadow),
            "canary": self.canary,
            "overhead_seconds": self.overhead_seconds,
        }


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user says of an answer: ``quality`` in 0..1; ``time`` is in Unix seconds."""

    decision: str
    time: float
    quality: float
    comment: str = ""

    def row(self) -> dict[str, Any]:
        """The row as it is stored and shown."""
        comment = self.comment.replace("\0", "\ufffd")  # a text in a database cannot hold it
        return {"decision": self.decision, "time": iso(self.time), "quality": self.quality, "comment": comment}


def new_id() -> str:
    """An id that no other decision has: ten hexadecimal digits of its millisecond, then fourteen that are drawn.

    So each id comes after those before it, and a database appends to the index of ids; were all digits drawn, nearly
    every row would touch a page of its own somewhere in that index.  56 bits are drawn in each millisecond, and nothing
    else may be read from an id: after 35 years the ten digits begin anew.

    >>> len(new_id()), new_id() == new_id()
    (24, False)
    """
    try:
        last = _drawn.pop()
    except IndexError:
        last = _draw()
    return f"{int(time.time() * 1000) & _TEN_DIGITS:010x}{last}"


def _draw() -> str:
    """Draw the last digits of many ids at once, since each asking of the system takes some microseconds."""
    digits = os.urandom(7 * 256).hex()
    _drawn.extend(digits[i : i + 14] for i in range(14, len(digits), 14))
    return digits[:14]


os.register_at_fork(after_in_child=_drawn.clear)


def iso(time: float) -> str:
    """A time in Unix seconds as it is stored: to the millisecond, in an order that is also the texts' order.

    Raises:
        ValueError: the time is in no calendar.
        OverflowError: likewise.

    >>> iso(1_795_000_000.5)
    '2026-11-18T11:06:40.500+00:00'
    """
    second, millisecond = divmod(int(time * 1000), 1000)
    return f"{_second(second)}.{millisecond:03d}+00:00"


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    """All but the fraction, which many rows share: it takes as long to write as half of a row."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def by_model(decision: Decision) -> dict[str, dict[str, float]]:
    """By model: its score, and what the router expects of it."""
    found = {model: {"score": score} for model, score in decision.scores.items()}
    for name, column in (("quality", decision.quality), ("usd", decision.usd), ("seconds", decision.seconds)):
        for model, value in column.items():
            if model in found:
                found[model][name] = value
            else:
                found[model] = {name: value}
    return found
