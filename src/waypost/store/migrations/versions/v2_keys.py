"""Callers' keys, and of each decision who asked and how it was answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "2"
down_revision = "1"


def upgrade(op: Operations) -> None:
    """Add the table and the columns, which are null in older rows."""
    for name in ("key", "team", "api", "session", "cache"):
        op.add_column("decisions", sa.Column(name, sa.Text))
    op.add_column("decisions", sa.Column("shadow", sa.JSON))
    op.add_column("decisions", sa.Column("canary", sa.Text))
    op.add_column("decisions", sa.Column("overhead_seconds", sa.Float))
    op.create_index("decisions_spent", "decisions", ["time", "key", "team", "served", "usd"])
    op.drop_index("ix_decisions_time", "decisions")
    op.create_table(
        "keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("team", sa.Text),
        sa.Column("models", sa.JSON),
        *(sa.Column(name, sa.BigInteger) for name in ("requests_per_minute", "tokens_per_minute", "parallel")),
        sa.Column("usd", sa.Float),
        sa.Column("per", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float),
        sa.Column("disabled", sa.Boolean, nullable=False),
    )
