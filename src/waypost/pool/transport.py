"""HTTP/1.1 to one origin, made so that leaving a call at any moment closes its connection at once.

A provider works, and is paid, for as long as the connection of a call stands. So a call that nobody waits for any more
is cut off whether it is connecting, waiting for the head of the answer, or in the midst of its body.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

from waypost.pool.wire import Broken, Connection, Response

_IDLE_COUNT = 256
_IDLE_SECONDS = 30.0
_RACE_SECONDS = 2.0
_SENDABLE = re.compile(r"[\t\x20-\x7e]*")


class ConnectFailed(Exception):
    """No connection; the text says what to look at, ``late`` tells silence from a refusal."""

    def __init__(self, hint: str, *, late: bool = False) -> None:
        super().__init__(hint)
        self.late = late


class Transport:
    """Calls to one origin over connections that are kept for the next call; one event loop at a time.

    Raises:
        ValueError: ``base_url`` does not begin with http:// or https://, or names no host.

    >>> Transport("http://[::1]:8000/v1", connect_timeout=10.0).authority
    '[::1]:8000'
    """

    def __init__(self, base_url: str, connect_timeout: float) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the URL must begin with http:// or https:// and name a host")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname.encode("idna").decode("ascii")
        self._port = parts.port or (443 if self._secure else 80)
        self._connect_timeout = connect_timeout
        self._tls: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[Connection] = []
        self._keeper: AsyncGenerator[None, None] | None = None
        named = f"[{self._host}]" if ":" in self._host else self._host
        #: The host, and the port where it is not the scheme's own.
        self.authority = named if self._port == (443 if self._secure else 80) else f"{named}:{self._port}"

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", until: float = math.inf
    ) -> Sending:
        """A context that is the answer to a request, from when its head is there; leaving early hangs up.

        Raises:
            Broken: a header that cannot be sent.
        """
        return self.send_head(self.head(method, target, headers), body, until, asyncio.get_running_loop())

    def send_head(self, head: bytes, body: bytes, until: float, loop: asyncio.AbstractEventLoop) -> Sending:
        """The same for a `head` that was made before.

        The loop is the one that runs.  It is handed on, since to ask for it costs a system call before Python 3.12.
        """
        length = b"content-length: %d\r\n\r\n" % len(body) if body else b"\r\n"
        return Sending(self, head + length + body, until, loop)

    def head(self, method: str, target: str, headers: Mapping[str, str]) -> bytes:
        """All of a request's head but the length of its body.

        Raises:
            Broken: a header that cannot be sent.
        """
        fields = {"host": self.authority, "user-agent": "waypost", "accept": "*/*", "accept-encoding": "identity"}
        fields |= headers
        for name, value in fields.items():
            if not _SENDABLE.fullmatch(value):
                raise Broken(f"the header '{name}' holds a character that no header may hold")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, ""]).encode("ascii")

    async def close(self) -> None:
        """Close what idles; what is in use closes when it is done."""
        keeper, self._keeper, self._loop, self._idle = self._keeper, None, None, []
        if keeper is not None:
            await keeper.aclose()

    async def exchange(
        self, request: bytes, idle: list[Connection], until: float, loop: asyncio.AbstractEventLoop
    ) -> tuple[Connection, Response]:
        """Send a request over an idle connection or a new one, and wait for the head of its answer."""
        reused = self._take(idle, loop.time())
        if reused is not None:
            start = loop.time()
            try:
                return reused, await reused.exchange(request, until)
            except Broken:
                # A server may close an idle connection just as our request sets out for it; it has then not seen the
                # request, and a second try is no second call. Such a crossing shows within a round trip and without a
                # byte in answer. After that a call may be at work, which must not be made and paid twice.
                if reused.heard or loop.time() - start > _RACE_SECONDS:
                    raise
        connection = await self._connect(loop, until)
        return connection, await connection.exchange(request, until)

    def pool(self, loop: asyncio.AbstractEventLoop) -> list[Connection] | None:
        """The idle connections of a loop, the longest idle first; None: this is the first call in it."""
        return self._idle if self._loop is loop else None

    async def new_pool(self, loop: asyncio.AbstractEventLoop) -> list[Connection]:
        """Begin with no idle connections, and close those to come when the loop ends."""
        self._loop, self._idle = loop, []
        self._keeper = _closing_with_its_loop(self._idle)
        await anext(self._keeper)
        return self._idle

    def _take(self, idle: list[Connection], now: float) -> Connection | None:
        while idle:
            connection = idle.pop()
            if now - connection.since < _IDLE_SECONDS and not connection.transport.is_closing():
                return connection
            connection.transport.abort()
        return None

    def put_back(self, connection: Connection, idle: list[Connection]) -> None:
        """Keep a connection for the next request if it can serve one, else hang up."""
        now = connection.loop.time()
        if connection.rest() and idle is self._idle:
            connection.since = now
            idle.append(connection)
        else:
            connection.transport.abort()
        while idle and (len(idle) > _IDLE_COUNT or now - idle[0].since >= _IDLE_SECONDS):
            idle.pop(0).transport.abort()

    async def _connect(self, loop: asyncio.AbstractEventLoop, until: float) -> Connection:
        if self._secure and self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        try:
            async with asyncio.timeout_at(min(loop.time() + self._connect_timeout, until)):
                _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        except ssl.SSLCertVerificationError as error:
            hint = f"its certificate is not trusted ({error.verify_message.rstrip('.')}); the variable SSL_CERT_FILE"
            raise ConnectFailed(f"{hint} can name a file of authorities that are") from None
        except ssl.SSLError as error:
            raise ConnectFailed(f"TLS failed ({error.reason}); should the URL begin with http://?") from None
        except OSError as error:
            raise ConnectFailed("is it running and reachable?", late=isinstance(error, TimeoutError)) from None
        return connection


class Sending:
    """The answer to a request as a context: leaving it before the answer's end closes the connection.

    Raises:
        ConnectFailed: on entering; no connection.
        Broken: on entering; an answer that is no HTTP, or a connection lost.
        TimeoutError: on entering; no head came until ``until``, in the loop's time.
    """

    __slots__ = ("_connection", "_idle", "_loop", "_request", "_transport", "_until")

    _connection: Connection
    _idle: list[Connection]

    def __init__(self, transport: Transport, request: bytes, until: float, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._request = request
        self._until = until
        self._loop = loop

    async def __aenter__(self) -> Response:
        transport = self._transport
        idle = transport.pool(self._loop)
        self._idle = await transport.new_pool(self._loop) if idle is None else idle
        self._connection, response = await transport.exchange(self._request, self._idle, self._until, self._loop)
        return response

    async def __aexit__(self, *_: object) -> None:
        self._transport.put_back(self._connection, self._idle)


async def _closing_with_its_loop(idle: list[Connection]) -> AsyncGenerator[None, None]:
    """Closes what idles when it is closed or forgotten itself, or its loop ends, of which only generators hear."""
    try:
        yield
    finally:
        while idle:
            idle.pop().transport.abort()
