"""A gateway before the mock provider of the benchmarks, and what no answer of it may ever be.

Every example is drawn anew from the same seed, so that a failure here is a failure everywhere.  For a longer search:

    WAYPOST_FUZZ=100 python -m pytest tests/gateway/fuzz      # a hundred times the examples, of other seeds
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

UPSTREAM = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway" / "upstream.py"
TIMES = int(os.environ.get("WAYPOST_FUZZ", "1"))


@pytest.fixture
def search() -> Callable[[int], settings]:
    """So many examples, each different and none kept for the next run."""
    return lambda examples: settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    """The address of a running mock provider, which speaks every API."""
    with subprocess.Popen([sys.executable, UPSTREAM, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


@pytest.fixture
def fuzzed(serve, provider: str) -> Callable[..., Any]:
    """A gateway with models of every kind of API, and a cache."""

    def start(top: str = "", **limits: Any) -> Any:
        settings = ", ".join(f"{name}: {value}" for name, value in {"port": 0, **limits}.items())
        return serve(f"""
models:
  - {{name: arithmetic, kind: arithmetic}}
  - {{name: chat, kind: openai, base_url: '{provider}', usd_per_mtok_in: 1, usd_per_mtok_out: 2,
     capabilities: [json, tools, vision]}}
  - {{name: every, kind: openai, base_url: '{provider}', usd_per_mtok_in: 2, usd_per_mtok_out: 2,
     apis: [chat, completions, embeddings, responses]}}
  - {{name: claude, kind: anthropic, base_url: '{provider.removesuffix("/v1")}', api_key: '${{KEY}}',
     usd_per_mtok_in: 3, usd_per_mtok_out: 3, capabilities: [tools]}}
router: cheapest
cache: {{seconds: 60}}
server: {{{settings}}}
{top}
""")

    return start


class Reply:
    """What came back: ``status``, ``headers`` in small letters, ``body``."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def error(self) -> dict[str, Any]:
        said = json.loads(self.body)["error"]
        assert isinstance(said, dict)
        return said


class Client:
    """One connection that is opened again whenever the gateway has closed it."""

    def __init__(self, served: Any) -> None:
        self.connection = HTTPConnection(served.host, served.port, timeout=30)

    def ask(self, path: str, body: bytes | None, headers: dict[str, str | bytes] | None = None) -> Reply:
        """Send a request, and read all of the answer."""
        method = "GET" if body is None else "POST"
        self.connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
        response = self.connection.getresponse()
        return Reply(response.status, response.getheaders(), response.read())

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def client() -> Iterator[Callable[[Any], Client]]:
    made: list[Client] = []

    def start(served: Any) -> Client:
        made.append(Client(served))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def sound() -> Callable[[Reply, str], None]:
    """That an answer is one, or an error in its API's shape of a readable length that names no bug."""
    return _sound


# What an answer of these routes may say in its head.
HEADERS = {"content-type", "content-length", "transfer-encoding", "date", "connection", "cache-control", "retry-after",
           "allow", "www-authenticate", "x-should-retry"}  # fmt: skip


def _sound(reply: Reply, path: str) -> None:
    for name, value in reply.headers.items():
        assert name in HEADERS or name.startswith(("x-waypost-", "x-ratelimit-")), name
        assert value.isprintable() and value.isascii(), (name, value)
    if reply.status == 200:
        return
    assert 400 <= reply.status < 500, (reply.status, reply.body[:500])
    assert reply.headers["content-type"] == "application/json"
    error = reply.error
    if path.startswith("/v1/messages"):
        assert set(error) == {"type", "message"} and json.loads(reply.body)["type"] == "error"
    else:
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert error["param"] is None or len(error["param"]) <= 200, error["param"]
    assert 0 < len(error["message"]) <= 1000, error["message"]
