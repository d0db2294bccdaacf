"""Several processes on one port: they share the load, and one that dies is replaced while the others go on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIG = "models:\n  - {name: arithmetic, kind: arithmetic}\nrouter: cheapest\nstore: rows.sqlite\n"
QUESTION = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}).encode()


class Group:
    """A supervisor with its workers."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def ask(self) -> int:
        try:
            with urllib.request.urlopen(f"{self.url}/v1/chat/completions", QUESTION, timeout=30) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    def answered(self) -> int:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as reply:
            page = reply.read().decode()
        return sum(map(int, re.findall(r'^waypost_requests_total\{.*status="200".* (\d+)$', page, re.MULTILINE)))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def group(
    folder: Path,
    *arguments: str,
    text: str = CONFIG,
    meanwhile: Callable[[subprocess.Popen[str]], None] = lambda process: None,
) -> Iterator[Group]:
    config = folder / "waypost.yaml"
    config.write_text(text)
    command = [sys.executable, "-m", "waypost", "serve", "--config", str(config), "--port", "0", "--json", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            meanwhile(process)
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield Group(process, json.loads(line)["url"])
        finally:
            process.terminate()
            process.wait(30)


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    for _ in range(int(seconds * 20)):
        if what():
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"not so within {seconds} s")


def test_a_killed_worker_is_replaced_and_nothing_that_was_counted_is_forgotten(tmp_path):
    outcomes: Counter[object] = Counter()
    with group(tmp_path, "--workers", "2") as served:
        first, second = served.workers()
        enough = threading.Event()

        def load() -> None:
            while not enough.is_set():
                try:
                    outcomes[served.ask()] += 1
                except OSError:
                    outcomes["broken"] += 1

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        until(lambda: outcomes[200] > 50)
        counted = served.answered()
        os.kill(first, signal.SIGKILL)
        before = outcomes[200]
        until(lambda: outcomes[200] > before + 50)
        assert served.answered() >= counted
        until(lambda: len(served.workers()) == 2 and first not in served.workers())
        enough.set()
        for client in clients:
            client.join(30)
        assert second in served.workers()
        # Only what the killed process itself had in its hands can be lost, one request a client.
        assert set(outcomes) <= {200, "broken"} and outcomes["broken"] <= len(clients)
        totals = [served.answered() for _ in range(20)]
        assert totals == sorted(totals), "whoever answers, the totals never go back"
        # Of what was told nothing is lost, nor of what came after the end of the first; in between a client may have
        # had its answer out of its hands and not have counted it yet.
        until(lambda: served.answered() + len(clients) >= counted + outcomes[200] - before)


def test_hangup_reloads_every_worker_and_the_end_is_graceful(tmp_path):
    with group(tmp_path, text=CONFIG + "server: {workers: 2}\n") as served:
        (tmp_path / "waypost.yaml").write_text(CONFIG.replace("name: arithmetic", "name: sums"))
        served.process.send_signal(signal.SIGHUP)

        def names() -> str:
            with urllib.request.urlopen(f"{served.url}/v1/models", timeout=30) as reply:
                return reply.read().decode()

        until(lambda: all('"sums"' in names() for _ in range(10)))
        workers = served.workers()
        served.process.terminate()
        assert served.process.wait(30) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_every_process_logs_in_the_form_that_is_asked_for(tmp_path):
    text = CONFIG + "server: {workers: 2}\nlogs: {format: json, requests: all}\n"
    with group(tmp_path, text=text) as served:
        lines = []

        def read_until(words: str, times: int) -> None:
            while sum(words in line for line in lines) < times:
                lines.append(served.process.stderr.readline())
                assert lines[-1], lines

        assert served.ask() == 200
        served.process.send_signal(signal.SIGHUP)
        read_until("was reloaded", 2)
        os.kill(served.workers()[0], signal.SIGKILL)
        read_until("another one starts", 1)
    told = [json.loads(line) for line in lines]
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in told)
    assert {"waypost.requests", "waypost.gateway.running.workers", "waypost.gateway.running.reload"} <= {
        line["logger"] for line in told
    }


def test_ctrl_c_lets_the_requests_under_way_end(tmp_path, pool, upstream, monkeypatch):
    monkeypatch.setenv("KEY", "sk-1")
    with group(tmp_path, "--workers", "2", text=pool("stepwise") + "\n") as served:
        answers = []

        def ask() -> None:
            question = {"model": "stepwise", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
            with urllib.request.urlopen(f"{served.url}/v1/chat/completions", json.dumps(question).encode()) as reply:
                answers.append(reply.read().decode())

        def closed() -> bool:
            try:
                with urllib.request.urlopen(f"{served.url}/health/live", timeout=1):
                    return False
            except OSError:
                return True

        client = threading.Thread(target=ask)
        client.start()
        upstream.began.get(timeout=30)
        # As a terminal does it: to every process of the group.
        os.killpg(os.getpgid(served.process.pid), signal.SIGINT)
        until(closed)
        upstream.go_on.set()
        client.join(30)
        assert served.process.wait(30) == 0
    assert "Paris" in answers[0] and answers[0].endswith("data: [DONE]\n\n")


def test_a_worker_that_is_killed_before_it_serves_is_replaced_too(tmp_path):
    def kill_one(process: subprocess.Popen[str]) -> None:
        until(lambda: bool(children(process.pid)))
        os.kill(children(process.pid)[0], signal.SIGKILL)

    with group(tmp_path, "--workers", "2", meanwhile=kill_one) as served:
        assert served.ask() == 200
        assert len(served.workers()) == 2


def test_workers_end_with_their_supervisor_however_it_ends(tmp_path):
    with group(tmp_path, "--workers", "2") as served:
        workers = served.workers()
        served.process.kill()
        until(lambda: not any(alive(pid) for pid in workers))


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_what_cannot_start_ends_with_its_reason(tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(CONFIG.replace("rows.sqlite", "no/such/folder/rows.sqlite"))
    command = [sys.executable, "-m", "waypost", "serve", "--config", str(config), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "cannot be used" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_announcement_is_the_same_for_one_and_for_many(tmp_path, workers):
    (tmp_path / "waypost.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "waypost", "serve", "--config", str(tmp_path / "waypost.yaml"), "--port", "0"]
    with subprocess.Popen([*command, "--workers", workers], stderr=subprocess.PIPE, text=True) as process:
        said = ""
        while "curl" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.terminate()
        process.wait(30)
    assert "Router    cheapest, strategy single" in said
    assert ("Workers   2" in said) == (workers == "2")
