"""The mock provider speaks so that the providers' own clients understand it, and fails as its models' names say."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gateway"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("upstream")


class Running:
    def __init__(self, port: int, counts: Any) -> None:
        self.port = port
        self.counts = counts
        self.url = f"http://127.0.0.1:{port}"
        self.openai = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0, timeout=10)
        self.anthropic = anthropic.AsyncAnthropic(base_url=self.url, api_key="any", max_retries=0, timeout=10)

    async def stats(self) -> dict[str, Any]:
        return await self.openai.get(f"{self.url}/stats", cast_to=dict[str, Any])

    async def until(self, field: str, value: object) -> None:
        """Ask until a count is this."""
        async with asyncio.timeout(10):
            while (await self.stats())[field] != value:
                pass

    async def raw(self, model: str, *, stream: bool) -> bytes:
        """Everything that comes until the provider closes."""
        body = json.dumps({"model": model, "messages": HELLO, "stream": stream}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def running(upstream: ModuleType) -> AsyncIterator[Running]:
    server, counts = await upstream.listen()
    async with server:
        served = Running(server.sockets[0].getsockname()[1], counts)
        yield served
        await served.openai.close()
        await served.anthropic.close()


@asynccontextmanager
async def failing(kind: type[Exception]) -> AsyncIterator[pytest.ExceptionInfo[Any]]:
    with pytest.raises(kind) as raised:
        yield raised


async def test_openai_s_client_reads_every_api(running: Running) -> None:
    client = running.openai
    chat = await client.chat.completions.create(model="ok", messages=HELLO)
    assert len(chat.choices[0].message.content.split()) == chat.usage.completion_tokens == 50
    completion = await client.completions.create(model="ok", prompt="Hello")
    assert completion.choices[0].text == chat.choices[0].message.content
    response = await client.responses.create(model="ok", input="Hello")
    assert response.output_text == chat.choices[0].message.content
    vectors = await client.embeddings.create(model="ok", input=["a", "b"])
    assert [row.embedding for row in vectors.data] == [[0.5, -0.5, 0.25, -0.25, 0.125, -0.125, 0.0, 1.0]] * 2
    assert [model.id async for model in client.models.list()] == ["ok"]


async def test_openai_s_client_reads_every_stream(running: Running) -> None:
    client, usage = running.openai, {"include_usage": True}
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="stream-3x1ms", messages=HELLO, stream=True, stream_options=usage
        )
    ]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "word0 word1 word2 "
    assert chunks[-1].usage.completion_tokens == 3
    texts = [
        chunk.choices[0].text
        async for chunk in await client.completions.create(model="stream-3x1ms", prompt="Hello", stream=True)
    ]
    assert "".join(texts) == "word0 word1 word2 "
    events = [event async for event in await client.responses.create(model="stream-3x1ms", input="Hello", stream=True)]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "word0 word1 word2 "
    assert events[-1].response.output_text == "word0 word1 word2 "
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_a_stream_shows_its_usage_only_to_who_asks(running: Running) -> None:
    stream = await running.openai.chat.completions.create(model="ok", messages=HELLO, stream=True)
    assert not [chunk async for chunk in stream if chunk.usage]


async def test_anthropic_s_client_reads_messages(running: Running) -> None:
    asked = {"max_tokens": 100, "messages": HELLO}
    message = await running.anthropic.messages.create(model="ok", **asked)
    assert len(message.content[0].text.split()) == message.usage.output_tokens == 50
    async with running.anthropic.messages.stream(model="stream-3x1ms", **asked) as stream:
        streamed = await stream.get_final_message()
    assert streamed.content[0].text == "word0 word1 word2 "
    assert streamed.usage.output_tokens == 3
    async with failing(anthropic.RateLimitError) as raised:
        await running.anthropic.messages.create(model="limit429", **asked)
    assert raised.value.body["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("model", "status"), [("error500", 500), ("error503-a", 503), ("limit429", 429), ("refused401", 401)]
)
async def test_a_status_is_chosen_by_name(running: Running, model: str, status: int) -> None:
    async with failing(openai.APIStatusError) as raised:
        await running.openai.chat.completions.create(model=model, messages=HELLO)
    assert raised.value.status_code == status
    assert raised.value.response.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_every_third_call_of_a_flaky_model_fails(running: Running) -> None:
    seen = []
    for _ in range(6):
        try:
            await running.openai.chat.completions.create(model="flaky", messages=HELLO)
            seen.append(200)
        except openai.InternalServerError as error:
            seen.append(error.status_code)
    assert seen == [200, 200, 500] * 2


async def test_garbage_is_a_200_of_html(running: Running) -> None:
    raw = await running.openai.chat.completions.with_raw_response.create(model="garbage", messages=HELLO)
    assert raw.status_code == 200
    assert raw.headers["content-type"] == "text/html"


async def test_a_reset_is_one(running: Running) -> None:
    async with failing(ConnectionResetError):
        await running.raw("reset", stream=False)


async def test_a_cut_stream_ends_between_two_words(running: Running) -> None:
    stream = await running.raw("cut", stream=True)
    assert stream.count(b"word") == 25
    assert b"[DONE]" not in stream
    assert not stream.endswith(b"0\r\n\r\n")


async def test_a_cut_answer_is_shorter_than_promised(running: Running) -> None:
    head, _, body = (await running.raw("cut", stream=False)).partition(b"\r\n\r\n")
    promised = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < promised


@pytest.mark.parametrize("model", ["hang", "stall", "slow-60s", "stream-20x60s"])
async def test_who_leaves_is_counted(running: Running, model: str) -> None:
    asked = asyncio.create_task(running.raw(model, stream=True))
    await running.until("in_flight", 1)
    asked.cancel()
    await running.until("left", {model: 1})
    assert (await running.stats())["in_flight"] == 0


async def test_what_was_seen_is_told(running: Running) -> None:
    await running.openai.chat.completions.create(model="ok-a", messages=HELLO)
    stats = await running.stats()
    assert stats["by_model"] == {"ok-a": 1}
    assert stats["open_connections"] == 1
    assert stats["left"] == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-6", {}),
        ("ok-50ms-b", {"delay": 0.05}),
        ("slow", {"delay": 1.0}),
        ("slow-200ms", {"delay": 0.2}),
        ("stream-20x10ms", {"words": 20, "gap": 0.01}),
        ("limit429-2s", {"retry_after": 2}),
        ("error503", {"kind": "fails", "status": 503}),
    ],
)
def test_a_name_says_how_a_model_behaves(upstream: ModuleType, name: str, expected: dict[str, Any]) -> None:
    known = {"kind": name.split("-")[0]} | expected
    assert upstream.behaviour(name) == upstream.Behaviour(**known)
