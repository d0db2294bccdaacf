"""One HTTP/1.1 connection and the answer that arrives on it.

References: RFC 9110 and RFC 9112. Both asyncio and uvloop set TCP_NODELAY on every connection by themselves.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Self, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_HEAD_LIMIT = 64 << 10  # bytes without any body among them: heads, trailers, chunk extensions
_LAG = 256 << 10  # bytes of a body that may wait for their reader before the server is held back


class Broken(Exception):
    """The exchange cannot go on; the text says why and quotes nothing that was sent or came."""


class Response:
    """An answer as it arrives; iterating over it gives what has come of its body since the last step.

    ``until``, in the loop's time, is how long to wait for whatever comes next.

    Raises:
        Broken: while iterating; the connection was lost before the end, or what came is no HTTP.
        TimeoutError: while iterating; nothing came in time.
    """

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.until = math.inf
        self._connection = connection
        self._headers: list[tuple[bytes, bytes]] = []
        self._begun = False
        self._over = False
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._error: Broken | None = None
        self._waiter: asyncio.Future[None] | None = None
        #: Takes each piece of the body as it comes, in place of who iterates.
        self.tap: Callable[[bytes], None] | None = None

    @property
    def over(self) -> bool:
        """Whether the whole body has come and was given out."""
        return self._over and not self._chunks

    def header(self, name: str) -> str | None:
        """A header's value by its name in small letters, several joined by commas; None if it did not come."""
        found = [value.decode("latin-1") for key, value in self._headers if key.lower() == name.encode()]
        return ", ".join(found) if found else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if chunk := await self.more():
            return chunk
        raise StopAsyncIteration

    async def more(self) -> bytes:
        """What comes next of the body, empty at its end; raises as iterating does."""
        while not self._chunks:
            if self._error:
                raise self._error
            if self._over:
                return b""
            await self._news()
        return self.come()

    def come(self) -> bytes:
        """What has come of the body since the last step, without waiting; often that is all of it."""
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._waiting = 0
        if self._connection.held:
            self._connection.hold(False)
        return chunk

    async def news(self) -> bool:
        """Wait until the body has ended, which is False, or `wake` was called; raises as iterating does."""
        if self._error:
            raise self._error
        if not self._over:
            await self._news()
        if self._error:
            raise self._error
        return not self._over

    def wake(self) -> None:
        """Have whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def hold(self, back: bool) -> None:
        """Hold the server back, or let it send on."""
        self._connection.hold(back)

    async def read(self, limit: int) -> bytes:
        """The body, or its first ``limit`` bytes if it is longer; raises as iterating does."""
        body = bytearray()
        async for chunk in self:
            body += chunk
            if len(body) >= limit:
                break
        return bytes(body[:limit])

    async def begin(self) -> None:
        """Wait for the head of the answer; raises as iterating does."""
        while not self._begun:
            if self._error:
                raise self._error
            await self._news()

    def fail(self, error: Broken) -> None:
        """Nothing more will come."""
        if not self._over:
            self._error = self._error or error
            self.wake()

    def end_of_input(self) -> None:
        """The server has closed its side, which ends a body that tells its length in no other way."""
        chunked = (self.header("transfer-encoding") or "").lower().endswith("chunked")
        if self._begun and not chunked and self.header("content-length") is None:
            self._over = True
            self.wake()

    def on_message_begin(self) -> None:
        """Refuse an answer after the answer; the parser hands this on as its own error."""
        if self._over:
            raise Broken("more came than the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those after the body mean nothing here."""
        if not self._begun:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the answer, unless it is only an interim one such as 100 (Continue) or 103 (Early Hints)."""
        self.status = self._connection.parser.get_status_code()
        if self.status // 100 == 1:
            self._headers.clear()
        else:
            self._begun = True
            self.wake()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body for the reader."""
        self._connection.bodiless = 0
        if self.tap is not None:
            self.tap(body)
            return
        self._chunks.append(body)
        self._waiting += len(body)
        if self._waiting > _LAG:
            self._connection.hold(True)
        self.wake()

    def on_message_complete(self) -> None:
        """End the answer."""
        if self._begun:
            self._over = True
            self._connection.keep = self._connection.parser.should_keep_alive()
            self.wake()

    def ring(self, now: float) -> float | None:
        """Give up if that is due, else tell the loop's time when it will be, if anyone waits."""
        if self._waiter is None or self._waiter.done():
            return None
        if now < self.until:
            return self.until
        self._waiter.set_exception(TimeoutError())
        return None

    async def _news(self) -> None:
        connection = self._connection
        self._waiter = connection.loop.create_future()
        if self.until < math.inf:
            connection.set_alarm(self.until)
        try:
            await self._waiter
        finally:
            self._waiter = None


class Connection(asyncio.Protocol):
    """One connection, which serves one exchange after the other."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    parser: HttpResponseParser
    response: Response | None = None
    heard = False  # whether a byte came in answer to the present request
    bodiless = 0  # bytes that came since the last of a body
    keep = False  # whether the server said that the connection may serve again
    held = False
    since = 0.0  # the loop's time when it fell idle
    # One timer a connection, which is moved only when it rings: setting one for each wait would cost more than the
    # waiting does.
    _alarm: asyncio.TimerHandle | None = None
    _due = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport, and the loop: asking which one runs costs a system call before Python 3.12."""
        self.loop = asyncio.get_running_loop()
        self.transport = cast(asyncio.Transport, transport)

    async def exchange(self, request: bytes, until: float = math.inf) -> Response:
        """Send a request and wait for the head of its answer; whatever goes wrong or is cancelled ends both."""
        self.response = response = Response(self)
        response.until = until
        self.parser = HttpResponseParser(response)
        self.heard, self.bodiless, self.keep = False, 0, False
        self.transport.write(request)
        try:
            await response.begin()
        except BaseException:
            self.transport.abort()
            raise
        return response

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the answer; those that nobody asked for would pass for the next one, so they end the wire."""
        if self.response is None:
            self.transport.abort()
            return
        self.heard = True
        self.bodiless += len(data)
        try:
            self.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._give_up("what came is no HTTP/1.1")
        if self.bodiless > _HEAD_LIMIT:
            self._give_up("the answer's head is larger than 64 kB")

    def eof_received(self) -> None:
        """Tell the answer; asyncio then closes our side."""
        if self.response is not None:
            self.response.end_of_input()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the answer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.response is not None:
            self.response.fail(Broken("the connection was lost before the answer was complete"))

    def set_alarm(self, until: float) -> None:
        """See to it that somebody looks at the time at ``until`` at the latest."""
        if self._alarm is not None:
            if self._due <= until:
                return
            self._alarm.cancel()
        self._due = until
        self._alarm = self.loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        # A timer may ring a little early, by the clock's resolution.
        later = self.response.ring(max(self.loop.time(), self._due)) if self.response is not None else None
        if later is not None:
            self.set_alarm(later)

    def hold(self, back: bool) -> None:
        """Hold the server back while the reader lags."""
        if back != self.held:
            self.held = back
            (self.transport.pause_reading if back else self.transport.resume_reading)()

    def rest(self) -> bool:
        """End the exchange; False if the connection cannot serve another, because it is not over in every respect."""
        done = self.keep and not self.held and self.transport.get_write_buffer_size() == 0
        self.response = None
        del self.parser  # which refers to the response, which refers to this
        return done

    def _give_up(self, reason: str) -> None:
        if self.response is not None:
            self.response.fail(Broken(reason))
        self.transport.abort()
