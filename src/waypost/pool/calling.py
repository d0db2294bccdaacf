"""What ties a call to its trace: what goes with its requests, and what is learnt of them on the way."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from waypost.errors import ModelFailed


class Retry(NamedTuple):
    """A try that failed and is made again: when (Unix nanoseconds), why, and after how many seconds."""

    at: int
    error: ModelFailed
    wait: float


@dataclass(slots=True)
class Calling:
    """One call under way: ``head`` are header lines of its requests, ``status`` is that of the latest answer."""

    head: bytes = b""
    status: int | None = None
    retries: list[Retry] = field(default_factory=list)


#: The call that the running task makes, where it is traced.
CALLING: ContextVar[Calling | None] = ContextVar("waypost_calling", default=None)
