"""Which version the tables have, and the way to the newest one.

The version is read by hand, so that a start whose tables are up to date imports no Alembic.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.errors import BadConfig

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

VERSIONS = ("1", "2")  # oldest first; one file each in migrations/versions
HEAD = VERSIONS[-1]
READ = "SELECT version_num FROM alembic_version"

_STEPS = Path(__file__).with_name("migrations")
_LOCK = 0x77617970  # any number, the same in every process


def version(connection: Connection) -> str | None:
    """The version of the tables; None: there are none, or they are older than versions are."""
    from sqlalchemy import inspect

    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.exec_driver_sql(READ).first()
    return row[0] if row is not None else None


def refuse_newer(row: Sequence[Any] | None, name: str) -> None:
    """Refuse tables of which this version of Waypost knows nothing.

    Raises:
        BadConfig: they are.
    """
    if row is not None and row[0] not in VERSIONS:
        raise BadConfig(
            f"store {name} was written by a newer Waypost (its tables have version {row[0]}, this one knows "
            f"{', '.join(VERSIONS)}); upgrade Waypost, or give another store"
        )


def upgrade(engine: Engine, name: str) -> None:
    """Bring the tables to the newest version, all of it or nothing; of several processes at once one does it.

    Raises:
        BadConfig: they are newer than this version of Waypost.
        SQLAlchemyError: the database does not answer.
    """
    with engine.connect() as connection:
        found = version(connection)
    if found == HEAD:
        return
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index of many rows takes its time
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = version(connection)  # another process may have been first
        if found != HEAD:
            refuse_newer([found] if found else None, name)
            _climb(connection, found)


def _climb(connection: Connection, found: str | None) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(_STEPS))
    context = MigrationContext.configure(connection)
    # Handed to each step, and not by Alembic's own global, which two stores in one process would share.
    operations = Operations(context)
    for step in reversed(list(steps.iterate_revisions(HEAD, found or "base"))):
        step.module.upgrade(operations)
    context.stamp(steps, HEAD)
