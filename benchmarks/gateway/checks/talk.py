"""A client that may misbehave: raw bytes over a socket, and what came back of them."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

PATIENCE_SECONDS = 20.0
CHAT = "/v1/chat/completions"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; status 0 is none at all.  ``whole`` says whether it ended as its head had promised."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    whole: bool = True

    @property
    def json(self) -> Any:
        """The body, None if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def error(self) -> Json | None:
        """The error in the shape that OpenAI's clients read, None if there is none."""
        said = self.json
        told = said.get("error") if isinstance(said, dict) else None
        return told if isinstance(told, dict) and isinstance(told.get("message"), str) else None

    @property
    def events(self) -> list[str]:
        """What a stream said, event by event."""
        lines = self.body.decode(errors="replace").splitlines()
        return [line[5:].strip() for line in lines if line.startswith("data:")]

    def __str__(self) -> str:
        if not self.status:
            return "no answer"
        error = self.error or {}
        code = next(
            (error[name] for name in ("code", "type") if error.get(name) and str(error[name]) != str(self.status)), None
        )
        return f"{self.status} {code}" if code and self.status != 200 else str(self.status)


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to one server; ``key`` is sent unless a request says otherwise."""

    host: str
    port: int
    key: str | None = None

    def chat(self, model: str, text: str = "Hello", *, key: str | None = None, **fields: Any) -> Reply:
        """Ask a model for an answer; ``fields`` are more of the body."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.post(CHAT, json.dumps(body).encode(), key=key)

    def post(self, path: str, body: bytes, headers: str = "", *, key: str | None = None) -> Reply:
        """Send a body; ``headers`` are further lines, each with its line end."""
        return self.raw(self.head(path, len(body), headers, key=key) + body)

    def get(self, path: str, headers: str = "", *, key: str | None = None) -> Reply:
        """Read a path."""
        return self.raw(self.head(path, None, headers, key=key))

    def head(self, path: str, length: int | None, headers: str = "", *, key: str | None = None) -> bytes:
        """The head of a request; without a ``length`` it is a GET, and an empty ``key`` is none."""
        told = self.key if key is None else key
        lines = [f"{'GET' if length is None else 'POST'} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if told:
            lines.append(f"Authorization: Bearer {told}")
        if length is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n" + headers + "\r\n").encode("latin-1")

    def connect(self, timeout: float = PATIENCE_SECONDS) -> socket.socket:
        """A connection of one's own."""
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def raw(self, data: bytes, timeout: float = PATIENCE_SECONDS) -> Reply:
        """Send bytes as they are, and read one answer."""
        with self.connect(timeout) as connection:
            return exchange(connection, data)

    def many(self, count: int, ask: Callable[[int], Reply], clients: int = 100) -> list[Reply]:
        """So many requests, by so many clients at once; ``ask`` gets the number of each."""
        with ThreadPoolExecutor(min(count, clients)) as threads:
            return list(threads.map(ask, range(count)))


def exchange(connection: socket.socket, data: bytes) -> Reply:
    """Send bytes on a connection, and read one answer."""
    began = time.perf_counter()
    with suppress(ConnectionError):  # it may have answered and closed before it had read all
        connection.sendall(data)
    return read(connection, began)


def read(connection: socket.socket, began: float | None = None) -> Reply:
    """One answer, as far as it comes."""
    clock = time.perf_counter() if began is None else began
    response = http.client.HTTPResponse(connection)
    body, whole = b"", True
    try:
        response.begin()
        while piece := response.read1(65536):
            body += piece
        whole = not response.length  # what was promised and did not come
    except http.client.IncompleteRead as cut:
        body, whole = body + cut.partial, False
    except (OSError, http.client.HTTPException):
        whole = False
    seconds = time.perf_counter() - clock
    status = response.status if isinstance(response.status, int) else 0
    headers = {name.lower(): value for name, value in response.getheaders()} if status else {}
    response.close()
    return Reply(status, headers, body, seconds, whole)
