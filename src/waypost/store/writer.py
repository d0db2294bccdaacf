"""Rows go to SQLite behind the requests' back: a bounded queue and one thread that writes in batches."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, NamedTuple

from waypost.errors import BadConfig
from waypost.store.decisions import Decided, Feedback, tables

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

_log = logging.getLogger(__name__)

# One transaction a batch: a commit waits for the disk, so under load each should carry many rows.
_BATCH = 500
_LINGER_SECONDS = 0.05


class _Item(NamedTuple):
    """What waits to be written; one with a ``done`` is waited for, one without a row only marks its place."""

    row: Decided | Feedback | None
    done: Future[None] | None = None


class Writer:
    """Keeps decisions and feedback in one SQLite file without ever making a request wait.

    ``put`` drops what finds the queue full and counts it in ``dropped``.  The future of ``put_feedback`` and
    ``settled`` is done when everything before it is on disk (SQLite's WAL, synced at each commit).

    Raises:
        BadConfig: the file cannot be opened, or is no SQLite database.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Writer(Path(folder) / "waypost.sqlite")
    ...     writer.put_feedback(Feedback("some-decision", 0.0, quality=1.0)).result(10)
    ...     writer.close()
    """

    def __init__(self, path: Path, *, capacity: int = 10_000) -> None:
        self.path = path
        self.dropped = 0
        self._queue: Queue[_Item | None] = Queue(capacity)
        self._engine: Engine | None = None
        self._engine_lock = threading.Lock()
        _check_usable(path)
        self._thread = threading.Thread(target=self._work, name="waypost-store", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many rows wait."""
        return self._queue.qsize()

    def put(self, row: Decided) -> None:
        """Leave a row to be written; a full queue drops it."""
        try:
            self._queue.put_nowait(_Item(row))
        except Full:
            self.dropped += 1

    def put_feedback(self, row: Feedback) -> Future[None]:
        """A future that is done when the row is durable.

        Raises:
            Full: the queue is full; nothing was kept.
        """
        return self._waited(row)

    def settled(self) -> Future[None]:
        """A future that is done when every row put so far is written or dropped.

        Raises:
            Full: the queue is full.
        """
        return self._waited(None)

    def find(self, decision: str) -> dict[str, Any] | None:
        """The stored row of a decision with its ``feedback``, or None; waits for the disk."""
        decisions, feedback = tables()
        with self._open().connect() as connection:
            row = connection.execute(decisions.select().where(decisions.c.id == decision)).mappings().first()
            if row is None:
                return None
            said = connection.execute(feedback.select().where(feedback.c.decision == decision)).mappings().all()
        return {**_plain(row), "feedback": [_plain(f) for f in said]}

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, for at most ``timeout`` seconds; what is left then counts as dropped."""
        deadline = time.monotonic() + timeout
        try:
            self._queue.put(None, timeout=timeout)
        except Full:
            _log.error("the store %s did not drain in %s s", self.path, timeout)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self.dropped += len(self)
        if self._engine is not None and not self._thread.is_alive():
            self._engine.dispose()

    def _waited(self, row: Feedback | None) -> Future[None]:
        done: Future[None] = Future()
        self._queue.put_nowait(_Item(row, done))
        return done

    def _work(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._next_batch()
            self._keep(batch)

    def _keep(self, batch: list[_Item]) -> None:
        """Write a batch; one row that cannot be stored is found by halving, so that it takes no other with it."""
        try:
            self._write([item.row for item in batch])
        except Exception as error:  # noqa: BLE001 - the thread's outer edge: a lost row must not end it
            if len(batch) > 1 and not _is_disk(error):
                half = len(batch) // 2
                self._keep(batch[:half])
                self._keep(batch[half:])
                return
            self.dropped += sum(isinstance(item.row, Decided) for item in batch)
            _log.error("%d row(s) not written to %s: %s", len(batch), self.path, error)
            _settle(batch, error)
        else:
            _settle(batch, None)

    def _next_batch(self) -> tuple[list[_Item], bool]:
        """What to write next, and whether more may come; lingers for more unless someone waits."""
        batch: list[_Item] = []
        deadline: float | None = None
        while len(batch) < _BATCH:
            wait = None if deadline is None else deadline - time.monotonic()
            try:
                item = self._queue.get(timeout=wait) if wait is None or wait > 0 else self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                return batch, False
            batch.append(item)
            if item.done is not None:
                deadline = 0.0
            elif deadline is None:
                deadline = time.monotonic() + _LINGER_SECONDS
        return batch, True

    def _write(self, rows: list[Decided | Feedback | None]) -> None:
        decided = [row.row() for row in rows if isinstance(row, Decided)]
        said = [row.row() for row in rows if isinstance(row, Feedback)]
        if not decided and not said:
            return
        decisions, feedback = tables()
        with self._open().begin() as connection:
            if decided:
                connection.execute(decisions.insert(), decided)
            if said:
                connection.execute(feedback.insert(), said)

    def _open(self) -> Engine:
        with self._engine_lock:
            if self._engine is None:
                self._engine = _engine(self.path)
            return self._engine


def _is_disk(error: Exception) -> bool:
    """Whether the file is at fault and not a row: it is locked, full or gone, and would be for each row again."""
    from sqlalchemy.exc import OperationalError

    return isinstance(error, OperationalError | OSError)


def _settle(batch: list[_Item], error: Exception | None) -> None:
    for item in batch:
        # A waiter that has given up has cancelled its future.
        if item.done is not None and item.done.set_running_or_notify_cancel():
            if error is None or item.row is None:
                item.done.set_result(None)
            else:
                item.done.set_exception(error)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row without the key that only the table needs, and with names that are no more than text."""
    return {str(name): value for name, value in row.items() if name != "number"}


def _check_usable(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=5.0)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise BadConfig(f"store {path} cannot be used: {error}; give a file in a folder that can be written") from error


def _engine(path: Path) -> Engine:
    import orjson
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.schema import CreateIndex, CreateTable

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={"timeout": 30.0},
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    # Not create_all, which looks first and then creates: two gateways that share a file may start at once.
    with engine.begin() as connection:
        for table in tables():
            connection.execute(CreateTable(table, if_not_exists=True))
            _widen(connection, table)
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
    return engine


def _widen(connection: Connection, table: Table) -> None:
    """Add the columns that a file of an older version lacks; they may be null there."""
    from sqlalchemy.exc import OperationalError

    for column in table.columns:
        if column.name in _names(connection, table):
            continue
        try:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.type}")
        except OperationalError:
            if column.name not in _names(connection, table):  # unless another gateway has just added it
                raise


def _names(connection: Connection, table: Table) -> set[str]:
    return {row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table.name})")}
