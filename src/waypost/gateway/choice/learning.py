"""A router that learns from feedback: which decisions wait for it, and where what was learnt is kept.

In the router's folder there is ``online/<number>/`` for the state after that many outcomes: the router, the decisions
that waited then (``pending.jsonl``), and all that came since (``journal.jsonl``, one event a line).  A state is written
beside and renamed when it is whole, the one before is removed afterwards; meanwhile what comes goes into both journals.
So after a crash the last state and its journal are there, and an outcome that was acknowledged is in one of them.
States of another router, and states that cannot be read, are renamed and never removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Literal, Self

import numpy as np
import orjson

from waypost import routers
from waypost.errors import BadConfig, WaypostError
from waypost.gateway.exchange import Exchange
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
    # Of the state in force, and of one that is being written.
    _journals: list[IO[bytes]] = field(default_factory=list)
    # The states that this process took up or wrote; no other is removed.
    _own: list[Path] = field(default_factory=list)
    # The folder, open and locked as long as this process learns in it.
    _guard: int | None = None
    # Requests wait for this one, so nobody waits for a disk while holding it: lines are written under it, not synced.
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _saving: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, router: Online, folder: Path) -> Self:
        """Take up what was learnt by this router; other states are kept as ``1.other`` or ``1.unreadable``.

        Raises:
            OSError: the folder cannot be written to.
            BadConfig: another gateway learns in it.
        """
        learning = cls(router, folder / "online")
        learning.folder.mkdir(exist_ok=True)
        learning._guard = _alone(learning.folder)
        for state in sorted(learning._states(), key=lambda path: int(path.name), reverse=True):
            obstacle = learning._take_up(state)
            if obstacle is None:
                learning._own.append(state)
                break
            state.rename(state.with_name(f"{state.name}.{obstacle}"))
        # What came since the state is now learnt, and a state of its own.
        learning.save()
        return learning

    def teaches(self, router: Online) -> bool:
        """Whether a router that was read anew is the one that learns here, as it was before it learnt."""
        return _same(self.router, router)

    def wait(self, exchange: Exchange) -> None:
        """Let an exchange wait for its feedback, if the router made the choice and the answer came."""
        served, context = exchange.served, exchange.choice.context
        propensity = exchange.decision.propensities.get(served or "", 0.0)
        if exchange.status != 200 or served is None or not propensity or context is None:
            return
        attempt = next((each for each in reversed(exchange.drive.attempts) if each.model == served), None)
        waiting = Waiting(
            id=exchange.id,
            time=exchange.began,
            model=served,
            propensity=propensity,
            context=context,
            usd=attempt.usd if attempt else None,
            seconds=attempt.seconds if attempt else None,
        )
        with self._lock:
            try:
                self._write(orjson.dumps(waiting))
            except OSError as error:
                # The answer is out and good.  A decision that no journal knows must not wait: its outcome would be
                # acknowledged and yet be lost in a crash.
                _log.error("decision %s will not be learnt from, the journal cannot be written: %s", waiting.id, error)
                return
            self.pending.put(waiting)

    async def told(self, said: Feedback) -> Verdict:
        """Learn from feedback; what is "taken" is on disk on return.  Other feedback changes nothing.

        Raises:
            OSError: the disk refuses; where the outcome could not be written, the decision waits as before.
        """
        return await asyncio.to_thread(self._told, said)

    def _told(self, said: Feedback) -> Verdict:
        with self._lock:
            verdict, waiting = self.pending.take(said.decision, said.time)
            if waiting is None:
                return verdict
            try:
                self._write(orjson.dumps({"outcome": said.quality, "time": said.time, "id": said.decision}))
            except OSError:
                self.pending.put_back(waiting)
                raise
            self._learn(waiting, said.quality)
            due = self.learnt % _EVERY == 0
            # Copies, since a journal is closed when a state replaces it, and its number may soon be another file's.
            copies = [os.dup(journal.fileno()) for journal in self._journals]
        _sync_all(copies)
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
            state = self.folder / str(self._next())
            draft = state.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            journal = (draft / _JOURNAL).open("ab", buffering=0)
            with self._lock:
                # Copies and references: what takes time is done when requests need not wait for it.
                still, lines = self.router.snapshot(), self.pending.lines()
                self._journals.append(journal)
            try:
                routers.save(still, draft)
                (draft / _PENDING).write_bytes(b"".join(line + b"\n" for line in lines))
                for file in draft.iterdir():
                    _sync(file)
                _sync(draft)
                draft.rename(state)
            except BaseException:
                self._end([journal])
                raise
            # A start takes up this state from now on; after a power cut it may still be the one before.  So both
            # journals are kept until the new name is on disk, or if that fails until the next state is.
            self._own.append(state)
            _sync(self.folder)
            self._end(self._journals[:-1])
            while len(self._own) > 1:
                shutil.rmtree(self._own.pop(0), ignore_errors=True)

    def _end(self, journals: list[IO[bytes]]) -> None:
        with self._lock:
            for journal in journals:
                self._journals.remove(journal)
                journal.close()

    def close(self) -> None:
        """Save for the last time."""
        self.save()
        with self._lock:
            self._end(self._journals[:])
            if self._guard is not None:
                os.close(self._guard)
                self._guard = None

    def _states(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name.isdecimal()]

    def _next(self) -> int:
        """A number that no state has or had, whatever became of it."""
        numbers = (path.name.partition(".")[0] for path in self.folder.iterdir() if path.suffix != ".draft")
        return max((int(number) for number in numbers if number.isdecimal()), default=-1) + 1

    def _take_up(self, state: Path) -> Literal["other", "unreadable"] | None:
        """Load a state and what came after it, or say what it is instead of one of this router."""
        journal = state / _JOURNAL
        try:
            learned: Any = routers.load(state)
            if not _same(learned, self.router):
                _log.warning("%s is of another router than the one configured: kept as %s.other", state, state.name)
                return "other"
            pending = Pending().restore((state / _PENDING).read_bytes().splitlines())
            events = journal.read_bytes().splitlines() if journal.is_file() else []
        except (OSError, WaypostError) as error:
            _log.error("what was learnt cannot be read from %s, kept as %s.unreadable: %s", state, state.name, error)
            return "unreadable"
        self.router, self.pending = learned, pending
        for line in events:
            try:
                self._again(orjson.loads(line))
            except (orjson.JSONDecodeError, KeyError, WaypostError) as error:
                # The last line of a process that was killed may be torn; it was not acknowledged.
                _log.warning("%s: a line cannot be read: %s", journal, error)
        return None

    def _again(self, event: dict[str, Any]) -> None:
        if "outcome" not in event:
            self.pending.put(Waiting.of(event))
            return
        _, waiting = self.pending.take(event["id"], event["time"])
        if waiting is not None:
            self._learn(waiting, event["outcome"])

    def _write(self, line: bytes) -> None:
        """Append a line to the journals, to all or to none: half a line would spoil the next one."""
        numbers = [journal.fileno() for journal in self._journals]
        ends = [os.fstat(number).st_size for number in numbers]
        try:
            for number in numbers:
                rest = line + b"\n"
                while rest:
                    rest = rest[os.write(number, rest) :]
        except OSError:
            for number, end in zip(numbers, ends, strict=True):
                os.ftruncate(number, end)
            raise


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


def _sync_all(numbers: list[int]) -> None:
    """Wait until open files are on disk, and close them."""
    try:
        for number in numbers:
            os.fsync(number)
    finally:
        for number in numbers:
            os.close(number)


def _same(learned: Any, configured: Any) -> bool:
    """Whether a state was learnt by this router: the same kind, settings, models, table and context."""
    told = [each.name for each in fields(configured) if each.init and each.name != "encoder"] + ["models", "trained_on"]
    alike = type(learned) is type(configured) and learned.encoder.name == configured.encoder.name
    alike = alike and all(getattr(learned, name) == getattr(configured, name) for name in told)
    contexts = [each.context(_ANY) for each in (learned, configured)] if alike else []
    return alike and np.array_equal(*contexts)
