"""A provider of ours and gateways in front of it, all real servers on loopback with ports of their own."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from waypost.gateway.server import Gateway, Started
from waypost.gateway.settings import load

PIECES = ("The ", "capital ", "is ", "Paris.")
KEY = "sk-upstream-1234567890"


class Upstream:
    """Speaks OpenAI's chat completions; the model's name says how it behaves.

    ``seen`` are the requests' bodies, ``heads`` their paths and headers, ``gone`` gets a model's name when its client
    left before the end.
    """

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.heads: list[tuple[str, dict[bytes, bytes]]] = []
        self.gone: queue.Queue[str] = queue.Queue()
        self.began: queue.Queue[str] = queue.Queue()
        self.go_on = threading.Event()
        self.url = ""

    async def __call__(self, scope, receive, send) -> None:
        if scope["path"] == "/v1/models":
            return await whole(send, 200, {"object": "list", "data": []})
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        self.heads.append((scope["path"], dict(scope["headers"])))
        self.seen.append(body | {"authorization": dict(scope["headers"]).get(b"authorization", b"").decode()})
        self.began.put(body["model"])
        of_path = getattr(self, scope["path"].removeprefix("/v1/").replace("/", "_"), self.ok)
        behave = getattr(self, body["model"].replace("-", "_"), of_path)
        await behave(body, receive, send)

    async def ok(self, body, receive, send) -> None:
        if not body.get("stream"):
            return await whole(send, 200, completion(body["model"]))
        await start_stream(send)
        for piece in self.chunks(body):
            await event(send, piece)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def error500(self, body, receive, send) -> None:
        await whole(send, 500, {"error": {"message": "our disk is full"}})

    async def refused401(self, body, receive, send) -> None:
        await whole(send, 401, {"error": {"message": f"wrong key {KEY}"}})

    async def limit429(self, body, receive, send) -> None:
        await whole(send, 429, {"error": {"message": "slow down"}}, [(b"retry-after", b"7")])

    async def truncated(self, body, receive, send) -> None:
        await told(send, json.dumps(completion("x")).encode()[:-20])

    async def no_choices(self, body, receive, send) -> None:
        await told(send, b'{"id": "up", "object": "chat.completion", "choices": []}')

    async def odd_choices(self, body, receive, send) -> None:
        await told(send, b'{"choices": [{"message": {"content": "x"}}, 7], "usage": "lots"}')

    async def error_in_200(self, body, receive, send) -> None:
        await told(send, b'{"error": {"message": "out of memory", "code": 503}}')

    async def events_of_garbage(self, body, receive, send) -> None:
        await start_stream(send)
        await send({"type": "http.response.body", "body": b"data: <p>Hello</p>\n\ndata: [DONE]\n\n"})

    async def events_of_odd_choices(self, body, receive, send) -> None:
        await start_stream(send)
        await send({"type": "http.response.body", "body": b'data: {"choices": [7]}\n\ndata: [DONE]\n\n'})

    async def error_event(self, body, receive, send) -> None:
        await start_stream(send)
        await event(send, {"error": {"message": "out of memory", "code": 503}})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def error_midway(self, body, receive, send) -> None:
        await start_stream(send)
        await event(send, self.chunks(body)[0])
        await event(send, {"error": {"message": "out of memory", "code": 503}})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def talks_back(self, body, receive, send) -> None:
        """Puts a head of its own into what it says."""
        evil = "no\r\nset-cookie: stolen=1\r\n\r\nHTTP/1.1 200 OK"
        await whole(send, 400, {"error": {"message": evil, "code": evil, "type": evil}}, [(b"x-request-id", b"a b")])

    async def endless(self, body, receive, send) -> None:
        """Streams until nobody listens any more."""
        await start_stream(send)
        gone = asyncio.create_task(self.hang(body, receive, send))
        while not gone.done():
            await event(send, chunk(body["model"], {"content": "x" * 100_000}))

    async def garbage(self, body, receive, send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
        await send(head)
        await send({"type": "http.response.body", "body": b"<html>Welcome to the hotel</html>"})

    async def reset(self, body, receive, send) -> None:
        receive.__self__.transport.abort()

    async def hang(self, body, receive, send) -> None:
        await receive()
        self.gone.put(body["model"])

    async def hang_midway(self, body, receive, send) -> None:
        await start_stream(send)
        await event(send, self.chunks(body)[0])
        await self.hang(body, receive, send)

    async def role_then_reset(self, body, receive, send) -> None:
        await start_stream(send)
        await event(send, chunk(body["model"], {"role": "assistant", "content": ""}))
        receive.__self__.transport.abort()

    async def cut(self, body, receive, send) -> None:
        if not body.get("stream"):
            return await self.reset(body, receive, send)
        await start_stream(send)
        for piece in self.chunks(body)[:2]:
            await event(send, piece)
        receive.__self__.transport.close()

    async def stepwise(self, body, receive, send) -> None:
        """One piece, and the rest only when the test says so."""
        await start_stream(send)
        first, *rest = self.chunks(body)
        await event(send, first)
        await asyncio.to_thread(self.go_on.wait, 30)
        for piece in rest:
            await event(send, piece)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def caller(self, body, receive, send) -> None:
        """Calls a tool."""
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
        if not body.get("stream"):
            answer = completion("caller")
            answer["choices"][0] |= {"finish_reason": "tool_calls"}
            answer["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}
            return await whole(send, 200, answer)
        await start_stream(send)
        await event(send, chunk("caller", {"role": "assistant", "content": None, "tool_calls": [call]}))
        await event(send, chunk("caller", {}, "tool_calls"))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def city(self, body, receive, send) -> None:
        """Answers in JSON."""
        await self.says(body, '{"name":"Paris"}', "stop", send)

    async def long_winded(self, body, receive, send) -> None:
        """Reaches the limit of its tokens."""
        await self.says(body, "On and on", "length", send)

    async def says(self, body, text: str, finish: str, send) -> None:
        if not body.get("stream"):
            answer = completion(body["model"])
            answer["choices"][0] |= {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
            return await whole(send, 200, answer)
        await start_stream(send)
        await event(send, chunk(body["model"], {"content": text}))
        await event(send, chunk(body["model"], {}, finish))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def responses(self, body, receive, send) -> None:
        """Of OpenAI's APIs, the one that is not translated here: with an item and a field of its own."""
        text = {"type": "output_text", "text": "".join(PIECES), "annotations": [], "logprobs": []}
        said = {"id": "msg_up", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
        searched = {"id": "ws_up", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
        counts = {"input_tokens": 1000, "output_tokens": 2000, "total_tokens": 3000}
        counts |= {"input_tokens_details": {"cached_tokens": 500}, "output_tokens_details": {"reasoning_tokens": 100}}
        whole_one = {"id": "resp_up", "object": "response", "created_at": 1, "status": "completed", "vendor": "kept"}
        whole_one |= {"model": f"{body['model']}-2026-11-01", "output": [searched, said], "usage": counts}
        whole_one |= {"tools": body.get("tools", []), "tool_choice": "auto", "parallel_tool_calls": True}
        if not body.get("stream"):
            return await whole(send, 200, whole_one)
        await start_stream(send)
        begun = whole_one | {"status": "in_progress", "output": [], "usage": None}
        at = {"item_id": "msg_up", "output_index": 1, "content_index": 0}
        told = [("created", {"response": begun}), ("in_progress", {"response": begun})]
        told += [("output_item.added", {"output_index": 0, "item": searched | {"status": "in_progress"}})]
        told += [("output_item.done", {"output_index": 0, "item": searched})]
        told += [("output_item.added", {"output_index": 1, "item": said | {"status": "in_progress", "content": []}})]
        told += [("content_part.added", at | {"part": text | {"text": ""}})]
        told += [("output_text.delta", at | {"delta": piece, "logprobs": [], "obfuscation": "xx"}) for piece in PIECES]
        told += [("output_text.done", at | {"text": text["text"], "logprobs": []})]
        told += [("content_part.done", at | {"part": text}), ("output_item.done", {"output_index": 1, "item": said})]
        end = [("completed", {"response": whole_one})]
        if body["input"] == "Break off":
            told, end = (
                told[:8],
                [("failed", {"response": whole_one | {"status": "failed", "error": {"message": "no"}}})],
            )
        for number, (name, fields) in enumerate(told + end):
            data = {"type": f"response.{name}", "sequence_number": number, **fields}
            raw = b"event: response.%s\ndata: %s\n\n" % (name.encode(), json.dumps(data).encode())
            await send({"type": "http.response.body", "body": raw, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def completions(self, body, receive, send) -> None:
        def one(text, finish=None, **more):
            choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
            return {
                "id": "cmpl-up",
                "object": "text_completion",
                "created": 1,
                "model": "m",
                "choices": [choice],
                **more,
            }

        usage = completion(body["model"])["usage"]
        if not body.get("stream"):
            return await whole(send, 200, one("".join(PIECES), "stop", usage=usage, vendor="kept"))
        await start_stream(send)
        for piece in PIECES:
            await event(send, one(piece, vendor="kept"))
        await event(send, one("", "stop"))
        if (body.get("stream_options") or {}).get("include_usage"):
            await event(send, one("") | {"choices": [], "usage": usage})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def embeddings(self, body, receive, send) -> None:
        rows = [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA=", "vendor": "kept"}]
        usage = {"prompt_tokens": 1000, "total_tokens": 1000}
        await whole(send, 200, {"object": "list", "data": rows, "model": "up", "usage": usage})

    def chunks(self, body) -> list[dict[str, Any]]:
        model = body["model"]
        texts = [chunk(model, {"role": "assistant", "content": PIECES[0]})]
        texts += [chunk(model, {"content": text}) for text in PIECES[1:]]
        texts.append(chunk(model, {}, "stop"))
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = completion(model)["usage"]
            texts.append({"id": "chatcmpl-up", "object": "chat.completion.chunk", "choices": [], "usage": usage})
        return texts


def completion(model: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-up",
        "object": "chat.completion",
        "created": 1,
        "model": f"{model}-2026-11-01",
        "system_fingerprint": "fp_1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "".join(PIECES)}, "finish_reason": "stop"}
        ],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 2000,
            "total_tokens": 3000,
            "prompt_tokens_details": {"cached_tokens": 500},
        },
    }


def chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    named = {"model": f"{model}-2026-11-01", "system_fingerprint": "fp_1"}
    return {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, **named, "choices": [choice]}


async def whole(send, status, payload, headers=()) -> None:
    body = json.dumps(payload).encode()
    all_headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


async def told(send, body: bytes) -> None:
    """Status 200, come what may."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def start_stream(send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def event(send, payload) -> None:
    await send(
        {"type": "http.response.body", "body": b"data: %s\n\n" % json.dumps(payload).encode(), "more_body": True}
    )


@contextmanager
def running(server: uvicorn.Server, *arguments: Any) -> Iterator[None]:
    """A server in a thread of its own."""
    thread = threading.Thread(target=server.run, args=arguments)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    provider = Upstream()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(provider, lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=1)
    provider.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with running(uvicorn.Server(config), [listener]):
        yield provider


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP, as every backend of OpenTelemetry does; ``status`` is what it answers with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.status = 200
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.messages: list[ExportTraceServiceRequest] = []
        self.changed = threading.Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self.changed:
            self.heads.append((path, {name.lower(): value for name, value in headers.items()}))
            if self.status == 200:
                self.bodies.append(body)
                self.messages.append(ExportTraceServiceRequest.FromString(body))
            self.changed.notify_all()
            return self.status

    def spans(self) -> list[Any]:
        scopes = [scope for m in self.messages for resource in m.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def wait(self, count: int) -> list[Any]:
        """That many spans, in the order in which they began."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.spans()) >= count, 30), self.spans()
            return sorted(self.spans(), key=lambda span: span.start_time_unix_nano)


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.take(self.path, dict(self.headers), body))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(30)


class Served:
    """A running gateway, and clients of it."""

    def __init__(self, about: Started, gateway: Gateway) -> None:
        self.about = about
        self.gateway = gateway
        self.url = about.url
        self.host, port = about.url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)
        self.client = openai.OpenAI(base_url=f"{self.url}/v1", api_key="unused", max_retries=0, timeout=30)

    def raw(self, data: bytes) -> bytes:
        """Send bytes, half-close nothing, and read until the gateway has answered once or closes."""
        with socket.create_connection((self.host, self.port), timeout=30) as connection:
            connection.sendall(data)
            reply = connection.recv(65536)
            while b"\r\n\r\n" not in reply:
                reply += connection.recv(65536)
            return reply


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start gateways from YAML; ``port`` 0 and a store in the test's folder unless the YAML says otherwise."""
    with ExitStack() as stack:

        def start(text: str, env: dict[str, str] | None = None, folder: Path = tmp_path) -> Served:
            config = folder / "waypost.yaml"
            if "server:" not in text:
                text += "\nserver: {port: 0}"
            config.write_text(text if "store:" in text else f"{text}\nstore: waypost.sqlite")
            told: queue.Queue[Started] = queue.Queue()
            again = partial(load, config, env or {"KEY": KEY})
            gateway = Gateway(again(), told.put, again=again)
            stack.enter_context(running(gateway))
            served = Served(told.get(timeout=30), gateway)
            stack.callback(served.client.close)
            return served

        yield start


@pytest.fixture
def pool(upstream: Upstream) -> Callable[..., str]:
    """The YAML of models at the upstream, each a little dearer than the one before, with the cheapest as router."""

    def text(*names: str, top: str = "router: cheapest") -> str:
        rows = [
            f"  - {{name: {name}, kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}', "
            f"usd_per_mtok_in: {i + 1}, usd_per_mtok_out: {i + 1}}}"
            for i, name in enumerate(names)
        ]
        return "\n".join(["models:", *rows, top])

    return text
