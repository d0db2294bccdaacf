"""The door of the gateway: knows who is inside, and sends home who takes too long."""

from __future__ import annotations

import asyncio
from typing import Protocol

from waypost.gateway.sections.server import ServerSettings


class Guest(Protocol):
    """A connection; its times are in the loop's seconds."""

    loop: asyncio.AbstractEventLoop
    until: float
    stalled_until: float

    def late(self, now: float) -> None:
        """What it waits for has not come in time."""
        ...

    def last(self) -> None:
        """The answer that is under way, if any, is the last on it."""
        ...


class Door:
    """Looks once a while whose time is up: that costs less than a timer for each request."""

    def __init__(self, limits: ServerSettings) -> None:
        self.limits = limits
        #: Whether the server is about to end, so that no connection is kept for another request.
        self.draining = False
        self._open: set[Guest] = set()
        times = (limits.head_seconds, limits.body_idle_seconds, limits.body_seconds, limits.idle_seconds)
        self._every = min(1.0, *(seconds / 4 for seconds in times))
        self._looking = False

    def drain(self) -> None:
        """Let every connection end with the answer that is under way, if any."""
        self.draining = True
        for guest in tuple(self._open):
            guest.last()

    def came(self, guest: Guest) -> None:
        """Keep an eye on a connection."""
        self._open.add(guest)
        if not self._looking:
            self._looking = True
            guest.loop.call_later(self._every, self._look, guest.loop)

    def left(self, guest: Guest) -> None:
        """Forget a connection."""
        self._open.discard(guest)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for guest in tuple(self._open):
            if guest.until <= now or guest.stalled_until <= now:
                guest.late(now)
        self._looking = bool(self._open)
        if self._looking:
            loop.call_later(self._every, self._look, loop)
