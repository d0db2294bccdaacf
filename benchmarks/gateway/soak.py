"""Does the gateway leak or lose anything in a million requests, of which many go wrong?

    python benchmarks/gateway/soak.py                       # a million requests; appends to results/gateway_soak.jsonl
    python benchmarks/gateway/soak.py --requests 20000      # a quick look; only prints

The gateway checks keys and limits and keeps its decisions in SQLite.  Most requests are answered; some are streamed,
refused by the provider, cut off by it half-way, or left by their client.  Told at the end: by how many megabytes the
gateway's memory grew per 100,000 requests after the first fifth, how many answers that a client got whole have no row
in the store, and which tasks, sockets and threads are there beside those of a gateway that has just begun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import uvloop

import load
import ours
import processes
import targets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rows

CONNECTIONS = 32
_WARM_UP = 0.2  # of all requests
_SAMPLES = 200
_LEAVES_SECONDS = 0.005
_SETTLED_SECONDS = 15.0
_DECISION = b"x-waypost-decision: "

# What is asked, how often in a thousand, and whether it is streamed.
MIX = (
    ("ok", 800, False),
    ("ok", 100, True),
    ("flaky", 40, False),
    ("error500", 20, False),
    ("cut", 20, True),
    ("leaves", 20, True),  # the client does, before a slow first word
)
_MODELS = {"ok": "ok", "flaky": "flaky", "error500": "error500", "cut": "cut", "leaves": "slow-200ms"}


@dataclass(slots=True)
class Soak:
    """How far the run is, and what came of it; ``acknowledged`` are the decisions of answers that came whole."""

    requests: int
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    acknowledged: set[bytes] = field(default_factory=set)
    sizes: list[tuple[int, float]] = field(default_factory=list)


class Client(load.Client):
    """One connection of the soak."""

    def __init__(self, soak: Soak, kinds: list[tuple[str, bytes]], draw: random.Random) -> None:
        super().__init__(load.Seen(), iter(()))
        self.soak = soak
        self.kinds = kinds
        self.draw = draw
        self.kind = ""

    def _ask(self) -> None:
        if self.soak.sent >= self.soak.requests:
            self._end(None)
            return
        self.soak.sent += 1
        self.answer.clear()
        self.kind, request = self.draw.choices(self.kinds, [share for _, share, _ in MIX])[0]
        self.transport.write(request)
        if self.kind == "leaves":
            asyncio.get_running_loop().call_later(_LEAVES_SECONDS, self.transport.abort)

    def _note(self) -> None:
        answer = self.answer
        status = bytes(answer[9:12]).decode("latin-1")
        if status == "200" and b"text/event-stream" in answer[:2048] and b"data: [DONE]" not in answer:
            status = "200, error event"
        self.soak.outcomes[f"{self.kind} {status}"] += 1
        at = answer.find(_DECISION)
        if at >= 0:
            self.soak.acknowledged.add(bytes(answer[at + len(_DECISION) :].partition(b"\r\n")[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        """A client of ours left, or the gateway closed."""
        if self.kind == "leaves":
            self.soak.outcomes["leaves"] += 1
        elif not self.over.done():
            self.soak.outcomes[f"{self.kind} lost"] += 1
        super().connection_lost(exc)


async def put_on(soak: Soak, url: str, key: str, pid: int) -> None:
    """Send all requests, and weigh the gateway on the way."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    kinds = [(kind, _request(url, key, _MODELS[kind], stream)) for kind, _, stream in MIX]

    async def keep(number: int) -> None:
        draw = random.Random(number)
        while soak.sent < soak.requests:
            _, client = await loop.create_connection(lambda: Client(soak, kinds, draw), parts.hostname, parts.port)
            await client.over

    async def weigh() -> None:
        step = max(1, soak.requests // _SAMPLES)
        while True:
            if soak.sent >= len(soak.sizes) * step:
                soak.sizes.append((soak.sent, processes.rss_megabytes(pid)))
                if len(soak.sizes) % 20 == 0:
                    print(f"{soak.sent:,} requests, {soak.sizes[-1][1]:.1f} MB", file=sys.stderr, flush=True)
            await asyncio.sleep(0.05)

    weighing = asyncio.create_task(weigh())
    await asyncio.gather(*(keep(number) for number in range(CONNECTIONS)))
    weighing.cancel()
    soak.sizes.append((soak.sent, processes.rss_megabytes(pid)))


def _request(url: str, key: str, model: str, stream: bool) -> bytes:
    return next(load.requests(load.Load(url, model, stream, key=key)))


def slope(sizes: list[tuple[int, float]], requests: int) -> float:
    """Megabytes that memory grows per 100,000 requests, by least squares after the warm-up."""
    kept = [(sent, size) for sent, size in sizes if sent >= _WARM_UP * requests]
    sent, size = np.array(kept).T
    return float(np.polyfit(sent / 1e5, size, 1)[0])


def lost(store: Path, acknowledged: set[bytes]) -> tuple[int, int]:
    """How many rows there are, and how many acknowledged decisions are not among them."""
    with sqlite3.connect(store) as connection:
        known = {row[0].encode() for row in connection.execute("SELECT id FROM decisions")}
    return len(known), len(acknowledged - known)


def state(process: subprocess.Popen[bytes], told: Path) -> dict[str, int]:
    """What the gateway has open: it says so itself (see `serve`)."""
    told.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    while not told.exists():
        time.sleep(0.01)
    tasks = int(told.read_text())
    links = [_link(path) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    threads = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
    return {"tasks": tasks, "sockets": sum(link.startswith("socket:") for link in links), "threads": threads}


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed meanwhile
        return ""


def serve(config: str, told: str) -> None:
    """``waypost serve`` that writes how many tasks it has when it gets SIGUSR1."""
    from waypost.cli import main as waypost

    def tell(*_: object) -> None:
        part = Path(told + ".part")
        part.write_text(str(len(asyncio.all_tasks(asyncio.get_running_loop()))))
        part.rename(told)

    signal.signal(signal.SIGUSR1, tell)
    sys.argv = ["waypost", "serve", "--config", config]
    waypost()


def soaked(requests: int, folder: Path) -> dict[str, Any]:
    """Run it all."""
    core, others = processes.cores()
    processes.pin(0, others)
    soak, told = Soak(requests), folder / "told"
    with targets.provider(others) as upstream:
        started = ours.soaked(targets.Place(folder, targets.free_port(), upstream), sorted(set(_MODELS.values())))
        command = [sys.executable, __file__, "--serve", *started.command[-1:], str(told)]
        with targets.process(command, folder, core) as process:
            url = targets.answering(process, folder, started)
            before = state(process, told)
            clock = time.perf_counter()
            uvloop.run(put_on(soak, url, started.key, process.pid))
            seconds = time.perf_counter() - clock
            after = _settled(process, told, before)
            provider = json.loads(urlopen(upstream.removesuffix("/v1") + "/stats").read())
        found, missing = lost(folder / ours.STORE, soak.acknowledged)
    return {
        "requests": soak.sent,
        "requests_per_s": round(soak.sent / seconds),
        "mb_at_start": round(soak.sizes[0][1], 1),
        "mb_at_end": round(soak.sizes[-1][1], 1),
        "mb_per_100k": round(slope(soak.sizes, requests), 3),
        "acknowledged": len(soak.acknowledged),
        "rows": found,
        "rows_lost": missing,
        "at_start": before,
        "at_end": after,
        "provider_in_flight": provider["in_flight"],
        # All but one, which asked for this, are idle in the gateway's pools.
        "provider_connections": provider["open_connections"],
        "provider_left": sum(provider["left"].values()),
        "outcomes": dict(sorted(soak.outcomes.items())),
    }


def _settled(process: subprocess.Popen[bytes], told: Path, before: dict[str, int]) -> dict[str, int]:
    """The state once it is as at the beginning but for pooled connections, or after some seconds."""
    end = time.monotonic() + _SETTLED_SECONDS
    while (after := state(process, told))["tasks"] > before["tasks"] and time.monotonic() < end:
        time.sleep(0.2)
    return after


def main() -> None:
    """Soak and tell."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="default: 1,000,000; fewer keep no row")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soaked(asked.requests, Path(folder))
    if asked.requests >= 1_000_000:
        rows.append("gateway_soak", found)
    else:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
