"""A provider's stream in any pieces, or cut at any byte: what a client of each API gets depends on the bytes alone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

HELLO = [{"role": "user", "content": "Hi"}]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
ASKED = {
    CHAT: {"messages": HELLO, "stream_options": {"include_usage": True}},
    RESPONSES: {"input": "Hi"},
    MESSAGES: {"messages": HELLO, "max_tokens": 9},
    "/v1/completions": {"prompt": "Hi"},
}
# What ends a whole answer, and what only one that broke off has.
ENDS = {CHAT: b"data: [DONE]", "/v1/completions": b"data: [DONE]",
        RESPONSES: b"event: response.completed", MESSAGES: b"event: message_stop"}  # fmt: skip
BROKEN = (b'"error": {', b"event: error", b"event: response.failed")
TOLD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %s" % json.dumps(TOLD | {"choices": [choice]}, ensure_ascii=False).encode()


def named(type: str, **fields: Any) -> bytes:
    data = json.dumps({"type": type, **fields}, ensure_ascii=False).encode()
    return b"event: %s\ndata: %s" % (type.encode(), data)


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTED = {"input_tokens": 3, "output_tokens": 1}
WHOLE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": []}
PART = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
# Texts of two, three and four bytes a letter, so that a cut may fall within one.
STREAMS: dict[str, list[bytes]] = {
    CHAT: [
        b": a comment",
        chunk(role="assistant", content=""),
        chunk(content="Olá "),
        chunk(content="\u2014 \U0001f600"),
        chunk("stop"),
        b"data: %s" % json.dumps(TOLD | {"choices": [], "usage": USAGE}).encode(),
        b"data: [DONE]",
    ],
    RESPONSES: [
        named("response.created", sequence_number=0, response=WHOLE | {"status": "in_progress"}),
        named("response.output_text.delta", sequence_number=1, delta="Olá \U0001f600", **PART),
        named("response.completed", sequence_number=2, response=WHOLE | {"usage": COUNTED}),
    ],
    MESSAGES: [
        named("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                                        "content": [], "stop_reason": None, "usage": COUNTED}),
        named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        b"event: ping\ndata: {\"type\": \"ping\"}",
        named("content_block_delta", index=0, delta={"type": "text_delta", "text": "Olá \U0001f600"}),
        named("content_block_stop", index=0),
        named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        named("message_stop"),
    ],
}  # fmt: skip


class Provider:
    """Answers every request with ``pieces``, each sent by itself, and closes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.answer, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(HEAD)
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()


@pytest.fixture
def provider_of_bytes() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.loop.run_forever)
    thread.start()
    yield provider

    async def end() -> None:
        provider.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), provider.loop).result(10)
    provider.loop.call_soon_threadsafe(provider.loop.stop)
    thread.join(10)
    provider.loop.close()


@pytest.fixture
def streaming(serve, client, provider_of_bytes):
    """Ask for a stream by an API of a model that speaks one; what comes back, but for ids and times of ours."""
    url = provider_of_bytes.url
    served = serve(f"""
models:
  - {{name: chat, kind: openai, base_url: '{url}/v1'}}
  - {{name: every, kind: openai, base_url: '{url}/v1', apis: [chat, responses]}}
  - {{name: claude, kind: anthropic, base_url: '{url}', api_key: '${{KEY}}'}}
router: cheapest
reliability: {{retries: 0, breaker: {{failures: 1000000}}}}
""")
    asking = client(served)
    models = {CHAT: "chat", RESPONSES: "every", MESSAGES: "claude"}

    def ask(path: str, of: str, pieces: list[bytes]) -> tuple[int, bytes]:
        provider_of_bytes.pieces = pieces
        body = {"model": models[of], "stream": True, **ASKED[path]}
        reply = asking.ask(path, json.dumps(body).encode())
        assert reply.status in (200, 502), reply.body
        said = reply.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if decision := reply.headers.get("x-waypost-decision"):
            said = said.replace(decision.encode(), b"ID")
        return reply.status, without_times(said)

    return ask


def without_times(said: bytes) -> bytes:
    lines = []
    for line in said.split(b"\n"):
        if line.startswith(b"data: {"):
            data = json.loads(line[6:])
            for holder in (data, data.get("response") or {}):
                for name in ("created", "created_at", "completed_at"):
                    holder.pop(name, None)
            line = b"data: " + json.dumps(data).encode()
        lines.append(line)
    return b"\n".join(lines)


# By which API is asked, and what the model speaks.
WAYS = [(CHAT, CHAT), (RESPONSES, CHAT), (MESSAGES, CHAT), ("/v1/completions", CHAT), (RESPONSES, RESPONSES),
        (MESSAGES, MESSAGES), (CHAT, MESSAGES)]  # fmt: skip


@pytest.mark.parametrize(("path", "of"), WAYS)
def test_how_a_stream_comes_in_pieces_changes_nothing(streaming, search, path: str, of: str) -> None:
    data = b"\n\n".join(STREAMS[of]) + b"\n\n"
    whole = streaming(path, of, [data])
    assert whole[0] == 200 and ENDS[path] in whole[1]
    assert "\U0001f600".encode() in whole[1] or b"\\ud83d\\ude00" in whole[1]

    @search(15)
    @given(st.lists(st.integers(0, len(data)), max_size=40), st.sampled_from([b"\n", b"\r\n", b"\r"]))
    def one(cuts: list[int], line_end: bytes) -> None:
        sent = data.replace(b"\n", line_end)
        places = sorted(cuts)
        pieces = [sent[a:b] for a, b in zip([0, *places], [*places, len(sent)], strict=True)]
        assert streaming(path, of, pieces) == whole

    one()
    assert streaming(path, of, [data[i : i + 1] for i in range(len(data))]) == whole


def broken_off(path: str, of: str, said: tuple[int, bytes], whole: bytes) -> None:
    """That a stream which was cut is an error, or begins as the whole one does and ends with an error or as a whole."""
    status, body = said
    if status == 502:
        return
    assert any(mark in body for mark in BROKEN) != (ENDS[path] in body), body
    for event in body.split(b"\n\n"):
        ours = any(mark in event for mark in BROKEN) or b'"waypost"' in event  # an error, or the usage
        if event and not ours and path == of:
            assert event in whole, event


@pytest.mark.parametrize(("path", "of"), [(CHAT, CHAT), (MESSAGES, MESSAGES), (RESPONSES, RESPONSES)])
def test_a_stream_cut_at_any_byte_is_no_whole_one_and_no_other(streaming, path: str, of: str) -> None:
    data = b"\n\n".join(STREAMS[of]) + b"\n\n"
    whole = streaming(path, of, [data])[1]
    for cut in range(0, len(data), 1 if of == CHAT else 5):
        broken_off(path, of, streaming(path, of, [data[:cut]]), whole)


@pytest.mark.parametrize(
    ("path", "of"), [(RESPONSES, CHAT), (MESSAGES, CHAT), ("/v1/completions", CHAT), (CHAT, MESSAGES)]
)
def test_a_stream_cut_anywhere_is_told_in_another_api_too(streaming, search, path: str, of: str) -> None:
    data = b"\n\n".join(STREAMS[of]) + b"\n\n"

    @search(40)
    @given(st.integers(0, len(data) - 1))
    def one(cut: int) -> None:
        broken_off(path, of, streaming(path, of, [data[:cut]]), b"")

    one()
