"""Rows are kept at once on this machine's disk, and go to the database behind the requests' back."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, NamedTuple

from waypost.errors import WaypostError
from waypost.store.database import Database, RowRefused
from waypost.store.decisions import Decided, Feedback, iso
from waypost.store.line import beginning_of, of_this_version, row_of, values, written
from waypost.store.spending import Scope, shares
from waypost.store.spool import Batch, Spool, lines

_log = logging.getLogger(__name__)

# One transaction a batch: a commit waits for the disk, so under load each should carry many rows.  Nobody waits longer
# for it, since whoever waits hurries it.
_LINGER_SECONDS = 0.25
_PAUSE_SECONDS = 0.05  # between two pieces of work that requests should hardly notice
_LOOK_SECONDS = 5.0  # between two looks for what a dead process has left
_PRUNE_SECONDS = 600.0
_BACK_OFF_SECONDS = (0.1, 5.0)
_COMPLAIN_SECONDS = 60.0
_DAY_SECONDS = 86_400.0


class _Waiter(NamedTuple):
    """Who waits until all is committed that was put before, and then his own row if he has one."""

    done: Future[None]
    row: dict[str, Any] | None = None


class Writer:
    """Keeps decisions and feedback in SQLite (a path) or Postgres (a URL) without ever making a request wait.

    ``put`` appends to the `Spool`, a folder beside the SQLite file unless ``spool`` names one: on return the row
    survives the process.  So do rows that were given to ``note``, on return of ``keep``, with one write for all of
    them.  One thread moves rows to the database; while that is away they wait in the spool, up to ``spool_bytes``.
    What finds it full is dropped and counted in ``dropped``.  The future of ``put_feedback`` and ``settled`` is done
    when everything before it is committed; at most ``capacity`` of these may wait.  Decisions older than ``keep_days``
    are deleted, with their feedback.

    Raises:
        BadConfig: the file, the URL or the spool cannot be used.
        NotInstalled: Postgres is asked for without its driver.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Writer(Path(folder) / "waypost.sqlite")
    ...     writer.put_feedback(Feedback("some-decision", 0.0, quality=1.0)).result(10)
    ...     writer.close()
    """

    def __init__(
        self,
        store: Path | str,
        *,
        spool: Path | None = None,
        spool_bytes: int = 1 << 30,
        keep_days: float | None = None,
        capacity: int = 10_000,
    ) -> None:
        self.database = Database(store)
        self.dropped = 0
        self._spool = Spool(spool or _beside(self.database.path), spool_bytes)
        self._keep_days = keep_days
        self._waiters: Queue[_Waiter] = Queue(capacity)
        self._awake = threading.Event()  # there is something to do
        self._hurry = threading.Event()  # and somebody waits for it
        self._deadline: float | None = None  # by when to end
        self._down = False
        self._complained = -_COMPLAIN_SECONDS
        self._looked, self._pruned = -_LOOK_SECONDS, -_PRUNE_SECONDS
        self._noted: deque[bytes] = deque()
        self._thread = threading.Thread(target=self._work, name="waypost-store", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many rows wait for the database."""
        return self._spool.waiting

    @property
    def down(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._down

    def put(self, row: Decided) -> None:
        """Keep a row; when the disk or the spool is full it is dropped."""
        if (line := self._line(row)) is not None:
            self._append(line)

    def note(self, row: Decided) -> None:
        """Have a row kept by the next `keep`."""
        if (line := self._line(row)) is not None:
            self._noted.append(line)

    def keep(self) -> None:
        """Keep all rows that were noted; one for which the disk or the spool has no room is dropped."""
        noted = []
        try:
            while self._noted:
                noted.append(self._noted.popleft())
        except IndexError:  # another thread, at a close, keeps the rest
            pass
        if not noted:
            return
        if self._spool.append(b"".join(noted), len(noted)):
            self._wake()
        else:  # there may be room for some
            for line in noted:
                self._append(line)

    def put_feedback(self, row: Feedback) -> Future[None]:
        """A future that is done when the row is committed; `StoreDown` when the database does not answer.

        Raises:
            Full: too many wait already; nothing was kept.
        """
        done: Future[None] = Future()
        try:
            stored = row.row()
        except (ValueError, OverflowError, OSError) as error:
            done.set_exception(error)
            return done
        return self._wait(_Waiter(done, stored))

    def settled(self) -> Future[None]:
        """A future that is done when every row put so far is committed or dropped; `StoreDown` as for feedback.

        Raises:
            Full: too many wait already.
        """
        return self._wait(_Waiter(Future()))

    def find(self, decision: str) -> dict[str, Any] | None:
        """The stored row of a decision with its ``feedback``, or None; waits for the database.

        Raises:
            StoreDown: the database does not answer.
        """
        return self.database.find(decision)

    def spooled(self, decision: str) -> dict[str, Any] | None:
        """The row of a decision of this process that waits for the database, None where it does not."""
        found = self._spool.find(beginning_of(decision))
        return None if found is None else row_of(found)

    def spent(self, scope: Scope, since: float) -> dict[str, float]:
        """USD by key, team or called model since a time in Unix seconds; waits for the database.

        Rows that still wait in the spool count, whosever they are.

        Raises:
            StoreDown: the database does not answer.
        """
        start = iso(since)
        # First the spool, then the database: what moves from one to the other meanwhile is in both, not in neither.
        waiting: dict[str, dict[str, float]] = {}
        for line in lines(self._spool.folder):
            try:
                row = values(line)
            except ValueError:
                continue
            if row["time"] >= start and (shared := shares(row, scope)):
                waiting[row["id"]] = shared
        return self.database.spent(scope, start, waiting)

    def close(self, timeout: float = 15.0) -> None:
        """Write what waits, for at most ``timeout`` seconds; what is left waits in the spool for the next start."""
        self.keep()
        self._deadline = time.monotonic() + timeout
        self._hurry.set()
        self._awake.set()
        self._thread.join(timeout)
        if len(self):
            _log.error("%d row(s) wait in %s for the next start", len(self), self._spool.folder)

    def _wait(self, waiter: _Waiter) -> Future[None]:
        self._waiters.put_nowait(waiter)
        self._hurry.set()
        self._awake.set()
        return waiter.done

    def _line(self, row: Decided) -> bytes | None:
        try:
            return written(row)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            self._drop(str(error))
            return None

    def _append(self, line: bytes) -> None:
        if self._spool.append(line):
            self._wake()
        else:
            self._drop(None)

    def _wake(self) -> None:
        if not self._awake.is_set():
            self._awake.set()

    def _drop(self, why: str | None) -> None:
        self.dropped += 1
        if why is not None:
            _log.error("1 row(s) not written to %s: %s", self.database.name, why)
            return
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_SECONDS:
            self._complained = now
            _log.error(
                "the spool %s or its disk is full: %d row(s) dropped so far, and requests go on; free some space, or "
                "bring the database back",
                self._spool.folder,
                self.dropped,
            )

    def _work(self) -> None:
        pause = 0.0
        while self._deadline is None:
            if pause:
                self._hurry.wait(pause)
            elif self._awake.wait(_LOOK_SECONDS):
                self._hurry.wait(_LINGER_SECONDS)
            self._hurry.clear()
            self._awake.clear()
            pause = self._round(pause)
        self._round(0.0)
        self._spool.close()
        self.database.close()

    def _round(self, pause: float) -> float:
        """Do what there is to do; returns how long to wait before the next try, 0: until there is more to do."""
        waiters = self._asked()
        try:
            if self._deadline is None:
                self.database.migrate()
            self._adopt()
            self._drain(self._spool.appended)
            self._say([waiter for waiter in waiters if waiter.row is not None])
            _settle(waiters, None)
            more = self._replay() or self._prune()
        except Exception as error:  # noqa: BLE001 - the thread's outer edge: rows wait, whatever it is
            if not self._down:
                expected = isinstance(error, WaypostError)
                _log.error("%s; rows wait in %s", error, self._spool.folder, exc_info=None if expected else error)
            self._down = True
            _settle(waiters, error)
            least, most = _BACK_OFF_SECONDS
            return min(max(least, pause * 2), most)
        if self._down:
            _log.warning("the store %s answers again", self.database.name)
            self._down = False
        return _PAUSE_SECONDS if more else 0.0

    def _asked(self) -> list[_Waiter]:
        asked: list[_Waiter] = []
        with suppress(Empty):
            while True:
                asked.append(self._waiters.get_nowait())
        return asked

    def _adopt(self) -> None:
        if time.monotonic() < self._looked + _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        found = self._spool.adopt()
        if found:
            _log.warning("%d row(s) found in %s, left by a process that ended before", found, self._spool.folder)

    def _drain(self, appended: int) -> None:
        """Move this process's first so many rows to the database; others would make a waiter wait without end."""
        while not self._spool.passed(appended) and not self._late() and (batch := self._spool.batch(own=True)):
            self._move(batch)

    def _replay(self) -> bool:
        """Move what others have left, a batch after the other, until there is something of our own to do.

        Our own lines are for the next round: under load there are always some, and the others would never have a turn.
        """
        while not self._late() and (batch := self._spool.batch(own=False)):
            self._move(batch)
            if self._awake.is_set():
                return True
        return False

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _move(self, batch: Batch) -> None:
        kept = batch.lines
        if not batch.own:  # after a power cut there may be anything in a file
            kept = []
            for line in batch.lines:
                try:
                    kept.append(of_this_version(line))
                except ValueError:
                    self._drop("its line in the spool cannot be read")
        self._keep(kept)
        self._spool.done(batch)

    def _keep(self, rows: list[bytes]) -> None:
        """Write rows; one that the database refuses is found by halving, so that it takes no other with it."""
        try:
            if rows:
                self.database.keep(rows)
        except RowRefused as error:
            if len(rows) == 1:
                self._drop(str(error))
                return
            half = len(rows) // 2
            self._keep(rows[:half])
            self._keep(rows[half:])

    def _say(self, waiters: list[_Waiter]) -> None:
        try:
            if waiters:
                self.database.say([waiter.row for waiter in waiters if waiter.row is not None])
        except RowRefused as error:
            if len(waiters) == 1:
                _settle(waiters, error)
                return
            half = len(waiters) // 2
            self._say(waiters[:half])
            self._say(waiters[half:])
        else:
            _settle(waiters, None)

    def _prune(self) -> bool:
        """Delete some of what is too old; whether there is more."""
        now = time.monotonic()
        if self._keep_days is None or self._deadline is not None or now < self._pruned + _PRUNE_SECONDS:
            return False
        if self.database.prune(iso(time.time() - self._keep_days * _DAY_SECONDS)):
            return True
        self._pruned = now
        return False


def _beside(path: Path | None) -> Path:
    """Where the spool is when nobody says where."""
    return Path("waypost.spool") if path is None else path.with_name(f"{path.name}.spool")


def _settle(waiters: list[_Waiter], error: Exception | None) -> None:
    for waiter in waiters:
        # Some are settled already; one that has given up has cancelled its future.
        if not waiter.done.done() and waiter.done.set_running_or_notify_cancel():
            if error is None:
                waiter.done.set_result(None)
            else:
                waiter.done.set_exception(error)
