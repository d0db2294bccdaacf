"""A router that learns from feedback: which decisions wait for it, and where what was learnt is kept.

In the router's folder there is ``online/<number>/`` for the state after that many outcomes: the router, the decisions
that waited then (``pending.jsonl``), and all that came since (``journal.jsonl``, one event a line).  A state is written
beside and renamed when it is whole, the one before is removed afterwards.  So after a crash the last state and its
journal are there, and an outcome that was acknowledged is in one of them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import orjson

from waypost import routers
from waypost.errors import BadConfig, WaypostError
from waypost.gateway.chat import Exchange
from waypost.routers import Online
from waypost.routers.feedback import Pending, Verdict, Waiting
from waypost.store import Feedback

_log = logging.getLogger(__name__)

_EVERY = 200  # outcomes between two states: as many are learnt again after a crash
_ANY = ("What is 12 plus 30?", "Tell me about the town.")  # prompts by which two contexts are told apart
_PENDING, _JOURNAL = "pending.jsonl", "journal.jsonl"


@dataclass(slots=True)
class Learning:
    """Keeps decisions until feedback comes, teaches the router, and saves it now and then and at the end."""

    router: Online
    folder: Path
    pending: Pending = field(default_factory=Pending)
    learnt: int = 0
    _journal: IO[bytes] | None = None
    # Lines since a state that is being written was taken: they go into its journal too.
    _since: list[bytes] | None = None
    # The folder, open and locked as long as this process learns in it.
    _guard: int | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _saving: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, router: Online, folder: Path) -> Self:
        """Take up what was learnt by this router; of another one (it was trained again) it is left alone.

        Raises:
            OSError: the folder cannot be written to.
            BadConfig: another gateway learns in it.
        """
        learning = cls(router, folder / "online")
        learning.folder.mkdir(exist_ok=True)
        learning._guard = _alone(learning.folder)
        for state in sorted(learning._states(), key=lambda path: int(path.name), reverse=True):
            if learning._take_up(state):
                break
        # What came since the state is now learnt, and a state of its own.
        learning.save()
        return learning

    def wait(self, exchange: Exchange) -> None:
        """Let an exchange wait for its feedback, if the router made the choice and the answer came."""
        served = exchange.served
        propensity = exchange.decision.propensities.get(served or "", 0.0)
        if exchange.status != 200 or served is None or not propensity:
            return
        attempt = next((each for each in reversed(exchange.drive.attempts) if each.model == served), None)
        context_D = self.router.context([exchange.asked.query.text])[0]
        waiting = Waiting(
            id=exchange.id,
            time=exchange.began,
            model=served,
            propensity=propensity,
            context=tuple(context_D.tolist()),
            usd=attempt.usd if attempt else None,
            seconds=attempt.seconds if attempt else None,
        )
        with self._lock:
            self.pending.put(waiting)
            self._write(orjson.dumps(asdict(waiting)))

    async def told(self, said: Feedback) -> Verdict:
        """Learn from feedback; what is "taken" is on disk on return.  Other feedback changes nothing."""
        return await asyncio.to_thread(self._told, said)

    def _told(self, said: Feedback) -> Verdict:
        with self._lock:
            verdict, waiting = self.pending.take(said.decision, said.time)
            if waiting is None:
                return verdict
            self._write(orjson.dumps({"outcome": said.quality, "time": said.time, "id": said.decision}))
            self._learn(waiting, said.quality)
            due, journal = self.learnt % _EVERY == 0, self._journal
        # Without the lock, since a disk may take its time and requests are not to wait for it.  A journal that is
        # closed by now has been replaced by a state that holds this outcome and is on disk.
        with suppress(ValueError):
            if journal is not None:
                os.fsync(journal.fileno())
        if due and not self._saving.locked():
            try:
                self.save()
            except OSError as error:
                # The outcome is in the journal; it is the next state that has to wait.
                _log.error("what was learnt could not be saved in %s: %s", self.folder, error)
        return verdict

    def _learn(self, waiting: Waiting, quality: float) -> None:
        costs = (waiting.usd, waiting.seconds)
        self.router.learn(waiting.context, waiting.model, quality, waiting.propensity, *costs)
        self.learnt += 1

    def save(self) -> None:
        """Write a state; thread-safe, and feedback goes on meanwhile.

        Raises:
            OSError: the disk refuses; the state before stays in force.
        """
        with self._saving:
            with self._lock:
                still, lines, self._since = self.router.snapshot(), self.pending.lines(), []
            try:
                self._replace(still, lines)
            finally:
                self._since = None

    def _replace(self, still: Online, lines: list[bytes]) -> None:
        states = self._states()
        number = max((int(path.name) for path in states), default=-1) + 1
        draft, state = self.folder / f"{number}.draft", self.folder / str(number)
        shutil.rmtree(draft, ignore_errors=True)
        routers.save(still, draft)
        (draft / _PENDING).write_bytes(b"".join(line + b"\n" for line in lines))
        for file in draft.iterdir():
            _sync(file)
        with self._lock:
            (draft / _JOURNAL).write_bytes(b"".join(self._since or ()))
            _sync(draft / _JOURNAL)
            _sync(draft)
            draft.rename(state)
            _sync(self.folder)
            if self._journal is not None:
                self._journal.close()
            self._journal = (state / _JOURNAL).open("ab")
        for old in states:
            shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Save for the last time."""
        self.save()
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            if self._guard is not None:
                os.close(self._guard)
                self._guard = None

    def _states(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name.isdigit()]

    def _take_up(self, state: Path) -> bool:
        """Load a state and what came after it; whether it is one of this router."""
        try:
            learned: Any = routers.load(state)
            if not _same(learned, self.router):
                _log.warning("%s is of another router than the one configured: starting from that one", state)
                return True
            pending = Pending().restore((state / _PENDING).read_bytes().splitlines())
        except (OSError, WaypostError) as error:
            _log.error("what was learnt cannot be read from %s: %s", state, error)
            return False
        self.router, self.pending = learned, pending
        journal = state / _JOURNAL
        for line in journal.read_bytes().splitlines() if journal.is_file() else ():
            try:
                self._again(orjson.loads(line))
            except (orjson.JSONDecodeError, KeyError, WaypostError) as error:
                # The last line of a process that was killed may be torn; it was not acknowledged.
                _log.warning("%s: a line cannot be read: %s", journal, error)
        return True

    def _again(self, event: dict[str, Any]) -> None:
        if "outcome" not in event:
            self.pending.put(Waiting.of(event))
            return
        _, waiting = self.pending.take(event["id"], event["time"])
        if waiting is not None:
            self._learn(waiting, event["outcome"])

    def _write(self, line: bytes) -> None:
        if self._since is not None:
            self._since.append(line + b"\n")
        if self._journal is not None:
            self._journal.write(line + b"\n")
            self._journal.flush()


def _alone(folder: Path) -> int:
    """Lock a folder until the number that is returned is closed, which the end of a process does too."""
    import fcntl  # not on every system, and only a router that learns needs it

    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise BadConfig(
            f"another gateway learns in {folder}; two would overwrite what the other has learnt, so give each a copy "
            f"of the router's folder"
        ) from None
    return number


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _same(learned: Any, configured: Any) -> bool:
    """Whether a state was learnt by this router: the same kind, settings, models, table and context."""
    told = [each.name for each in fields(configured) if each.init and each.name != "encoder"] + ["models", "trained_on"]
    alike = type(learned) is type(configured) and learned.encoder.name == configured.encoder.name
    alike = alike and all(getattr(learned, name) == getattr(configured, name) for name in told)
    contexts = [each.context(_ANY) for each in (learned, configured)] if alike else []
    return alike and np.array_equal(*contexts)
