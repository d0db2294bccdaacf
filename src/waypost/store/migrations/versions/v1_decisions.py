"""Decisions and feedback, as they were before tables had versions; such files are widened to this."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "1"
down_revision = None


def upgrade(op: Operations) -> None:
    """Make the tables, or add what a file of an earlier version lacks; that is null in its rows."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    later = [
        *(sa.Column(name, sa.BigInteger) for name in ("tokens_cached", "tokens_written", "tokens_reasoning")),
        sa.Column("propensities", sa.JSON),
    ]
    if "decisions" in there:
        known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("decisions")}
        for column in later:
            if column.name not in known:
                op.add_column("decisions", column)
    else:
        op.create_table(
            "decisions",
            sa.Column("id", sa.String, primary_key=True),
            sa.Column("time", sa.String(32), nullable=False),
            sa.Column("prompt_sha256", sa.String(64), nullable=False),
            sa.Column("prompt", sa.Text),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("requested", "router", "chosen", "why")),
            *(
                sa.Column(name, sa.JSON, nullable=False)
                for name in ("ranking", "predictions", "removed", "weights", "attempts")
            ),
            sa.Column("served", sa.Text),
            sa.Column("usd", sa.Float),
            sa.Column("seconds", sa.Float, nullable=False),
            sa.Column("tokens_in", sa.BigInteger, nullable=False),
            sa.Column("tokens_out", sa.BigInteger, nullable=False),
            sa.Column("status", sa.Integer, nullable=False),
            *later,
        )
    op.create_index("ix_decisions_time", "decisions", ["time"], if_not_exists=True)
    if "feedback" not in there:
        op.create_table(
            "feedback",
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("decision", sa.String, nullable=False),
            sa.Column("time", sa.String(32), nullable=False),
            sa.Column("quality", sa.Float, nullable=False),
            sa.Column("comment", sa.Text, nullable=False),
        )
    op.create_index("ix_feedback_decision", "feedback", ["decision"], if_not_exists=True)
