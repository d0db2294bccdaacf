"""The load generator counts what was answered, times streams by their first word, and names what went wrong."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("load")


@pytest.fixture
async def url(load: ModuleType) -> AsyncIterator[str]:
    server, _ = await importlib.import_module("upstream").listen()
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_whole_answers(load: ModuleType, url: str) -> None:
    asked = load.Load(url, concurrency=4, seconds=0.2, warm_up=0.0, pid=os.getpid())
    found = await load.run(asked)
    assert found.errors == {}
    assert found.requests > 10
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms
    assert found.cpu_us_per_request > 0
    assert found.ttft_ms is None


async def test_streams_begin_before_they_end(load: ModuleType, url: str) -> None:
    asked = load.Load(url, "stream-5x20ms", stream=True, concurrency=2, seconds=0.3, warm_up=0.0)
    found = await load.run(asked)
    assert found.errors == {}
    assert found.chunks == 5 * found.requests > 0
    assert found.ttft_ms < 60 < 80 <= found.p50_ms


@pytest.mark.parametrize(
    ("model", "stream", "kind"),
    [("error500", False, "500"), ("garbage", False, "no answer"), ("cut", True, "closed"), ("reset", False, "reset")],
)
async def test_what_goes_wrong_is_no_answer(load: ModuleType, url: str, model: str, stream: bool, kind: str) -> None:
    found = await load.run(load.Load(url, model, stream=stream, seconds=0.1, warm_up=0.0))
    assert found.requests == 0
    assert found.errors.keys() == {kind}


def test_no_prompt_is_sent_twice(load: ModuleType) -> None:
    made = load.requests(load.Load("http://127.0.0.1:1/v1", prompt=500))
    some = [next(made) for _ in range(1000)]
    assert len(set(some)) == 1000
    assert len({len(request) for request in some}) == 1
