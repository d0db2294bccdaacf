"""The client of a request, as far as it may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from waypost.gateway.wire import Scope

LEAVING = "waypost.leaving"
"""Where a request's scope has the `Leaving` of its connection."""


class Leaving(set[Callable[[], None]]):
    """What a connection calls when it is lost; ``loop`` is the one that it lives in."""

    __slots__ = ("loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop


class Client:
    """Cancels the task that serves it as soon as it leaves, if its connection tells; so nobody works for the departed.

    A task that watched for it would cost each request more than all else that is done here.
    """

    __slots__ = ("_leaving", "_left", "_task")

    def __init__(self, scope: Scope) -> None:
        self._leaving: Leaving | None = scope.get(LEAVING)
        # Without the loop it would be asked for, which costs a system call before Python 3.12.
        self._task = asyncio.current_task(None if self._leaving is None else self._leaving.loop)
        self._left = False
        if self._leaving is not None:
            self._leaving.add(self._leave)

    def has_left(self) -> bool:
        """Whether it is for the client's sake that the task was cancelled, and for nobody else's; asked once then."""
        # Someone else may want this task to end too (the server, at its own end); only our own wish is settled.
        return self._left and self._task is not None and self._task.uncancel() == 0

    def close(self) -> None:
        """Its request has ended; it may leave as it likes."""
        if self._leaving is not None:
            self._leaving.discard(self._leave)

    def _leave(self) -> None:
        self._left = True
        if self._task is not None:
            self._task.cancel()
