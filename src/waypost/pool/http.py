"""The one way out: JSON requests to a provider, streamed or whole, with every failure told apart.

No error says more of an address than host and port, and none quotes a key.
"""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote, urlsplit

import orjson

from waypost.errors import BadInput, ModelFailed, ModelTimeout
from waypost.pool import verdict
from waypost.pool.calling import CALLING
from waypost.pool.events import Events
from waypost.pool.secret import Secret
from waypost.pool.sse import Event
from waypost.pool.transport import ConnectFailed, Sending, Transport
from waypost.pool.wire import Broken, Response

Json = Mapping[str, Any]
Heard = TypeVar("Heard")

_ANSWER_LIMIT = 256 << 20  # bytes of a whole answer: more is not a chat, even with pictures
_REFUSAL_LIMIT = 64 << 10
_TRANSPORT = (ConnectFailed, Broken, TimeoutError)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait: for the connection, for the first byte of a stream, between bytes, for the whole.

    A whole answer begins only when it is written, so its first byte may take as long as all of it.
    """

    connect: float = 10.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 600.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "idle", "total"):
            if not getattr(self, name) > 0:
                raise BadInput(f"the timeout '{name}' must be more than 0 seconds, got {getattr(self, name)}")


class Provider:
    """A provider's address and keys; ``name`` is the model's, for the error sentences."""

    def __init__(self, name: str, base_url: str, headers: Mapping[str, str | Secret], timeouts: Timeouts) -> None:
        try:
            parts, self._transport = urlsplit(base_url), Transport(base_url, timeouts.connect)
        except ValueError:
            raise BadInput(f"'{name}': base_url must begin with http:// or https:// and name a host") from None
        if parts.query or parts.fragment:
            raise BadInput(f"'{name}': base_url must end with its path, without '?' and '#'")
        self._name = name
        self._path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self._place = self._transport.authority
        self._headers = {**_basic(parts.username, parts.password), **headers}
        self._timeouts = timeouts
        self._heads: dict[str, bytes] = {}  # by path: all of a request but its body

    async def post(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> tuple[Json, bytes]:
        """The JSON object that answers a request, read and as it came; ``headers`` go before the provider's own.

        Raises:
            ModelTimeout: nothing, or not everything, came in time.
            ModelFailed: no connection, a status that is not 2xx, or an answer that is no JSON object or holds an error.
        """
        total, idle, answer = self._timeouts.total, self._timeouts.idle, bytearray()
        async with self._call(path, body, headers, total) as call:
            while not call.response.over:
                answer += call.response.come() or await call.chunk(idle)
                if len(answer) > _ANSWER_LIMIT:
                    raise self.garbage(f"more than {_ANSWER_LIMIT >> 20} MB")
        raw = bytes(answer)
        return self._object(raw), raw

    def events(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> Events:
        """The events of a streamed answer as they arrive; leaving early closes the connection at once.

        Raises:
            ModelTimeout: on entering and while iterating; nothing came within the first-byte or idle time, or not
                everything within the total.
            ModelFailed: likewise; as for `post`, or the connection broke.
        """
        wait = min(self._timeouts.first_byte, self._timeouts.total)
        return Events(self._call(path, body, headers, wait), wait, self._timeouts.idle)

    async def problem(self, path: str) -> str | None:
        """Why calls cannot be made, found by one small GET: no connection or a refused key; else None."""
        wait = self._timeouts.connect
        end = asyncio.get_running_loop().time() + wait
        try:
            async with self._transport.send("GET", self._path + path, self._revealed(), until=end) as response:
                status = response.status
        except _TRANSPORT as error:
            return str(self._ours(error, wait, late=False))
        if status in (401, 403):
            return f"{self._name}: {self._place} refuses the key (HTTP {status}); check its variable"
        return None

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    def event_json(self, event: Event) -> Json:
        """An event's data as a JSON object; an error inside it is raised.

        Raises:
            ModelFailed: it is no JSON object, or it holds an error.
        """
        return self._object(event.data)

    def broken_off(self, error: Json) -> ModelFailed:
        """The error for an answer in which the provider says that it failed."""
        return self._verdict("broke off", error, verdict.status(error))

    def garbage(self, found: object) -> ModelFailed:
        """The error for a 200 whose content is not what the protocol promises."""
        problem = f"{self._name}: {self._place} answered 200 with something else than expected: {found}"
        return ModelFailed(problem, kind="garbage")

    def cut(self) -> ModelFailed:
        """The error for a stream that ended before the answer did."""
        problem = f"{self._name}: {self._place} closed the stream before the answer was complete"
        return ModelFailed(problem, kind="lost")

    def _revealed(self) -> dict[str, str]:
        return {name: value.reveal() if isinstance(value, Secret) else value for name, value in self._headers.items()}

    def _call(self, path: str, body: Json, more: Mapping[str, str] | None, wait: float) -> _Call:
        if more:
            head = self._head(path, more)
        elif (known := self._heads.get(path)) is not None:
            head = known
        else:
            head = self._heads[path] = self._head(path, {})
        if (calling := CALLING.get()) is not None:
            head += calling.head
        loop = asyncio.get_running_loop()
        now = loop.time()
        end = now + self._timeouts.total
        sending = self._transport.send_head(head, orjson.dumps(body), min(now + wait, end), loop)
        return _Call(self, sending, wait, end, loop.time)

    def _head(self, path: str, more: Mapping[str, str]) -> bytes:
        headers = {**self._revealed(), **more, "content-type": "application/json"}
        try:
            return self._transport.head("POST", self._path + path, headers)
        except Broken as error:
            raise ModelFailed(f"{self._name}: {self._place} cannot be asked: {error}", kind="unsent") from None

    def _ours(self, error: Exception, wait: float, *, late: bool) -> ModelFailed:
        """The transport's error as one of ours; ``late`` says whether the time for the whole answer is over."""
        if isinstance(error, ConnectFailed):
            failure = ModelTimeout if error.late else ModelFailed
            return failure(f"{self._name}: cannot connect to {self._place}; {error}", kind="connect")
        if isinstance(error, TimeoutError):
            what = f"took more than {self._timeouts.total:g} s" if late else f"sent nothing for {wait:g} s"
            return ModelTimeout(f"{self._name}: {self._place} {what}", kind="late")
        return ModelFailed(f"{self._name}: the exchange with {self._place} broke ({error})", kind="lost")

    async def _refuse(self, response: Response) -> None:
        wait = self._timeouts.idle
        try:
            async with asyncio.timeout(wait):
                body = await response.read(_REFUSAL_LIMIT)
        except _TRANSPORT as error:
            raise self._ours(error, wait, late=False) from None
        try:
            said = orjson.loads(body)
        except orjson.JSONDecodeError:
            said = {}
        again = _seconds(response.header("retry-after"))
        raise self._verdict(f"answered HTTP {response.status}", said, response.status, again)

    def _object(self, body: bytes) -> Json:
        """A JSON object that came with a 200.

        Raises:
            ModelFailed: it is none, or holds an error, which some send with a 200 and their true status inside.
        """
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise self.garbage(f"{len(body)} bytes that are no JSON") from None
        if not isinstance(data, dict):
            raise self.garbage(f"JSON that is no object but a {type(data).__name__}")
        if data.get("error"):
            raise self.broken_off(data)
        return data

    def _verdict(self, what: str, said: Any, status: int | None, retry_after: float | None = None) -> ModelFailed:
        """The error for what a provider says against a request, short and without our keys."""
        code, param = verdict.named(said, "code"), verdict.named(said, "param")
        return ModelFailed(
            f"{self._name}: {self._place} {what}: {self._without_keys(verdict.words(said))[:300]}",
            upstream=status,
            retry_after=retry_after,
            kind="status",
            code=code if code is not None and self._without_keys(code) == code else None,
            param=param if param is not None and self._without_keys(param) == param else None,
        )

    def _without_keys(self, text: str) -> str:
        for value in self._headers.values():
            if isinstance(value, Secret):
                for part in value.reveal().split():
                    text = text.replace(part, "***") if len(part) > 6 else text
        return text


class _Call:
    """One request whose answer has begun with a good status, and the transport's errors as ours.

    A redirect is no good status, since following it would carry the key off.
    """

    __slots__ = ("_clock", "_end", "_provider", "_sending", "_wait", "response")

    response: Response

    def __init__(
        self, provider: Provider, sending: Sending, wait: float, end: float, clock: Callable[[], float]
    ) -> None:
        self._provider = provider
        self._sending = sending
        self._wait = wait
        self._end = end
        self._clock = clock

    async def __aenter__(self) -> Self:
        try:
            self.response = await self._sending.__aenter__()
        except _TRANSPORT as error:
            raise self._provider._ours(error, self._wait, late=False) from None
        if (calling := CALLING.get()) is not None:
            calling.status = self.response.status
        if not 200 <= self.response.status < 300:
            try:
                await self._provider._refuse(self.response)
            finally:
                await self._sending.__aexit__(None, None, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sending.__aexit__(None, None, None)

    def expect(self, wait: float) -> None:
        """Something more must come within so many seconds."""
        self.response.until = min(self._clock() + wait, self._end)

    async def chunk(self, wait: float) -> bytes:
        """What comes next of the body, within ``wait`` seconds; empty at its end."""
        return await self._heard(self.response.more(), wait)

    async def news(self, wait: float) -> bool:
        """Wait for up to ``wait`` seconds from the last piece until there is something to see to; False: the end."""
        return await self._heard(self.response.news(), wait)

    async def _heard(self, coming: Awaitable[Heard], wait: float) -> Heard:
        self.expect(wait)
        try:
            return await coming
        except _TRANSPORT as error:
            raise self._provider._ours(error, wait, late=self._clock() >= self._end) from None


def _basic(user: str | None, password: str | None) -> dict[str, Secret]:
    """The header for a name and password in the URL."""
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"authorization": Secret("Basic " + base64.b64encode(pair).decode("ascii"))}


def _seconds(header: str | None) -> float | None:
    """A Retry-After header, which is a number of seconds or a date, in seconds from now."""
    if header is None:
        return None
    try:
        seconds = float(header)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)  # a date with the zone -0000 comes without one
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
