"""A mock provider, fast enough that it is never what is measured, whose faults are chosen by the model's name.

    python benchmarks/gateway/upstream.py --port 0     # prints {"url": "http://127.0.0.1:41233/v1", "port": 41233}

It speaks OpenAI's chat completions, completions, embeddings, responses and models, and Anthropic's messages, streamed
and not.  A model's name is a behaviour, then how long things take, joined by hyphens; any other word means nothing, so
that there may be several models of one behaviour (``ok-a``, ``ok-b``):

    ok               answers at once with 50 words, as does every name that is no behaviour
    ok-50ms          begins its answer after 50 ms
    stream-20x10ms   streams 20 words, 10 ms apart
    slow             begins after a second; slow-200ms after 200 ms
    error500         fails with this status; so do error400 to error599
    limit429         fails with 429 and ``Retry-After: 7``; limit429-2s says 2
    refused401       refuses the key
    hang             never answers
    reset            resets the connection before its answer
    garbage          answers HTML with status 200
    cut              breaks off half-way, cleanly closed in the middle of a body
    stall            stops half-way and says no more
    flaky            fails with 500 at every third call of this name: the third, the sixth...

``GET /health`` is always well.  ``GET /stats`` tells what was seen: requests by model, the most that were under way at
once, calls under way, and calls whose client left before their end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import httptools
import orjson

import answers

_TAKES = re.compile(r"(?:(\d+)x)?(\d+)(ms|s)")
_STATUS = re.compile(r"error([45]\d\d)")
_HARD_CLOSE = struct.pack("ii", 1, 0)  # linger for no time: closing sends a reset


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a model's name stands for; ``delay`` is before the first byte and ``gap`` between words, in seconds."""

    kind: str = "ok"
    status: int = 200
    delay: float = 0.0
    words: int = answers.WORDS
    gap: float = 0.0
    retry_after: int = 7


@lru_cache(1024)
def behaviour(model: str) -> Behaviour:
    """Read a model's name.

    >>> behaviour("slow-200ms-a").delay
    0.2
    >>> behaviour("stream-20x10ms")
    Behaviour(kind='stream', status=200, delay=0.0, words=20, gap=0.01, retry_after=7)
    """
    kind, *rest = model.split("-")
    said: dict[str, Any] = {"kind": kind, "delay": 1.0 if kind == "slow" else 0.0}
    if status := _STATUS.fullmatch(kind):
        said |= {"kind": "fails", "status": int(status[1])}
    for word in rest:
        if found := _TAKES.fullmatch(word):
            seconds = int(found[2]) / (1000 if found[3] == "ms" else 1)
            if found[1]:
                said |= {"words": max(1, int(found[1])), "gap": seconds}
            elif kind == "limit429":
                said["retry_after"] = int(seconds)
            else:
                said["delay"] = seconds
    return Behaviour(**said)


@dataclass(slots=True)
class Upstream:
    """What all connections share: the counts of what was seen."""

    connections: int = 0
    open: int = 0
    in_flight: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)

    def stats(self) -> dict[str, Any]:
        """The counts; by model ``left`` has calls whose client went before their end, ``peak`` the most at once."""
        return {
            "connections": self.connections,
            "open_connections": self.open,
            "in_flight": self.in_flight,
            "requests": self.requests.total(),
            "by_model": dict(self.requests),
            "left": dict(self.left),
            "peak": dict(self.peak),
        }

    def begin(self, model: str) -> None:
        """A call of a model."""
        self.requests[model] += 1
        self.in_flight += 1
        self.under_way[model] += 1
        self.peak[model] = max(self.peak[model], self.under_way[model])

    def end(self, model: str) -> None:
        """The end of one."""
        self.in_flight -= 1
        self.under_way[model] -= 1


class Connection(asyncio.Protocol):
    """One client; a request that comes while another is answered (pipelining) is not expected."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.transport: asyncio.Transport
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.body: list[bytes] = []
        self.model: str | None = None  # of the call under way
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self.transport = cast(asyncio.Transport, transport)
        self.upstream.connections += 1
        self.upstream.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever goes while a call is under way has left it."""
        self.upstream.open -= 1
        if self.timer is not None:
            self.timer.cancel()
        if self.model is not None:
            self.upstream.left[self.model] += 1
            self._over()

    def data_received(self, data: bytes) -> None:
        """Parse; the parser calls the ``on_`` methods below."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.transport.write(answers.failure("", 400, f"no HTTP: {error}", "connection: close\r\n"))
            self.transport.close()

    def on_url(self, url: bytes) -> None:
        """The path of a request, perhaps in pieces."""
        self.url += url

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """A whole request: answer it."""
        path, body = self.url.partition(b"?")[0].decode("latin-1"), b"".join(self.body)
        self.url = b""
        self.body.clear()
        if self.parser.get_method() == b"GET":
            self._get(path)
        else:
            self._post(path, body)

    def _get(self, path: str) -> None:
        if path == "/stats":
            self.transport.write(answers.http(200, orjson.dumps(self.upstream.stats())))
        elif path == "/v1/models":
            self.transport.write(answers.MODELS)
        elif path == "/health":
            self.transport.write(answers.http(200, b"{}"))
        else:
            self.transport.write(answers.failure(path, 404, "nothing lives here"))

    def _post(self, path: str, body: bytes) -> None:
        try:
            asked = orjson.loads(body)
            model = asked["model"]
            does = behaviour(model)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.transport.write(answers.failure(path, 400, "the body must be a JSON object with a model"))
            return
        if path == answers.COUNT:
            self.transport.write(answers.COUNTED)
            return
        if path not in answers.PATHS and path != "/v1/embeddings":
            self.transport.write(answers.failure(path, 404, "nothing lives here"))
            return
        self.upstream.begin(model)
        self.model = model
        if does.delay:
            self.timer = asyncio.get_running_loop().call_later(does.delay, self._answer, path, asked, does)
        else:
            self._answer(path, asked, does)

    def _answer(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        act = _FAULTS.get(does.kind)
        if act is not None:
            act(self, path, asked, does)
        else:
            self._ok(path, asked, does)

    def _ok(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        if not asked.get("stream") or path == "/v1/embeddings":
            self._write(self._whole(path, asked))
            return
        events = self._events(path, asked, does)
        if does.gap:
            self.transport.write(answers.STREAM_HEAD)
            self._next(events, 0, does.gap)
        else:
            self._write(b"".join([answers.STREAM_HEAD, *events, answers.STREAM_END]))

    def _whole(self, path: str, asked: dict[str, Any]) -> bytes:
        return answers.embeddings(asked) if path == "/v1/embeddings" else answers.whole(path, asked["model"])

    def _events(self, path: str, asked: dict[str, Any], does: Behaviour) -> Sequence[bytes]:
        usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        return answers.stream(path, asked["model"], does.words, usage)

    def _next(self, events: Sequence[bytes], index: int, gap: float) -> None:
        """Write one event; the last, which holds no word, goes with the last but one."""
        if index >= len(events) - 2:
            self._write(b"".join([*events[index:], answers.STREAM_END]))
            return
        self.transport.write(events[index])
        self.timer = asyncio.get_running_loop().call_later(gap, self._next, events, index + 1, gap)

    def _write(self, data: bytes) -> None:
        self._over()
        self.transport.write(data)

    def _over(self) -> None:
        assert self.model is not None
        self.upstream.end(self.model)
        self.model = self.timer = None

    def _fails(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self._write(answers.failure(path, does.status, "our disk is full"))

    def _limit(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self._write(answers.failure(path, 429, "slow down", f"retry-after: {does.retry_after}\r\n"))

    def _refused(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self._write(answers.failure(path, 401, "this key is not known"))

    def _hang(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        """Say nothing; the call ends when its client leaves."""

    def _reset(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self._over()
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HARD_CLOSE)
        self.transport.abort()

    def _garbage(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self._write(answers.GARBAGE)

    def _flaky(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        if self.upstream.requests[asked["model"]] % 3:
            self._ok(path, asked, does)
        else:
            self._write(answers.failure(path, 500, "not this time"))

    def _cut(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self._write(self._half(path, asked, does))
        self.transport.close()

    def _stall(self, path: str, asked: dict[str, Any], does: Behaviour) -> None:
        self.transport.write(self._half(path, asked, does))

    def _half(self, path: str, asked: dict[str, Any], does: Behaviour) -> bytes:
        """The first half of an answer: of a stream whole events, else half the body that the head promises."""
        if asked.get("stream"):
            events = self._events(path, asked, does)
            return b"".join([answers.STREAM_HEAD, *events[: len(events) // 2]])
        whole = self._whole(path, asked)
        return whole[: (whole.index(b"\r\n\r\n") + len(whole)) // 2]


_FAULTS = {
    "fails": Connection._fails,
    "limit429": Connection._limit,
    "refused401": Connection._refused,
    "hang": Connection._hang,
    "reset": Connection._reset,
    "garbage": Connection._garbage,
    "flaky": Connection._flaky,
    "cut": Connection._cut,
    "stall": Connection._stall,
}


async def listen(host: str = "127.0.0.1", port: int = 0) -> tuple[asyncio.Server, Upstream]:
    """A running mock provider in this event loop, and its counts."""
    upstream = Upstream()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(upstream), host, port, backlog=4096)
    return server, upstream


async def _serve(host: str, port: int) -> None:
    server, _ = await listen(host, port)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://{host}:{port}/v1", "port": port}), flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    asked = parser.parse_args()
    import uvloop

    try:
        uvloop.run(_serve(asked.host, asked.port))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
