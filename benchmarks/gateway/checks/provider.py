"""Two servers that remember: a provider whose requests are looked at, and one that nobody has any business with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TOOL = {"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.raw)


@dataclass(slots=True)
class Recorder:
    """A server that counts connections, keeps requests and answers them.

    The model ``echoes-key`` refuses and says the key that it got, ``calls-tool`` calls a tool, any other says how many
    requests came before.
    """

    url: str = ""
    port: int = 0
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    def last(self) -> Request:
        """The latest request."""
        return self.requests[-1]


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A running server on a port of its own."""
    about = Recorder()

    class Handler(_Handler):
        record = about

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        about.port = server.server_port
        about.url = f"http://127.0.0.1:{about.port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield about
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    record: Recorder
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.record.connections += 1
        super().setup()

    def do_GET(self) -> None:
        self._answer(200, {"object": "list", "data": []})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        before = len(self.record.requests)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.record.requests.append(Request(self.path, headers, raw))
        model = json.loads(raw).get("model", "")
        if model == "echoes-key":
            self._answer(401, {"error": {"message": f"Incorrect API key provided: {headers.get('authorization')}"}})
            return
        message: dict[str, Any] = {"role": "assistant", "content": f"answer {before}"}
        if model == "calls-tool":
            message |= {"content": None, "tool_calls": [_TOOL]}
        finish = "tool_calls" if model == "calls-tool" else "stop"
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
        self._answer(200, {**head, "choices": [choice], "usage": usage})

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
