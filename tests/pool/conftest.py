"""A real HTTP server on loopback whose every byte the test decides."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Exchange:
    """One request as it came, and the means to answer it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{lines}\r\n"
        await self.send(head.encode() + content)

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")

    async def event(self, data: Any, name: str | None = None) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        await self.send(((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode())

    async def gone(self) -> bool:
        """Whether the client closes its side; waits for it."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read(1) == b""
        return True


Handler = Callable[[Exchange], Awaitable[None]]


@dataclass
class Upstream:
    """A provider: answers by the handler and remembers what it was asked."""

    handler: Handler | None = None
    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        try:
            await self.serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = head[0].split()[1]
            exchange = Exchange(path, headers, json.loads(body) if body else {}, reader, writer)
            self.exchanges.append(exchange)
            assert self.handler is not None
            await self.handler(exchange)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    fake = Upstream()
    server = await asyncio.start_server(fake.accept, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield fake
    server.close()
    for task in fake.tasks:
        task.cancel()
    await asyncio.gather(*fake.tasks, return_exceptions=True)
