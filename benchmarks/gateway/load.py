"""A load generator that costs little itself: raw sockets, requests made beforehand, answers read just far enough.

    python benchmarks/gateway/load.py --url http://127.0.0.1:8080/v1 --concurrency 16 --seconds 3
    python benchmarks/gateway/load.py --url http://127.0.0.1:8080/v1 --model stream-20x10ms --stream --pid 4711

The loop is closed: each of the connections sends its next request when its answer is whole.  No prompt is sent twice,
so nothing is answered out of a cache.  With ``--pid`` the processor time of that process and its children is divided by
what they served.  Words are counted as the mock provider (`upstream.py`) says them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import processes

_PATIENCE_SECONDS = 30.0  # for a server that is slow to begin, to answer at all, or to end
_LEAST = 16  # answers that a figure stands on, where the server gives so many
_SENTENCE = "Consider how a small harbour town might plan its ferries when the tide leaves little time to land. "
_WORD = b"word"


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of whom; ``prompt`` is in characters, times are in seconds."""

    url: str
    model: str = "ok"
    stream: bool = False
    concurrency: int = 1
    seconds: float = 3.0
    warm_up: float = 0.5
    prompt: int = 1000
    key: str = "sk-bench"
    pid: int | None = None


@dataclass(slots=True)
class Figures:
    """What came of it; times in milliseconds, processor times in microseconds, None where nothing was measured."""

    requests: int
    requests_per_s: float
    errors: dict[str, int]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    ttft_ms: float | None = None
    ttft_p95_ms: float | None = None
    ttft_p99_ms: float | None = None
    chunks: int = 0
    cpu_us_per_request: float | None = None
    cpu_us_per_chunk: float | None = None


@dataclass(slots=True)
class Seen:
    """What the connections of one run write down: how many calls ended, and of those while ``counting`` all."""

    answers: int = 0
    counting: bool = False
    going: bool = True
    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    chunks: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Client(asyncio.Protocol):
    """One connection in the closed loop; after a failure it connects again."""

    def __init__(self, seen: Seen, requests: Iterator[bytes]) -> None:
        self.seen = seen
        self.requests = requests
        self.over: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.answer = bytearray()
        self.sent = self.first = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what waits for the end of this connection."""
        if not self.over.done():
            self.over.set_result("reset" if exc else "closed")

    def data_received(self, data: bytes) -> None:
        """Note the first word, and go on when the answer is whole."""
        self.answer += data
        if not self.first and _WORD in self.answer:
            self.first = perf_counter()
        if whole(self.answer):
            self._note()
            if self.over.done():
                return
            if self.seen.going:
                self._ask()
            else:
                self._end(None)

    def _ask(self) -> None:
        self.answer.clear()
        self.first = 0.0
        self.sent = perf_counter()
        self.transport.write(next(self.requests))

    def _note(self) -> None:
        self.seen.answers += 1
        now, status = perf_counter(), bytes(self.answer[9:12]).decode("latin-1")
        streamed = b"text/event-stream" in self.answer[:2048]
        if status != "200":
            self._error(status)
        elif not self.first:
            self._error("no answer")
        elif streamed and b"data: [DONE]" not in self.answer:
            self._error("cut")
        elif self.seen.counting:
            self.seen.seconds.append(now - self.sent)
            if streamed:
                self.seen.first.append(self.first - self.sent)
                self.seen.chunks += self.answer.count(_WORD)
        if b"connection: close" in self.answer[:2048].lower():
            self._end("closed")

    def _error(self, what: str) -> None:
        if self.seen.counting:
            self.seen.errors[what] += 1

    def _end(self, problem: str | None) -> None:
        self.over.set_result(problem)
        self.transport.close()


def whole(answer: bytearray) -> bool:
    """Whether all of an answer is there."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    fields = answer[:head].lower()
    at = fields.find(b"\r\ncontent-length:")
    if at < 0:
        # In chunks; what ends them can stand in no JSON, which has no bare line ends.
        return answer.endswith(b"\r\n0\r\n\r\n")
    length = int(fields[at + 17 :].partition(b"\r\n")[0])
    return len(answer) >= head + 4 + length


async def run(load: Load) -> Figures:
    """Put the load on, and measure what comes back after the warm-up."""
    seen, made = Seen(), requests(load)
    parts = urlsplit(load.url)
    assert parts.hostname is not None
    tasks = [asyncio.create_task(_keep(parts.hostname, parts.port or 80, seen, made)) for _ in range(load.concurrency)]
    await asyncio.sleep(load.warm_up)
    # What has just begun, or still works off an earlier load, is given the time of one answer a connection.
    await _until(lambda: seen.answers >= load.concurrency)
    cpu, start = processes.cpu_seconds(load.pid) if load.pid else 0.0, perf_counter()
    seen.counting = True
    await asyncio.sleep(load.seconds)
    await _until(lambda: len(seen.seconds) + seen.errors.total() >= min(load.concurrency, _LEAST))
    seen.counting = False
    took = perf_counter() - start
    cpu = processes.cpu_seconds(load.pid) - cpu if load.pid else 0.0
    seen.going = False
    _, late = await asyncio.wait(tasks, timeout=_PATIENCE_SECONDS)
    for task in late:
        task.cancel()
    return _figures(load, seen, took, cpu)


async def _until(enough: Callable[[], bool]) -> None:
    """Wait for slow servers, within reason."""
    for _ in range(round(_PATIENCE_SECONDS / 0.05)):
        if enough():
            return
        await asyncio.sleep(0.05)


async def _keep(host: str, port: int, seen: Seen, requests: Iterator[bytes]) -> None:
    """Keep one connection at work until the end."""
    loop = asyncio.get_running_loop()
    while seen.going:
        try:
            transport, client = await loop.create_connection(lambda: Client(seen, requests), host, port)
        except OSError:
            if seen.counting:
                seen.errors["refused"] += 1
            await asyncio.sleep(0.05)
            continue
        try:
            problem = await client.over
        finally:
            transport.abort()
        if problem is not None and not whole(client.answer):
            seen.answers += 1
            if seen.counting:
                seen.errors[problem] += 1


def requests(load: Load) -> Iterator[bytes]:
    """Requests without end, each with a prompt of its own."""
    parts = urlsplit(load.url)
    text = (_SENTENCE * (load.prompt // len(_SENTENCE) + 1))[: load.prompt - 9]
    asked: dict[str, Any] = {"model": load.model, "messages": [{"role": "user", "content": f"00000000 {text}"}]}
    if load.stream:
        asked["stream"] = True
    before, _, after = json.dumps(asked).encode().partition(b"00000000")
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {load.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(before) + 8 + len(after)}\r\n\r\n"
    ).encode()
    start = int(perf_counter() * 1e3) * 1000  # so that a second run does not repeat the first one's prompts
    return (b"%b%b%08d%b" % (head, before, number % 100_000_000, after) for number in itertools.count(start))


def _figures(load: Load, seen: Seen, took: float, cpu: float) -> Figures:
    count = len(seen.seconds)
    times = sorted(seen.seconds)
    figures = Figures(
        requests=count,
        requests_per_s=round(count / took, 1),
        errors=dict(seen.errors),
        p50_ms=_at(times, 0.50),
        p95_ms=_at(times, 0.95),
        p99_ms=_at(times, 0.99),
        chunks=seen.chunks,
    )
    if load.stream:
        first = sorted(seen.first)
        figures.ttft_ms, figures.ttft_p95_ms, figures.ttft_p99_ms = (_at(first, part) for part in (0.50, 0.95, 0.99))
    if load.pid and count:
        figures.cpu_us_per_request = round(1e6 * cpu / count, 1)
        if seen.chunks:
            figures.cpu_us_per_chunk = round(1e6 * cpu / seen.chunks, 1)
    return figures


def _at(times: Sequence[float], part: float) -> float | None:
    return round(1e3 * times[min(len(times) - 1, int(part * len(times)))], 3) if times else None


def main() -> None:
    """Measure one point and print it as JSON."""
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="up to and including /v1")
    parser.add_argument("--model", default="ok")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=0.5)
    parser.add_argument("--prompt", type=int, default=1000, help="characters of each prompt; default: 1000")
    parser.add_argument("--key", default="sk-bench")
    parser.add_argument("--pid", type=int, help="whose processor time to measure")
    print(json.dumps(asdict(uvloop.run(run(Load(**vars(parser.parse_args())))))))


if __name__ == "__main__":
    main()
