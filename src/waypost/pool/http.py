"""The one way out: JSON requests to a provider, streamed or whole, with every failure told apart.

No error says more of an address than host and port, and none quotes a key: the HTTP library's own messages, which
quote whole URLs, never get out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from waypost.errors import BadInput, ModelFailed, ModelTimeout
from waypost.pool.secret import Secret
from waypost.pool.sse import Event, EventParser

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait: for the connection, for the first byte of a stream, between its bytes, for the whole."""

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
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"'{name}': base_url must begin with http:// or https:// and name a host")
        self._name = name
        self._base = base_url.rstrip("/")
        self._place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        self._headers = headers
        self._timeouts = timeouts
        self._client: Client | None = None

    async def post(self, path: str, body: Json) -> Json:
        """The JSON object that answers a request.

        Raises:
            ModelTimeout: nothing, or not everything, came in time.
            ModelFailed: no connection, a status that is not 2xx, or an answer that is no JSON object.
        """
        async with self._sent(path, body, self._timeouts.total) as response, self._watched(self._timeouts.total):
            return self._object(bytes(await response.bytes()))

    async def events(self, path: str, body: Json) -> AsyncIterator[Event]:
        """The events of a streamed answer as they arrive; leaving early closes the connection.

        Before the answer's first byte the library cannot abort: then the connection closes when that byte comes,
        at the latest at the total timeout.

        Raises:
            ModelTimeout: nothing came within the first-byte or idle time, or not everything within the total.
            ModelFailed: as for `post`, or the connection broke.
        """
        parser = EventParser()
        async with self._sent(path, body, self._timeouts.first_byte) as response:
            wait = self._timeouts.first_byte
            while True:
                async with self._watched(wait):
                    chunk = await response.body_reader.read_chunk()
                if chunk is None:
                    return
                wait = self._timeouts.idle
                for event in parser.feed(bytes(chunk)):
                    yield event

    async def problem(self, path: str) -> str | None:
        """Why calls cannot be made, found by one small GET: no connection or a refused key; else None."""
        try:
            async with self._watched(self._timeouts.connect):
                response = await self._prepared(self._open().get(self._base + path)).build().send()
        except ModelFailed as error:
            return str(error)
        if response.status in (401, 403):
            return f"{self._name}: {self._place} refuses the key (HTTP {response.status}); check its variable"
        return None

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def event_json(self, event: Event) -> Json:
        """An event's data as a JSON object; an error inside it is raised.

        Raises:
            ModelFailed: it is no JSON object, or it holds an error.
        """
        data = self._object(event.data.encode())
        if data.get("error"):
            raise ModelFailed(f"{self._name}: {self._place} broke off: {self._told(data)}")
        return data

    def garbage(self, found: object) -> ModelFailed:
        """The error for a 200 whose content is not what the protocol promises."""
        return ModelFailed(f"{self._name}: {self._place} answered 200 with something else than expected: {found}")

    def cut(self) -> ModelFailed:
        """The error for a stream that ended before the answer did."""
        return ModelFailed(f"{self._name}: {self._place} closed the stream before the answer was complete")

    def _open(self) -> Client:
        if self._client is None:
            # A redirect would carry the key to an address that nobody configured.
            builder = ClientBuilder().follow_redirects(False).connect_timeout(timedelta(seconds=self._timeouts.connect))
            # The library calls its own deadline before the first byte a connect timeout, so ours comes first.
            self._client = builder.timeout(timedelta(seconds=self._timeouts.total + 1)).build()
        return self._client

    def _prepared(self, request: RequestBuilder) -> RequestBuilder:
        for name, value in self._headers.items():
            secret = isinstance(value, Secret)
            request = request.header(name, value.reveal() if isinstance(value, Secret) else value, is_sensitive=secret)
        return request

    @asynccontextmanager
    async def _sent(self, path: str, body: Json, wait: float) -> AsyncIterator[Response]:
        """A request whose answer has begun with a good status."""
        async with self._watched(wait):
            request = self._prepared(self._open().post(self._base + path).header("content-type", "application/json"))
            # With its default buffer the library holds back small chunks, which delays every token.
            streamed = request.body_bytes(orjson.dumps(body)).streamed_read_buffer_limit(0).build_streamed()
            response = await streamed.__aenter__()
        try:
            if not 200 <= response.status < 300:
                await self._refuse(response)
            yield response
        finally:
            await streamed.__aexit__(None, None, None)

    @asynccontextmanager
    async def _watched(self, wait: float) -> AsyncIterator[None]:
        """Turn the library's errors into ours, and a silence of ``wait`` seconds into a timeout."""
        try:
            async with asyncio.timeout(wait):
                yield
        except (ConnectError, ConnectTimeoutError) as error:
            late = isinstance(error, ConnectTimeoutError)
            kind = ModelTimeout if late else ModelFailed
            raise kind(f"{self._name}: cannot connect to {self._place}; is it running and reachable?") from None
        except RequestTimeoutError:
            raise ModelTimeout(f"{self._name}: {self._place} took more than {self._timeouts.total:g} s") from None
        except TimeoutError:
            raise ModelTimeout(f"{self._name}: {self._place} sent nothing for {wait:g} s") from None
        except (PyreqwestError, ValueError) as error:
            raise ModelFailed(f"{self._name}: the exchange with {self._place} broke ({_kind(error)})") from None

    async def _refuse(self, response: Response) -> None:
        async with self._watched(self._timeouts.idle):
            body = bytes(await response.body_reader.read(65536) or b"")
        try:
            told = self._told(orjson.loads(body))
        except orjson.JSONDecodeError:
            told = "no reason given"
        raise ModelFailed(
            f"{self._name}: {self._place} answered HTTP {response.status}: {told}",
            upstream=response.status,
            retry_after=_seconds(response.get_header("retry-after")),
        )

    def _object(self, body: bytes) -> Json:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise self.garbage(f"{len(body)} bytes that are no JSON") from None
        if not isinstance(data, dict):
            raise self.garbage(f"JSON that is no object but a {type(data).__name__}")
        return data

    def _told(self, data: Any) -> str:
        """The provider's own words about an error, short, on one line, and without our keys."""
        error = data.get("error", data) if isinstance(data, dict) else data
        message = error.get("message", "no reason given") if isinstance(error, dict) else error
        text = " ".join(str(message).split())
        for value in self._headers.values():
            if isinstance(value, Secret):
                for part in value.reveal().split():
                    text = text.replace(part, "***") if len(part) > 6 else text
        return text[:300]


def _kind(error: Exception) -> str:
    return type(error).__name__.removesuffix("Error").lower()


def _seconds(header: str | None) -> float | None:
    """A Retry-After header, which is a number of seconds or a date, in seconds from now."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
