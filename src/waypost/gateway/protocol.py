"""HTTP/1.1 as clients may speak it: within limits of time and size, and with one meaning only.

httptools reads it, and uvicorn's server owns the port; here stands what lies between.  An open door meets clients that
send a byte a minute, that never read their answer, that leave it open where a message ends, or that come by the
thousand.

References: RFC 9112, sections 3 (request line and Host), 6 (message body) and 9 (connections).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from typing import Any, NoReturn, cast

import httptools
import orjson
from uvicorn.config import Config
from uvicorn.server import ServerState

from waypost.errors import WaypostError
from waypost.gateway.client import LEAVING, Leaving
from waypost.gateway.door import Door
from waypost.gateway.turn import App, Turn, head
from waypost.gateway.wire import Busy, Headers, TooLarge, error_body, error_headers

# What a connection waits for.
_HEAD, _BODY, _ANSWER, _NEXT, _END = range(5)

_HOST = re.compile(rb"[A-Za-z0-9._~-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_MOST_PIPELINED = 16
_LINGER_SECONDS = 2.0
_ASGI = {"version": "3.0", "spec_version": "2.3"}


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


class Connection(asyncio.Protocol):
    """A client's connection; ``until`` is the loop's time when what it waits for must have come.

    Requests that are sent ahead wait for their turn, and are answered in order.
    """

    transport: asyncio.Transport
    until = math.inf
    stalled_until = math.inf  # when a client that does not read its answer is given up
    stalled: asyncio.Future[None] | None = None

    def __init__(
        self,
        door: Door,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self._door = door
        self._limits = door.limits
        self._app = cast(App, config.loaded_app)
        self._server = server_state
        self._parser = httptools.HttpRequestParser(self)
        self._waits_for = _HEAD
        self._head_bytes = 0
        self._body_end = math.inf
        self._held = False
        self._url = b""
        self._headers: Headers = []
        self._watched: Headers = []
        self._host: bytes | None = None  # the last that was found good
        self._refusal: WaypostError | None = None
        self._reading: Turn | None = None  # the request that arrives, or has arrived last
        self._running: Turn | None = None  # the one that is answered, or was last
        self._waiting: deque[Turn] = deque()
        self._leaving = Leaving(self.loop)

    @property
    def default_headers(self) -> Headers:
        """Headers of every answer."""
        return self._server.default_headers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or turn away who is one too many."""
        self.transport = cast(asyncio.Transport, transport)
        self._server.connections.add(cast(Any, self))
        self._door.came(self)
        self.until = self.loop.time() + self._limits.head_seconds
        if len(self._server.connections) > self._limits.max_connections:
            self._refuse(Busy(f"{self._limits.max_connections} connections are open, the most that this server takes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everyone that the client is gone."""
        self._server.connections.discard(cast(Any, self))
        self._door.left(self)
        self.until = math.inf
        for leave in tuple(self._leaving):
            leave()
        self._waiting.clear()
        for turn in (self._running, self._reading):
            if turn is not None and not turn.ended:
                turn.leave()
        self.resume_writing()
        del self._parser  # which refers to us

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
            self._parser.feed_data(data)
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
        self._url, self._headers, self._watched = b"", [], []
        if self._waits_for != _HEAD:
            self._expect_head()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one after the body means nothing here, and could pass for one that was checked."""
        if self._waits_for != _HEAD:
            return
        name = name.lower()
        self._headers.append((name, value))
        if name in _WATCHED:
            self._watched.append((name, value))

    def on_headers_complete(self) -> None:
        """Refuse a head that could be read in two ways, else start the request."""
        parser, limits = self._parser, self._limits
        if self._head_bytes > limits.max_head_bytes and self._size() > limits.max_head_bytes:
            self._stop(self._head_too_large())
        if len(self._headers) > limits.max_headers:
            self._stop(HeadTooLarge(f"more than {limits.max_headers} headers came, the most that are taken"))
        wants_go_ahead = self._check()
        if len(self._waiting) >= _MOST_PIPELINED:
            self._stop(BadHttp(f"more than {_MOST_PIPELINED} requests wait on one connection"))
        now = self.loop.time()
        self._waits_for, self._body_end = _BODY, now + limits.body_seconds
        self.until = min(now + limits.body_idle_seconds, self._body_end)
        version = parser.get_http_version()
        keep_alive = version != "1.0" and parser.should_keep_alive() and not parser.should_upgrade()
        turn = Turn(
            self,
            self._scope(version),
            keep_alive=keep_alive and not self._door.draining,
            wants_go_ahead=wants_go_ahead,
        )
        self._reading = turn
        if self._running is None or self._running.ended:
            self._start(turn)
        else:
            self._waiting.append(turn)  # and is read meanwhile, since by reading we learn that a client leaves

    def on_body(self, body: bytes) -> None:
        """A piece of the body; what comes after the answer is of no use."""
        if self._reading is not None and not self._reading.ended:
            self._reading.came(body)

    def on_message_complete(self) -> None:
        """The request is whole; its answer may take as long as it takes."""
        self._waits_for, self.until, self._head_bytes = _ANSWER, math.inf, 0
        if self._reading is not None:
            if self._reading.ended:
                self._rest()
            else:
                self._reading.whole()

    def hold(self, back: bool) -> None:
        """Hold the client back, or let it send on."""
        if back != self._held:
            self._held = back
            (self.transport.pause_reading if back else self.transport.resume_reading)()

    def ended(self, turn: Turn) -> None:
        """Go on with the next request, which may be here already."""
        self._server.total_requests += 1
        if self.transport.is_closing():
            return
        self.hold(False)
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._waits_for == _ANSWER:
            self._rest()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        self.stalled = self.loop.create_future()
        self.stalled_until = self.loop.time() + self._limits.stall_seconds

    def resume_writing(self) -> None:
        """The client reads, or never will."""
        self.stalled_until = math.inf
        if self.stalled is not None:
            self.stalled.set_result(None)
            self.stalled = None

    def last(self) -> None:
        """The answer that is under way, if any, is the last on this connection."""
        if self._running is not None:
            self._running.keep_alive = False

    def shutdown(self) -> None:
        """The server ends: close now, or after the answer that is under way."""
        if self._running is None or self._running.ended:
            self.transport.close()
        else:
            self.last()

    def late(self, now: float) -> None:
        """What this connection waits for has not come in time."""
        if self.stalled_until <= now:
            self.transport.abort()
        elif self._waits_for == _HEAD and self._head_bytes:
            self._refuse(TooSlow(f"the request's head did not arrive within {self._limits.head_seconds:g} s"))
        elif self._waits_for == _BODY and self._held:
            self.until = now + self._limits.body_idle_seconds  # we do not read it, so it cannot come
        elif self._waits_for == _BODY:
            idle, total = self._limits.body_idle_seconds, self._limits.body_seconds
            self._refuse(TooSlow(f"the request's body stood still for {idle:g} s or took more than {total:g} s"))
        else:
            self.until = math.inf
            self.transport.close()

    def _start(self, turn: Turn) -> None:
        self._running = turn
        self.loop.create_task(turn.run(self._app, self._server.tasks))

    def _scope(self, version: str) -> dict[str, Any]:
        path, _, query = self._url.partition(b"?")
        if not path.startswith(b"/"):
            parsed = httptools.parse_url(self._url)
            path, query = parsed.path or b"/", parsed.query or b""
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            # Decided upon as it stands: a path that was decoded could be another one to whoever stands before us.
            "path": path.decode("ascii", "replace"),
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
            LEAVING: self._leaving,
        }

    def _expect_head(self) -> None:
        self._waits_for, self.until = _HEAD, self.loop.time() + self._limits.head_seconds

    def _rest(self) -> None:
        self._waits_for, self.until = _NEXT, self.loop.time() + self._limits.idle_seconds

    def _size(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _check(self) -> bool:
        """Refuse what has two meanings; whether the client waits to be told to go on."""
        host: bytes | None = None
        length = coding = b""
        wants_go_ahead = False
        for name, value in self._watched:
            if name == b"host":
                host = value if host is None else b","  # which no host is
            elif name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                coding += value.strip().lower() + b";"
            else:
                wants_go_ahead = value.lower() == b"100-continue"
        if host is None or host != self._host:
            self._check_host(host)
        if coding and (length or coding != b"chunked;" or self._parser.get_http_version() == "1.0"):
            self._stop(BadHttp("a body's length must be told in one way: by Content-Length, or by chunked coding"))
        if length and int(length) > self._limits.max_body_bytes:
            self._stop(TooLarge(self._limits.max_body_bytes))
        return wants_go_ahead

    def _check_host(self, host: bytes | None) -> None:
        if host is None and self._parser.get_http_version() == "1.0":
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
        if running is not None and not running.ended:
            if running is not self._reading or self._waits_for != _BODY or running.begun:
                self._deafen()
                return
            running.leave()  # it waits for the rest of its body
        self._deafen()
        body = orjson.dumps(error_body(error))
        headers = [
            *self.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *(pair for pair in error_headers(error) if pair[0] != b"connection"),
        ]
        self.transport.write(head(error.status, headers) + body)
        # Closing on a client that still sends would reset the connection, and with it the answer on its way.
        self.transport.write_eof()
        self.until = self.loop.time() + _LINGER_SECONDS

    def _deafen(self) -> None:
        """Read nothing more of what comes, but notice when the client leaves."""
        self._waits_for, self.until = _END, math.inf
        self._waiting.clear()
        self.last()
        self.hold(False)
