"""HTTP/1.1 as clients may speak it: within limits of time and size, and with one meaning only.

uvicorn's protocol does the work.  Here stands what an open door needs besides: clients that send a byte a minute, that
never read their answer, that leave it open where a message ends, or that come by the thousand.

References: RFC 9112, sections 3 (request line and Host), 6 (message body) and 9 (connections).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn, cast

import httptools
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from waypost.errors import WaypostError
from waypost.gateway.client import LEAVING
from waypost.gateway.sections.server import ServerSettings
from waypost.gateway.wire import Busy, TooLarge, error_body, error_headers

# What a connection waits for.
_HEAD, _BODY, _ANSWER, _NEXT, _END = range(5)

_HOST = re.compile(rb"[A-Za-z0-9._~-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_MOST_PIPELINED = 16
_LINGER_SECONDS = 2.0


class BadHttp(WaypostError):
    """What came is no request that has one meaning."""

    status = 400
    code = "bad_http"


class HeadTooLarge(BadHttp):
    """The head of a request has more or longer headers than the server takes."""

    status = 431
    code = "headers_too_large"


class TooSlow(BadHttp):
    """A request did not arrive in its time."""

    status = 408
    code = "request_timeout"


class Door:
    """Makes the protocol of each connection, and looks once a while whose time is up.

    One look at all connections costs less than a timer for each of their requests.
    """

    def __init__(self, limits: ServerSettings) -> None:
        self.limits = limits
        #: Whether the server is about to end, so that no connection is kept for another request.
        self.draining = False
        self._open: set[Guarded] = set()
        self._every = min(1.0, *(seconds / 4 for seconds in _times(limits)))
        self._looking = False

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Guarded:
        """The protocol of a new connection, as uvicorn asks for it."""
        return Guarded(self, config, server_state, app_state, _loop)

    def drain(self) -> None:
        """Let every connection end with the answer that is under way, if any."""
        self.draining = True
        for connection in tuple(self._open):
            connection.last()

    def came(self, connection: Guarded) -> None:
        """Keep an eye on a connection."""
        self._open.add(connection)
        if not self._looking:
            self._looking = True
            connection.loop.call_later(self._every, self._look, connection.loop)

    def left(self, connection: Guarded) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in tuple(self._open):
            if connection.until <= now or connection.stalled_until <= now:
                connection.late(now)
        self._looking = bool(self._open)
        if self._looking:
            loop.call_later(self._every, self._look, loop)


def _times(limits: ServerSettings) -> tuple[float, ...]:
    return (limits.head_seconds, limits.body_idle_seconds, limits.body_seconds, limits.idle_seconds)


class _Joined:
    """The transport as one answer sees it: the head waits for the first bytes of the body, to leave with them.

    uvicorn writes each by itself, and a write is the dearest thing that is done for a request.
    """

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is None and self._cycle.response_started:
            self._head = data
        elif self._head:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        else:
            self._transport.write(data)  # more of the body, or the interim answer that asks for that of the request

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol with limits; ``until`` is the loop's time when what it waits for must have come."""

    until = math.inf
    stalled_until = math.inf  # when a client that does not read its answer is given up

    def __init__(
        self,
        door: Door,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._limits = door.limits
        self._waits_for = _HEAD
        self._head_bytes = 0
        self._body_end = math.inf
        self._watched: list[tuple[bytes, bytes]] = []
        self._host: bytes | None = None  # the last that was found good
        self._refusal: WaypostError | None = None
        self._running: RequestResponseCycle | None = None
        self._leaving: set[Callable[[], None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or turn away who is one too many."""
        super().connection_made(transport)
        self._door.came(self)
        self.until = self.loop.time() + self._limits.head_seconds
        if len(self.connections) > self._limits.max_connections:
            self._refuse(Busy(f"{self._limits.max_connections} connections are open, the most that this server takes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that its client is gone; also that of a request which others stand behind."""
        self._door.left(self)
        self.until = self.stalled_until = math.inf
        for leave in tuple(self._leaving):
            leave()
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and see that what is read stays within the limits."""
        waits_for = self._waits_for
        if waits_for == _END:
            return
        if waits_for == _NEXT:
            self._expect_head()
        elif waits_for == _BODY:
            self.until = min(self.loop.time() + self._limits.body_idle_seconds, self._body_end)
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # A wish that a server may pass over; what follows the request may be of the other protocol, so it ends.
            self._deafen()
        except httptools.HttpParserError:
            self._refuse(self._refusal or BadHttp("what came is no HTTP/1.1 request"))
        else:
            if self._waits_for == _HEAD and self._head_bytes > self._limits.max_head_bytes:
                self._refuse(self._head_too_large())

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._watched = []
        if self._waits_for != _HEAD:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one after the body means nothing here, and could pass for one that was checked."""
        if self._waits_for != _HEAD:
            return
        name = name.lower()
        self.headers.append((name, value))
        if name in _WATCHED:
            self._watched.append((name, value))

    def on_headers_complete(self) -> None:
        """Refuse a head that could be read in two ways, else start the request."""
        if self._head_bytes > self._limits.max_head_bytes and self._size() > self._limits.max_head_bytes:
            self._stop(self._head_too_large())
        if len(self.headers) > self._limits.max_headers:
            self._stop(HeadTooLarge(f"more than {self._limits.max_headers} headers came, the most that are taken"))
        self._check()
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._stop(BadHttp(f"more than {_MOST_PIPELINED} requests wait on one connection"))
        now = self.loop.time()
        self._waits_for, self._body_end = _BODY, now + self._limits.body_seconds
        self.until = min(now + self._limits.body_idle_seconds, self._body_end)
        super().on_headers_complete()
        if self.pipeline:
            self.flow.resume_reading()  # since by reading we learn that a client leaves
        if self._door.draining or self.parser.should_upgrade():
            self.cycle.keep_alive = False
        # Decided upon as it stands: a path that was decoded could be another one to whoever stands before us.
        self.scope["path"] = self.scope["raw_path"].decode("ascii")
        cast(dict[str, Any], self.scope)[LEAVING] = self._leaving

    def on_message_complete(self) -> None:
        """The request is whole; its answer may take as long as it takes."""
        self._waits_for, self.until, self._head_bytes = _ANSWER, math.inf, 0
        super().on_message_complete()
        if self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        """Go on with the next request, which may be here already; no timer is needed for one that is not."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._waits_for == _ANSWER:
            self._rest()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        super().pause_writing()
        self.stalled_until = self.loop.time() + self._limits.stall_seconds

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        self.stalled_until = math.inf

    def last(self) -> None:
        """The answer that is under way, if any, is the last on this connection."""
        if self._running is not None:
            self._running.keep_alive = False

    def late(self, now: float) -> None:
        """What this connection waits for has not come in time."""
        if self.stalled_until <= now:
            self.transport.abort()
        elif self._waits_for == _HEAD and self._head_bytes:
            self._refuse(TooSlow(f"the request's head did not arrive within {self._limits.head_seconds:g} s"))
        elif self._waits_for == _BODY and self.flow.read_paused:
            self.until = now + self._limits.body_idle_seconds  # we do not read it, so it cannot come
        elif self._waits_for == _BODY:
            idle, total = self._limits.body_idle_seconds, self._limits.body_seconds
            self._refuse(TooSlow(f"the request's body stood still for {idle:g} s or took more than {total:g} s"))
        else:
            self.until = math.inf
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        cycle.transport = cast(asyncio.Transport, _Joined(self.transport, cycle))
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._waits_for, self.until = _HEAD, self.loop.time() + self._limits.head_seconds

    def _rest(self) -> None:
        self._waits_for, self.until = _NEXT, self.loop.time() + self._limits.idle_seconds

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _check(self) -> None:
        host: bytes | None = None
        length = coding = b""
        for name, value in self._watched:
            if name == b"host":
                host = value if host is None else b","  # which no host is
            elif name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                coding += value.strip().lower() + b";"
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True
        if host is None or host != self._host:
            self._check_host(host)
        if coding and (length or coding != b"chunked;" or self.parser.get_http_version() == "1.0"):
            self._stop(BadHttp("a body's length must be told in one way: by Content-Length, or by chunked coding"))
        if length and int(length) > self._limits.max_body_bytes:
            self._stop(TooLarge(self._limits.max_body_bytes))

    def _check_host(self, host: bytes | None) -> None:
        if host is None and self.parser.get_http_version() == "1.0":
            return
        if host is None or not _HOST.fullmatch(host):
            self._stop(BadHttp("the request must have one Host header, with a name or an address"))
        self._host = host

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"the request's head is larger than {self._limits.max_head_bytes} bytes")

    def _stop(self, error: WaypostError) -> NoReturn:
        """End the parsing, which hands an error of a callback on as its own."""
        self._refusal = error
        raise error

    def _refuse(self, error: WaypostError) -> None:
        """Answer with an error and close, unless the answer to an earlier request must first be whole."""
        running = self._running
        if running is not None and not running.response_complete:
            if running is not self.cycle or self._waits_for != _BODY or running.response_started:
                self._deafen()
                return
            running.disconnected = True  # it waits for the rest of its body
            running.message_event.set()
        self._deafen()
        body = orjson.dumps(error_body(error))
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *(pair for pair in error_headers(error) if pair[0] != b"connection"),
        ]
        head = [STATUS_LINE[error.status], *(b"%s: %s\r\n" % pair for pair in headers), b"\r\n", body]
        self.transport.write(b"".join(head))
        # Closing on a client that still sends would reset the connection, and with it the answer on its way.
        self.transport.write_eof()
        self.until = self.loop.time() + _LINGER_SECONDS

    def _deafen(self) -> None:
        """Read nothing more of what comes, but notice when the client leaves."""
        self._waits_for, self.until = _END, math.inf
        self.pipeline.clear()
        self.last()
        self.flow.resume_reading()
