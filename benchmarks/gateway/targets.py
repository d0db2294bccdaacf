"""What is measured: the provider itself, gateways in front of it, and how each is started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import peers
import processes

MODEL = "stream-20x10ms"  # whole answers come at once, streams as 20 words with 10 ms between them
KEY = "sk-bench-0123456789"
_PATIENCE_SECONDS = 300.0


class DidNotStart(Exception):
    """The text says what the process said last."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway is to run: its folder, its port, and the provider that it stands before."""

    folder: Path
    port: int
    upstream: str

    @property
    def url(self) -> str:
        """Where the gateway is to listen."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, name: str, text: str) -> str:
        """A file in the folder, and its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Started:
    """How to start a gateway and how to ask it; ``url`` is None if it chooses its port and prints the URL."""

    command: list[str]
    url: str | None
    env: Mapping[str, str] = field(default_factory=dict)
    base: str = "/v1"
    model: str = MODEL
    key: str = KEY


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the comparison; ``start`` is None for the provider itself; ``prompt`` is in characters."""

    name: str
    about: str
    start: Callable[[Place], Started] | None
    quick: bool = False
    prompt: int = 1000


@dataclass(slots=True)
class Running:
    """A gateway that takes requests."""

    url: str
    started: Started | None = None
    pid: int | None = None
    ready_s: float | None = None

    @property
    def rss_mb(self) -> float | None:
        """Resident memory now, in megabytes."""
        return None if self.pid is None else round(processes.rss_megabytes(self.pid), 1)


def nginx(place: Place) -> Started:
    """A reverse proxy that looks at nothing: what a hop costs at the least."""
    host = urlsplit(place.upstream).netloc
    config = f"""
daemon off; worker_processes 1; pid {place.folder}/pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {place.folder}/body;
  proxy_temp_path {place.folder}/proxy; fastcgi_temp_path {place.folder}/f; uwsgi_temp_path {place.folder}/u;
  scgi_temp_path {place.folder}/s;
  upstream provider {{ server {host}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{place.port};
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""  # noqa: E501 - one line of nginx's configuration
    found = peers.program("nginx", "on Debian and Ubuntu: apt-get install nginx")
    return Started([found, "-c", place.write("nginx.conf", config), "-p", str(place.folder), "-e", "stderr"], place.url)


def litellm(place: Place) -> Started:
    """LiteLLM's proxy with a master key, one worker, in production mode, without a database."""
    python = peers.python("litellm[proxy]==1.106.2")
    config = f"""
model_list:
  - model_name: {MODEL}
    litellm_params: {{model: openai/{MODEL}, api_base: "{place.upstream}", api_key: sk-upstream}}
general_settings: {{master_key: {KEY}}}
"""
    command = [str(python.parent / "litellm"), "--config", place.write("litellm.yaml", config), "--host", "127.0.0.1"]
    command += ["--port", str(place.port), "--num_workers", "1", "--telemetry", "False"]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    return Started(command, place.url, env)


def tensorzero(place: Place) -> Started:
    """TensorZero's gateway out of its Python package, without a store."""
    python = peers.python("tensorzero==2026.6.0")
    config = f"""
[gateway]
observability.enabled = false
[models."{MODEL}"]
routing = ["mock"]
[models."{MODEL}".providers.mock]
type = "openai"
model_name = "{MODEL}"
api_base = "{place.upstream}/"
api_key_location = "none"
"""
    script = """
import sys, threading
from tensorzero import _start_http_gateway
served = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(served.base_url.removesuffix("/openai/v1"), flush=True)
threading.Event().wait()
"""
    command = [str(python), "-c", script, place.write("tensorzero.toml", config)]
    return Started(command, None, base="/openai/v1", model=f"tensorzero::model_name::{MODEL}")


def vllm_router(place: Place) -> Started:
    """VLLM's router before one worker."""
    python = peers.python("vllm-router==0.1.17")
    worker = place.upstream.removesuffix("/v1")
    command = [str(python.parent / "vllm-router"), "--worker-urls", worker, "--policy", "round_robin"]
    command += ["--host", "127.0.0.1", "--port", str(place.port), "--prometheus-port", str(free_port())]
    return Started([*command, "--log-level", "error"], place.url)


@contextmanager
def running(target: Target, folder: Path, upstream: str, core: set[int]) -> Iterator[Running]:
    """A target that is ready, alone on its core.

    Raises:
        CannotInstall: what it needs is not here.
        DidNotStart: it ended, or was not ready in five minutes.
    """
    if target.start is None:
        yield Running(upstream)
        return
    started = target.start(Place(folder, free_port(), upstream))
    clock = time.perf_counter()
    with process(started.command, folder, core, started.env) as server:
        url = answering(server, folder, started)
        yield Running(url, started, server.pid, round(time.perf_counter() - clock, 2))


@contextmanager
def process(
    command: list[str], folder: Path, core: set[int], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on these cores, ended gently; what it says is kept in the folder's file ``said``."""
    # One core is one thread's worth; libraries that look for more only get into each other's way.
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    with (folder / "said").open("wb") as said:
        server = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env=surroundings,
            cwd=folder,
            preexec_fn=lambda: processes.pin(0, core),
        )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answering(server: subprocess.Popen[bytes], folder: Path, started: Started) -> str:
    """The URL of a gateway, up to and including /v1, as soon as it answers a request: the same sign for all.

    Raises:
        DidNotStart: it ended, or did not answer in five minutes.
    """
    clock = time.perf_counter()
    while server.poll() is None and time.perf_counter() - clock < _PATIENCE_SECONDS:
        url = started.url or _told(folder / "said")
        if url and _answers(url + started.base, started):
            return url + started.base
        time.sleep(0.005)
    raise DidNotStart(_last(folder / "said"))


def _told(said: Path) -> str | None:
    """The URL that a gateway printed on a line of its own."""
    lines = said.read_text(errors="replace").splitlines()
    return next((line.strip() for line in lines if line.startswith("http://")), None)


def _answers(url: str, started: Started) -> bool:
    """Whether a request gets an answer: the same sign of being ready for all."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
    asked = {"model": started.model, "messages": [{"role": "user", "content": "Are you ready?"}]}
    headers = {"authorization": f"Bearer {started.key}", "content-type": "application/json"}
    try:
        connection.request("POST", f"{parts.path}/chat/completions", json.dumps(asked), headers)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _last(said: Path) -> str:
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if line.strip()]
    return f"no answer; the last that it said is: {lines[-1][:300]}" if lines else "no answer, and it said nothing"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def provider(core: set[int]) -> Iterator[str]:
    """The mock provider in a process of its own; gives its URL, up to and including /v1."""
    command = [sys.executable, str(Path(__file__).with_name("upstream.py")), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: processes.pin(0, core)) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
