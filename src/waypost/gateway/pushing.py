"""Pieces of an answer to a client, without a task in between where the server allows it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, cast

from waypost.gateway.wire import Headers, Send


class Pushing(Protocol):
    """Takes an answer piece by piece."""

    def start(self, status: int, headers: Headers) -> None:
        """The head."""
        ...

    def piece(self, body: bytes) -> Awaitable[None] | None:
        """A piece of the body; gives what to wait for before the next, if the client is slow."""
        ...

    async def end(self, body: bytes) -> None:
        """The last piece."""
        ...


def pushing(send: Send) -> Pushing:
    """The ``send`` of our own server takes pieces itself; that of any other is called for each."""
    return cast(Pushing, send) if hasattr(send, "piece") else _Called(send)


class _Called:
    """An ASGI server's ``send``."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: tuple[int, Headers] | None = None

    def start(self, status: int, headers: Headers) -> None:
        self._head = (status, headers)

    def piece(self, body: bytes) -> Awaitable[None]:
        return self._sent(body, more=True)

    async def end(self, body: bytes) -> None:
        await self._sent(body, more=False)

    async def _sent(self, body: bytes, *, more: bool) -> None:
        if self._head is not None:
            (status, headers), self._head = self._head, None
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
