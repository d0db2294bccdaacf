"""One request on a connection and the answer to it, as an ASGI application sees them.

Reference: the ASGI specification 3.0, HTTP; what is checked here keeps a mistake of ours from spoiling the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from waypost.gateway.wire import Headers, Receive, Scope, Send

_log = logging.getLogger(__name__)

_MOST_WAITING = 64 << 10  # bytes of a body that may wait for the application before the client is held back
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
_BODILESS = (204, 304)
_CHUNKED = (b"transfer-encoding", b"chunked")
_CLOSE = (b"connection", b"close")


class App(Protocol):
    """An ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        ...


class Wire(Protocol):
    """What a turn needs of its connection."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    #: Not None while the client does not read; done when it does again, or is gone.
    stalled: asyncio.Future[None] | None

    @property
    def default_headers(self) -> Headers:
        """Headers of every answer."""
        ...

    def hold(self, back: bool) -> None:
        """Hold the client back, or let it send on."""
        ...

    def ended(self, turn: Turn) -> None:
        """The answer is whole."""
        ...


class Turn:
    """A request as it arrives, and its answer as it leaves: head and first bytes in one write, the dearest step."""

    __slots__ = (
        "_chunked",
        "_head",
        "_left",
        "_more",
        "_news",
        "_pieces",
        "_silent",
        "_size",
        "_waiter",
        "_wants_go_ahead",
        "_wire",
        "begun",
        "ended",
        "gone",
        "keep_alive",
        "scope",
    )

    def __init__(self, wire: Wire, scope: dict[str, Any], *, keep_alive: bool, wants_go_ahead: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive  # whether the connection may serve another request
        self.begun = False  # whether the head of the answer is known
        self.ended = False  # whether all of it was written
        self.gone = False  # whether the client has left
        self._wire = wire
        self._wants_go_ahead = wants_go_ahead
        self._pieces: list[bytes] = []
        self._size = 0
        self._more = True
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False
        self._silent = scope["method"] == "HEAD"  # only the head is sent
        self._left: int | None = 0  # bytes of the body that are still due; None: as many as there will be

    async def run(self, app: App, running: set[asyncio.Task[None]]) -> None:
        """Let the application answer; whatever it leaves undone ends the connection."""
        task = asyncio.current_task(self._wire.loop)
        assert task is not None  # noqa: S101 - for the type checker: it is this one
        running.add(task)
        try:
            await app(self.scope, self.receive, self)
        except Exception:  # noqa: BLE001 - the outer edge: the connection must end, whatever it is
            _log.exception("the application failed")
        finally:
            running.discard(task)
            if not self.ended and not self.gone:
                self._break_off()

    def came(self, body: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(body)
        self._size += len(body)
        if self._size > _MOST_WAITING:
            self._wire.hold(True)
        self._wake()

    def whole(self) -> None:
        """The body's end."""
        self._more = False
        self._wake()

    def leave(self) -> None:
        """The client is gone, or is no longer listened to."""
        self.gone = True
        self._wake()

    async def receive(self) -> MutableMapping[str, Any]:
        """What came of the body since the last call, or that the client is gone."""
        if self._wants_go_ahead and not self.begun:
            self._wants_go_ahead = False
            self._wire.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._news or self.gone or self.ended):
            self._wire.hold(False)
            self._waiter = self._wire.loop.create_future()
            await self._waiter
        if self.gone or self.ended:
            return {"type": "http.disconnect"}
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._size, self._news = 0, False
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Write a part of the answer, as ASGI's ``send``; waits while the client does not read.

        Raises:
            RuntimeError: a part out of order, a header with a line break, or a body that is not as long as was said.
        """
        if not self.begun:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"an answer begins with its head, and not with {message['type']}")
            self.start(message["status"], message["headers"])
            return
        if message["type"] != "http.response.body" or self.ended:
            raise RuntimeError(f"{message['type']} is out of order")
        if self._wire.stalled is not None:
            await asyncio.shield(self._wire.stalled)
        if not self.gone:
            self._write(message["body"], more=message.get("more_body", False))

    def start(self, status: int, headers: Headers) -> None:
        """The head, which leaves with the first piece.

        Raises:
            RuntimeError: a header with a line break.
        """
        self._head = self._begin(status, headers)
        self.begun = True

    def piece(self, body: bytes) -> Awaitable[None] | None:
        """Write a piece of the body; gives what to wait for before the next, if the client does not read."""
        if self.gone:
            return None
        self._write(body, more=True)
        stalled = self._wire.stalled
        return None if stalled is None else asyncio.shield(stalled)

    async def end(self, body: bytes) -> None:
        """Write the last piece; waits while the client does not read."""
        if self._wire.stalled is not None:
            await asyncio.shield(self._wire.stalled)
        if not self.gone:
            self._write(body, more=False)

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                data += b"0\r\n\r\n"
        else:
            data = body
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise RuntimeError("the body is not as long as its head says")
        if self._silent:
            data = b""
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._wire.transport.write(data)
        if not more:
            self.ended = True
            self._wake()
            if not self.keep_alive:
                self._wire.transport.close()
            self._wire.ended(self)

    def _begin(self, status: int, headers: Headers) -> bytes:
        headers = [*self._wire.default_headers, *headers]
        said = dict(headers)
        length = said.get(b"content-length")
        self._left = None if length is None else int(length)
        if b"connection" in said:
            self.keep_alive = False  # the only thing that is ever said of it is that it closes
            headers = [pair for pair in headers if pair[0] != b"connection"]
        # A client of HTTP/1.0 knows no chunks: there a body of unknown length ends with the connection.
        self._chunked = length is None and status not in _BODILESS and self.scope["http_version"] == "1.1"
        if self._chunked:
            headers.append(_CHUNKED)
        if not self.keep_alive:
            headers.append(_CLOSE)
        return head(status, headers)

    def _break_off(self) -> None:
        wire = self._wire
        if not self.begun or self._head:
            text = b"Internal Server Error"
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            self.keep_alive = False
            wire.transport.write(self._begin(500, headers) + text)
        wire.transport.close()

    def _wake(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def head(status: int, headers: Headers) -> bytes:
    r"""All of an answer that stands before its body.

    Raises:
        RuntimeError: a header holds a line break.

    >>> head(200, [(b"content-length", b"2")])
    b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n'
    """
    lines = b"\r\n".join([_STATUS.get(status) or b"HTTP/1.1 %d " % status, *map(b": ".join, headers)])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers) or b"\0" in lines:
        raise RuntimeError("a header holds a line break")
    return lines + b"\r\n\r\n"
