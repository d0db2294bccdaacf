"""One row a decision, one row a feedback: what is kept, and the tables that keep it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from waypost.types import Decision

if TYPE_CHECKING:
    from sqlalchemy import Table


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that was made: ``outcome`` is ok, declined, failed, or cut (failed after its first byte)."""

    model: str
    outcome: str
    seconds: float = 0.0
    usd: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A request from its decision to its end.

    ``time`` is in Unix seconds; ``prompt`` is None unless prompts are to be kept; ``usd`` is the cost of all
    attempts, None when one has no known price; ``status`` is the HTTP status, 499 when the client left.  Of the
    answer given, ``tokens_cached`` and ``tokens_written`` are parts of ``tokens_in``, ``tokens_reasoning`` of
    ``tokens_out``.
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

    def row(self) -> dict[str, Any]:
        """The row as it is stored and shown."""
        decision = self.decision
        return {
            "id": self.id,
            "time": datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds"),
            "prompt_sha256": self.prompt_sha256,
            "prompt": self.prompt,
            "requested": self.requested,
            "router": decision.router,
            "chosen": decision.model,
            "why": decision.why,
            "ranking": list(decision.ranking),
            "predictions": _by_model(decision),
            "removed": dict(decision.removed),
            "weights": dict(decision.weights),
            "propensities": dict(decision.propensities),
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "served": self.served,
            "usd": self.usd,
            "seconds": self.seconds,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "tokens_written": self.tokens_written,
            "tokens_reasoning": self.tokens_reasoning,
            "status": self.status,
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
        time = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {"decision": self.decision, "time": time, "quality": self.quality, "comment": self.comment}


def _by_model(decision: Decision) -> dict[str, dict[str, float]]:
    columns = {
        "score": decision.scores,
        "quality": decision.quality,
        "usd": decision.usd,
        "seconds": decision.seconds,
    }
    models = dict.fromkeys(model for column in columns.values() for model in column)
    return {model: {name: c[model] for name, c in columns.items() if model in c} for model in models}


@cache
def tables() -> tuple[Table, Table]:
    """The tables ``decisions`` and ``feedback``; a function, because SQLAlchemy costs a third of a second to import."""
    from sqlalchemy import JSON, Column, Float, Integer, MetaData, String, Table, Text

    metadata = MetaData()
    decisions = Table(
        "decisions",
        metadata,
        Column("id", String(32), primary_key=True),
        Column("time", String(32), nullable=False, index=True),
        Column("prompt_sha256", String(64), nullable=False),
        Column("prompt", Text),
        Column("requested", Text, nullable=False),
        Column("router", Text, nullable=False),
        Column("chosen", Text, nullable=False),
        Column("why", Text, nullable=False),
        *(Column(name, JSON, nullable=False) for name in ("ranking", "predictions", "removed", "weights", "attempts")),
        Column("served", Text),
        Column("usd", Float),
        Column("seconds", Float, nullable=False),
        Column("tokens_in", Integer, nullable=False),
        Column("tokens_out", Integer, nullable=False),
        Column("status", Integer, nullable=False),
        # Unknown (null) in the rows of a version that did not keep them.
        *(Column(name, Integer) for name in ("tokens_cached", "tokens_written", "tokens_reasoning")),
        Column("propensities", JSON),
    )
    feedback = Table(
        "feedback",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("decision", String(32), nullable=False, index=True),
        Column("time", String(32), nullable=False),
        Column("quality", Float, nullable=False),
        Column("comment", Text, nullable=False),
    )
    return decisions, feedback
