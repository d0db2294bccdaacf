"""Decisions that wait for their outcome, so that what comes late, twice or never has a defined answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, Self

import orjson

from waypost.errors import BadInput

Verdict = Literal["taken", "twice", "late", "unknown"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decision whose outcome is to come: what a router needs to learn of it.

    ``context`` is the router's own numbers of the prompt, not its text; ``time`` is in seconds, by the caller's clock.
    """

    id: str
    time: float
    model: str
    propensity: float
    context: tuple[float, ...]
    usd: float | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """A decision from its row in a file.

        Raises:
            BadInput: a field is missing or of the wrong kind.
        """
        try:
            usd, seconds = (None if row.get(name) is None else float(row[name]) for name in ("usd", "seconds"))
            context = tuple(map(float, row["context"]))
            return cls(
                str(row["id"]), float(row["time"]), str(row["model"]), float(row["propensity"]), context, usd, seconds
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"this is no waiting decision: {error!r}, in {str(dict(row))[:80]}") from error


@dataclass(slots=True)
class Pending:
    """Keeps decisions until their outcome comes, at most ``most`` of them and none older than ``max_age`` seconds.

    An outcome is "taken" once, and then its decision is given back to learn from; after that it is "twice" (the first
    word counts).  One that comes after its decision has expired is "late", and of a decision never seen, or long
    forgotten, "unknown".  Of these three nothing is learnt.  What is settled is remembered as long as what waits: the
    latest ``most``.  When there is no room the oldest decision expires first.  Time is an argument, and nothing here
    looks at a clock.  Thread-safe.

    >>> pending = Pending(max_age=60)
    >>> pending.put(Waiting("a1", 0.0, "small", 0.9, (1.0,)))
    >>> pending.take("a1", 5.0)[0], pending.take("a1", 6.0)[0], pending.take("a2", 6.0)[0]
    ('taken', 'twice', 'unknown')
    """

    most: int = 10_000
    max_age: float = 86_400.0
    expired: int = 0
    _waiting: OrderedDict[str, Waiting] = field(default_factory=OrderedDict)
    _settled: OrderedDict[str, Verdict] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.most < 1 or not self.max_age > 0:
            raise ValueError(f"most must be at least 1 and max_age above 0, got {self.most} and {self.max_age}")

    def __len__(self) -> int:
        """How many decisions wait."""
        return len(self._waiting)

    def put(self, decision: Waiting) -> None:
        """Let a decision wait; one whose id is known already changes nothing."""
        with self._lock:
            self._expire(decision.time)
            if decision.id in self._waiting or decision.id in self._settled:
                return
            self._waiting[decision.id] = decision
            while len(self._waiting) > self.most:
                self._end(next(iter(self._waiting)), "late")

    def take(self, id: str, now: float) -> tuple[Verdict, Waiting | None]:
        """What an outcome that comes now is worth, and its decision if it is the first and in time."""
        with self._lock:
            self._expire(now)
            if (decision := self._waiting.get(id)) is not None:
                # Not all decisions come in the order of their time, so this one may be too old behind a younger one.
                if now - decision.time > self.max_age:
                    self._end(id, "late")
                    return "late", None
                self._end(id, "twice")
                return "taken", decision
            return self._settled.get(id, "unknown"), None

    def put_back(self, decision: Waiting) -> None:
        """Let a decision wait again that was taken just now, because its outcome could not be kept."""
        with self._lock:
            self._settled.pop(decision.id, None)
            self._waiting[decision.id] = decision

    def expire(self, now: float) -> int:
        """End what is too old, and say how many decisions have expired since the start."""
        with self._lock:
            self._expire(now)
            return self.expired

    def lines(self) -> Iterator[bytes]:
        """What waits and what is settled now, as JSON lines, oldest first; they are written as they are taken."""
        with self._lock:
            settled, waiting = list(self._settled.items()), list(self._waiting.values())
        yielded = ({"id": id, "settled": verdict} for id, verdict in settled)
        return map(orjson.dumps, chain(yielded, waiting))

    def restore(self, lines: Iterable[bytes | str]) -> Self:
        """Take up what `lines` gave; of an id that is known already nothing changes.

        Raises:
            BadInput: a line is none of ours; it is named, and the lines before it are in.
        """
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
                if "settled" not in row:
                    self.put(Waiting.of(row))
                    continue
                with self._lock:
                    self._waiting.pop(row["id"], None)
                    self._remember(str(row["id"]), "late" if row["settled"] == "late" else "twice")
            except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError, BadInput) as error:
                raise BadInput(f"line {number} of the waiting decisions cannot be read: {error}") from error
        return self

    def _expire(self, now: float) -> None:
        while self._waiting and now - next(iter(self._waiting.values())).time > self.max_age:
            self._end(next(iter(self._waiting)), "late")

    def _end(self, id: str, verdict: Verdict) -> None:
        del self._waiting[id]
        self.expired += verdict == "late"
        self._remember(id, verdict)

    def _remember(self, id: str, verdict: Verdict) -> None:
        self._settled[id] = verdict
        while len(self._settled) > self.most:
            self._settled.popitem(last=False)
