"""The trace of one request while it is under way: when it began, and what was called for it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from waypost.errors import WaypostError
from waypost.gateway.traces.context import Context, header_lines
from waypost.pool.calling import CALLING, Calling
from waypost.types import Answer, Call, Delta

_ids = random.Random()  # noqa: S311 - a name and no secret; drawn from the system, it would take some microseconds


@dataclass(slots=True, kw_only=True)
class Traced(Calling):
    """One call: what was asked, and what came of it; times are in Unix nanoseconds, 0 where there is none yet.

    ``first`` is when its first piece came, of which ``chunk`` is the provider's own JSON.
    """

    call: Call
    span_id: str
    start: int
    end: int = 0
    first: int = 0
    chunk: Mapping[str, Any] | None = None
    answer: Answer | None = None
    error: WaypostError | None = None
    outcome: str = "cut"

    def begun(self, piece: Delta | Answer) -> None:
        """The first piece of a stream is there."""
        self.first = time.time_ns()
        if isinstance(piece, Delta):
            self.chunk = piece.chunk

    def answered(self, answer: Answer) -> None:
        """The answer is there."""
        self.end, self.answer, self.outcome = time.time_ns(), answer, "ok"
        CALLING.set(None)

    def failed(self, error: WaypostError, outcome: str) -> None:
        """There is none."""
        self.end, self.error, self.outcome = time.time_ns(), error, outcome
        CALLING.set(None)


@dataclass(slots=True)
class Trace:
    """One request: ``kept`` says whether its spans are sent; whoever is called is told either way."""

    trace_id: str
    span_id: str
    kept: bool
    parent: Context | None = None
    start: int = field(default_factory=time.time_ns)
    calls: list[Traced] = field(default_factory=list)

    def call(self, call: Call) -> Traced:
        """Begin a call, which the running task makes."""
        span_id = new_id(8)
        state = self.parent.state if self.parent is not None else ""
        head = header_lines(self.trace_id, span_id, sampled=self.kept, state=state)
        traced = Traced(head=head, call=call, span_id=span_id, start=time.time_ns())
        self.calls.append(traced)
        CALLING.set(traced)
        return traced


def new_id(size: int) -> str:
    """A random id of so many bytes, in hex; one of zeros only, which would be no id, does not come up."""
    return f"{_ids.getrandbits(8 * size):0{2 * size}x}"
