"""The database of the store, SQLite or Postgres: what is written to it and asked of it, each with waiting."""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.errors import BadConfig, WaypostError
from waypost.store import schema
from waypost.store.line import AS_JSON, COLUMNS, storable
from waypost.store.postgres import UNREADABLE, postgres_url
from waypost.store.spending import Scope, summed
from waypost.store.tables import tables

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_log = logging.getLogger(__name__)

_BUSY_SECONDS = 30.0  # how long SQLite waits for another process that writes
_CONNECT_SECONDS = 3
_SWITCH_SECONDS = 5.0
_STATEMENT_SECONDS = 30
_MOST_SAID = 100  # of one decision, in one answer
# Rows in one statement of SQLite, which Python's lock is given up for once each: so often do requests and this wait for
# one another.  Old versions of SQLite take no more than 999 values at once.
_AT_ONCE = 999 // len(COLUMNS)
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)


class StoreDown(WaypostError):
    """The database does not answer, or not as it should; what is asked again later may succeed."""

    status = 503
    code = "store_unavailable"


class RowRefused(WaypostError):
    """The database answers, and will never take this row."""


class Database:
    """One SQLite file, or one Postgres database; safe to use from several threads.

    Nothing is connected before it is needed; the tables are made or brought up to date then.

    Raises:
        BadConfig: the file or the URL cannot be used, or a newer version of Waypost has written it.
        NotInstalled: Postgres is asked for without its driver.
    """

    def __init__(self, store: Path | str) -> None:
        self._engine: Engine | None = None
        self._current = False  # the tables are of the newest version
        self._lock = threading.Lock()
        self.path: Path | None = None
        self._url: URL | None = None
        if isinstance(store, str) and "://" in store:
            self._url = postgres_url(store)
            self.name = self._url.set(drivername="postgresql", password=None, query={}).render_as_string()
            self._look_postgres(self._url)
        else:
            self.path = Path(store)
            self.name = str(store)
            self._look_sqlite(self.path)

    def _look_sqlite(self, path: Path) -> None:
        try:
            with closing(sqlite3.connect(path, timeout=5.0)) as connection:
                _write_ahead(connection)
                with suppress(sqlite3.OperationalError):  # no such table: an empty file, or one of the first version
                    schema.refuse_newer(connection.execute(schema.READ).fetchone(), self.name)
        except sqlite3.Error as error:
            raise BadConfig(
                f"store {path} cannot be used: {error}; give a file in a folder that can be written"
            ) from error

    def _look_postgres(self, known: URL) -> None:
        """Refuse what waiting cannot mend; a server that is away may come back, and rows wait for it."""
        import psycopg

        url = known.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
                found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
                if found and found[0]:
                    schema.refuse_newer(connection.execute(schema.READ).fetchone(), self.name)
        except psycopg.ProgrammingError:
            raise BadConfig(UNREADABLE) from None
        except psycopg.OperationalError as error:
            said = " ".join(str(error).split())
            if re.search(r"FATAL: .*(authentication failed|does not exist|no pg_hba\.conf entry)", said):
                raise BadConfig(f"store {self.name} cannot be used: {said}") from None
            _log.warning("the store %s does not answer, rows wait in the spool: %s", self.name, said)

    def refuse_read_only(self) -> None:
        """Refuse a file that this process may only read: that suffices to list keys, but a gateway would lose its log.

        No row is written, and a Postgres is not asked.

        Raises:
            BadConfig: it is one.
        """
        if self.path is None:
            return
        try:
            with closing(sqlite3.connect(self.path, timeout=0.0)) as connection:
                # To begin is allowed even where nothing may be written; this is a write, and is taken back.
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("PRAGMA user_version = 0")
                connection.rollback()
        except sqlite3.Error as error:
            # Whoever may not write is told so before he is told to wait.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                return
            raise BadConfig(
                f"store {self.path} cannot be written to: {error}; let the user that runs Waypost write the file and "
                "its folder, or give another file"
            ) from error

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, committed at the end.

        Raises:
            StoreDown: the database does not answer.
            RowRefused: it does, and the values cannot be stored.
        """
        with self._told(), self._open().begin() as connection:
            yield connection

    def keep(self, lines: Sequence[bytes]) -> None:
        """Store decisions, each as a line of this version; those whose id is known are passed over.

        Raises:
            StoreDown: the database does not answer; none is stored.
            RowRefused: one of them cannot be stored; none is.
        """
        import orjson

        whole = [storable(line) for line in lines]
        with self.begin() as connection:
            if self.path is None:
                connection.exec_driver_sql(_insert_postgres(), (f"[{b','.join(whole).decode()}]",))
                return
            for start in range(0, len(whole), _AT_ONCE):
                some = whole[start : start + _AT_ONCE]
                values = orjson.loads(b"[%b]" % b",".join([line[1:-1] for line in some]))
                connection.exec_driver_sql(_insert_sqlite(len(some)), tuple(values))

    def say(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store feedback.

        Raises:
            StoreDown: the database does not answer; none is stored.
            RowRefused: one of them cannot be stored; none is.
        """
        with self.begin() as connection:
            connection.execute(tables().feedback.insert(), list(rows))

    def find(self, decision: str) -> dict[str, Any] | None:
        """The row of a decision with its newest ``feedback``, or None.

        Raises:
            StoreDown: the database does not answer.
        """
        if "\0" in decision:  # which Postgres cannot even be asked for
            return None
        decisions, feedback = tables()[:2]
        with self.begin() as connection:
            row = connection.execute(decisions.select().where(decisions.c.id == decision)).mappings().first()
            if row is None:
                return None
            of_it = feedback.select().where(feedback.c.decision == decision)
            newest = of_it.order_by(feedback.c.number.desc()).limit(_MOST_SAID)
            said = connection.execute(newest).mappings().all()
        return {**_plain(row), "feedback": [_plain(f) for f in reversed(said)]}

    def spent(self, scope: Scope, since: str, waiting: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """USD by key, team or called model since a time, as of `iso`.

        ``waiting`` are rows that may not be here yet, by id: their USD by whom it counts to.

        Raises:
            StoreDown: the database does not answer.
        """
        from sqlalchemy import select

        ids, missing = list(waiting), dict(waiting)
        table = tables().decisions
        with self.begin() as connection:
            # One look at all of it: a row that is written meanwhile must count once.
            connection.exec_driver_sql("BEGIN" if self.path else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = summed(connection, scope, since)
            for start in range(0, len(ids), 500):
                here = select(table.c.id).where(table.c.id.in_(ids[start : start + 500]))
                for id in connection.execute(here).scalars():
                    del missing[id]
        for shared in missing.values():
            for name, usd in shared.items():
                found[name] = found.get(name, 0.0) + usd
        return found

    def lately(self, since: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Columns of the decisions since a time, as of `iso`, the oldest first.

        ``quality`` is the mean of what was said of the answer, None where nothing was.

        Raises:
            StoreDown: the database does not answer.
        """
        from sqlalchemy import func, select

        decisions, feedback = tables()[:2]
        said = select(feedback.c.decision, func.avg(feedback.c.quality).label("quality"))
        said_of = said.group_by(feedback.c.decision).subquery()
        asked = (
            select(*(decisions.c[name] for name in columns), said_of.c.quality)
            .outerjoin(said_of, said_of.c.decision == decisions.c.id)
            .where(decisions.c.time >= since)
            .order_by(decisions.c.time)
        )
        with self.begin() as connection:
            return [_plain(row) for row in connection.execute(asked).mappings()]

    def prune(self, before: str, most: int = 500) -> int:
        """Delete the oldest decisions from before a time, as of `iso`, with their feedback; how many.

        Raises:
            StoreDown: the database does not answer.
        """
        from sqlalchemy import select

        decisions, feedback = tables()[:2]
        old = select(decisions.c.id).where(decisions.c.time < before).order_by(decisions.c.time).limit(most)
        with self.begin() as connection:
            ids = connection.execute(old).scalars().all()
            if ids:
                connection.execute(feedback.delete().where(feedback.c.decision.in_(ids)))
                connection.execute(decisions.delete().where(decisions.c.id.in_(ids)))
        return len(ids)

    def version(self) -> str | None:
        """The version of the tables, None where there are none or those of before there were versions.

        Raises:
            StoreDown: the database does not answer.
        """
        with self._told(), self._connected().connect() as connection:
            return schema.version(connection)

    def migrate(self) -> None:
        """Bring the tables up to date; several processes may do so at once.

        Raises:
            StoreDown: the database does not answer.
            BadConfig: a newer version of Waypost has written it.
        """
        with self._told():
            self._open()

    def close(self) -> None:
        """Give back the connections."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the driver as sentences."""
        from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

        try:
            yield
        except (DataError, IntegrityError, OverflowError) as error:  # the last: an integer that SQLite does not know
            raise RowRefused(_said(error)) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreDown(f"the store {self.name} does not answer: {_said(error)}; try again") from error

    def _open(self) -> Engine:
        """The engine of a database whose tables are up to date."""
        engine = self._connected()
        with self._lock:
            if not self._current:
                schema.upgrade(engine, self.name)
                self._current = True
        return engine

    def _connected(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    def _make(self) -> Engine:
        import orjson
        from sqlalchemy import URL, create_engine, event

        how: dict[str, Any] = {
            "json_serializer": _json,
            "json_deserializer": orjson.loads,
            "hide_parameters": True,  # prompts and digests have no place in an error
        }
        if self._url is None:
            url = URL.create("sqlite", database=str(self.path))
            engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **how)
            event.listen(engine, "connect", _durable)
            return engine
        arguments = {
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _STATEMENT_SECONDS * 1000,
            # A pooler between us may give each transaction another connection, which knows no such statement.
            "prepare_threshold": None,
        }
        few = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 10, "pool_pre_ping": True}
        engine = create_engine(self._url, connect_args=arguments, **few, **how)
        event.listen(engine, "connect", _bounded)
        return engine


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()


def _durable(connection: Any, _: Any) -> None:
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _bounded(connection: Any, _: Any) -> None:
    connection.execute(f"SET statement_timeout = '{_STATEMENT_SECONDS}s'")
    connection.commit()


@cache
def _insert_sqlite(rows: int) -> str:
    """So many decisions, of as many parameters as they have values."""
    row = f"({', '.join('?' * len(COLUMNS))})"
    return f"INSERT INTO decisions ({_NAMES}) VALUES {', '.join([row] * rows)} ON CONFLICT (id) DO NOTHING"  # noqa: S608


@cache
def _insert_postgres() -> str:
    """Decisions of one parameter, a list of lists in JSON."""
    types = {column.name: column.type.compile() for column in tables().decisions.columns}
    # A table's JSON may be null, as SQLite has it, or not there, as Postgres has it.
    texts = (f"NULLIF(line->>{i}, 'null')" if name in AS_JSON else f"line->>{i}" for i, name in enumerate(COLUMNS))
    values = ", ".join(f"({text})::{types[name]}" for name, text in zip(COLUMNS, texts, strict=True))
    return (
        f"INSERT INTO decisions ({_NAMES}) SELECT {values} "  # noqa: S608
        "FROM jsonb_array_elements(%s::jsonb) AS line ON CONFLICT (id) DO NOTHING"
    )


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row without the key that only the table needs, and with names that are no more than text."""
    return {str(name): value for name, value in row.items() if name != "number"}


def _said(error: Exception) -> str:
    """What the driver says, in one line and without the statement."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to its write-ahead log, which other processes may be doing just now.

    That switch is refused at once while another holds the file, whatever the connection's patience.
    """
    until = time.monotonic() + _SWITCH_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
