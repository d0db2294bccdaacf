"""The tables of the store, the same in SQLite and Postgres."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import MetaData, Table


class Tables(NamedTuple):
    """The tables, and what holds them together."""

    decisions: Table
    feedback: Table
    keys: Table
    metadata: MetaData


@cache
def tables() -> Tables:
    """The tables; a function, because SQLAlchemy costs a third of a second to import.

    A change here needs a step in ``store/migrations``; a test compares the two.
    """
    from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

    metadata = MetaData()
    decisions = Table(
        "decisions",
        metadata,
        Column("id", String, primary_key=True),
        Column("time", String(32), nullable=False),
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
        Column("tokens_in", BigInteger, nullable=False),
        Column("tokens_out", BigInteger, nullable=False),
        Column("status", Integer, nullable=False),
        # Unknown (null) in the rows of a version that did not keep them.
        *(Column(name, BigInteger) for name in ("tokens_cached", "tokens_written", "tokens_reasoning")),
        Column("propensities", JSON),
        *(Column(name, Text) for name in ("key", "team", "api", "session", "cache")),
        Column("shadow", JSON),
        Column("canary", Text),
        Column("overhead_seconds", Float),
        # What is needed to add up what was spent, so that the sum of a month does not read the rows themselves.
        Index("decisions_spent", "time", "key", "team", "served", "usd"),
    )
    feedback = Table(
        "feedback",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("decision", String, nullable=False, index=True),
        Column("time", String(32), nullable=False),
        Column("quality", Float, nullable=False),
        Column("comment", Text, nullable=False),
    )
    keys = Table(
        "keys",
        metadata,
        Column("id", String, primary_key=True),
        Column("name", Text, nullable=False),
        Column("digest", String(64), nullable=False, unique=True),
        Column("team", Text),
        Column("models", JSON(none_as_null=True)),
        Column("requests_per_minute", BigInteger),
        Column("tokens_per_minute", BigInteger),
        Column("parallel", BigInteger),
        Column("usd", Float),
        Column("per", Text, nullable=False),
        Column("created", Float, nullable=False),
        Column("expires", Float),
        Column("disabled", Boolean, nullable=False),
    )
    return Tables(decisions, feedback, keys, metadata)
