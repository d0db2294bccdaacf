"""The events of a streamed answer, pushed to whoever takes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, Self

from waypost.errors import ModelFailed
from waypost.pool.sse import Event, EventParser
from waypost.pool.wire import Broken, Response

_END_SECONDS = 0.25
_LAST = frozenset({"message_stop", "response.completed", "response.incomplete"})


class Call(Protocol):
    """A request whose answer arrives."""

    response: Response

    async def __aenter__(self) -> Self:
        """Wait for the answer's head."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Hang up, unless the answer is over."""
        ...

    def expect(self, wait: float) -> None:
        """Something more must come within so many seconds."""
        ...

    async def news(self, wait: float) -> bool:
        """Wait until there is something to see to; False: the end."""
        ...


class Events:
    """A context: the events of an answer, each pushed to who takes it as soon as its last byte is there."""

    __slots__ = ("_call", "_error", "_idle", "_last", "_parser", "_ready", "_take", "_wait", "_waits")

    _take: Callable[[Event], Awaitable[None] | None]

    def __init__(self, call: Call, first: float, idle: float) -> None:
        self._call = call
        self._wait = first
        self._idle = idle
        self._parser = EventParser()
        self._ready: deque[Event] = deque()  # what waits for its taker
        self._waits: Awaitable[None] | None = None
        self._error: Exception | None = None
        self._last = False

    async def __aenter__(self) -> Self:
        await self._call.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._last:
                await _finish(self._call.response)
        finally:
            await self._call.__aexit__()

    async def push(self, take: Callable[[Event], Awaitable[None] | None]) -> None:
        """Hand over the events until `stop`, the last or the stream's end; what ``take`` raises is raised here.

        What ``take`` gives is waited for, and the server held back meanwhile.
        """
        response = self._call.response
        self._take = take
        self._came(response.come())
        response.tap = self._came
        try:
            while True:
                if self._error is not None:
                    raise self._error
                if self._waits is not None:
                    await self._catch_up(self._waits)
                elif self._last:
                    return
                elif not await self._call.news(self._wait):
                    self._ready.extend(self._parser.end())
                    self._hand_over()
                    self._last = self._last or not (self._ready or self._waits)
        finally:
            response.tap = None
            del self._take  # which may refer to us

    async def _catch_up(self, wait: Awaitable[None]) -> None:
        response = self._call.response
        response.hold(True)
        await wait
        self._waits = None
        self._hand_over()
        if self._waits is None:
            response.hold(False)

    def stop(self) -> None:
        """That was the last event."""
        self._last = True

    def _came(self, piece: bytes) -> None:
        """Take what came, at once; what goes wrong is for `push` to raise."""
        if not piece:
            return
        self._wait = self._idle
        self._call.expect(self._idle)
        try:
            self._ready.extend(self._parser.feed(piece))
        except ModelFailed as error:
            self._error = error
        self._hand_over()
        if self._last or self._waits is not None or self._error is not None:
            self._call.response.wake()

    def _hand_over(self) -> None:
        try:
            while self._ready and self._waits is None and self._error is None and not self._last:
                event = self._ready.popleft()
                self._last = event.data == b"[DONE]" or event.name in _LAST
                self._waits = self._take(event)
        except Exception as error:  # noqa: BLE001 - it is raised where the events are waited for
            self._error = error


async def _finish(response: Response) -> None:
    """After the last event, await the body's end, which comes with it, so that the connection can serve again."""
    if response.over:
        return
    with suppress(TimeoutError, Broken):
        async with asyncio.timeout(_END_SECONDS):
            async for _ in response:
                pass
