"""What an OpenTelemetry backend sees of requests to a gateway, and that it costs nobody anything when it is down."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import openai
import pytest

HELLO = [{"role": "user", "content": "What is the capital of Atlantis?"}]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT, ERROR = 2, 3, 2


def said(thing: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {pair.key: plain(pair.value) for pair in thing.attributes}


def top(collector, more: str = "", **fields: Any) -> str:
    traces = json.dumps({"endpoint": collector.url, **fields})
    return f"router: cheapest\ntraces: {traces}\nreliability: {{first_wait_seconds: 0.01}}\n{more}"


def test_a_request_is_a_span_with_one_for_its_call(serve, pool, upstream, collector):
    served = serve(pool("small", top=top(collector, service="gate")))
    reply = served.client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, temperature=0.5, max_tokens=7, extra_headers={"x-waypost-session": "s1"}
    )
    server, client = collector.wait(2)
    assert (server.name, server.kind) == ("POST /v1/chat/completions", SERVER)
    assert (client.name, client.kind) == ("chat small", CLIENT)
    assert server.parent_span_id == b"" and client.parent_span_id == server.span_id
    assert client.trace_id == server.trace_id and len(server.trace_id) == 16
    assert server.start_time_unix_nano <= client.start_time_unix_nano < client.end_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    assert server.status.code == client.status.code == 0
    told = said(server)
    assert 0 < told.pop("waypost.overhead_seconds") < 5 and len(told.pop("waypost.session")) == 32
    assert told.pop("waypost.why")
    assert told == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "waypost.decision.id": reply.headers["x-waypost-decision"],
        "waypost.request.model": "auto",
        "waypost.router": "cheapest",
        "waypost.model": "small",
        "waypost.calls": 1,
        "waypost.cost_usd": pytest.approx(0.003),
        "waypost.stream": False,
    }
    host, port = upstream.url.removeprefix("http://").removesuffix("/v1").split(":")
    assert said(client) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.response.model": "small-2026-11-01",
        "gen_ai.response.id": "chatcmpl-up",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 2000,
        "gen_ai.usage.cache_read.input_tokens": 500,
        "server.address": host,
        "server.port": int(port),
        "http.response.status_code": 200,
        "waypost.model": "small",
        "waypost.outcome": "ok",
        "waypost.cost_usd": pytest.approx(0.003),
    }
    (path, _), resource = collector.heads[0], collector.messages[0].resource_spans[0].resource
    assert path == "/v1/traces"
    assert said(resource)["service.name"] == "gate"
    parent = upstream.heads[-1][1][b"traceparent"].decode()
    assert parent == f"00-{client.trace_id.hex()}-{client.span_id.hex()}-01"
    assert b"Atlantis" not in b"".join(collector.bodies) and b"Paris" not in b"".join(collector.bodies)


def test_the_clients_trace_goes_on_and_an_unkept_one_leaves_no_span(serve, pool, upstream, collector):
    served = serve(pool("small", top=top(collector, sample=0.0)))

    def ask(**headers: str) -> dict[bytes, bytes]:
        served.client.chat.completions.create(model="small", messages=HELLO, extra_headers=headers)
        return upstream.heads[-1][1]

    unkept = ask(traceparent=f"00-{TRACE}-{SPAN}-00")
    garbage = ask(traceparent=f"00-{TRACE.upper()}-{SPAN}-01", tracestate="a=1")
    kept = ask(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="vendor=1")
    server, client = collector.wait(2)
    assert server.trace_id.hex() == TRACE and server.parent_span_id.hex() == SPAN
    assert client.parent_span_id == server.span_id
    assert server.trace_state == client.trace_state == "vendor=1"
    assert kept[b"traceparent"].decode() == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert kept[b"tracestate"] == b"vendor=1"
    assert unkept[b"traceparent"].startswith(f"00-{TRACE}-".encode()) and unkept[b"traceparent"].endswith(b"-00")
    assert garbage[b"traceparent"].endswith(b"-00") and TRACE.encode() not in garbage[b"traceparent"]
    assert b"tracestate" not in garbage
    assert len(collector.spans()) == 2


def test_a_stream_says_when_its_first_piece_came(serve, pool, upstream, collector):
    served = serve(pool("small", top=top(collector)))
    with served.client.chat.completions.create(model="small", messages=HELLO, stream=True) as pieces:
        assert len(list(pieces)) >= 5
    server, client = collector.wait(2)
    told = said(client)
    assert told["gen_ai.request.stream"] and said(server)["waypost.stream"]
    assert (
        0
        < told["gen_ai.response.time_to_first_chunk"]
        <= (client.end_time_unix_nano - client.start_time_unix_nano) / 1e9
    )
    assert told["gen_ai.response.model"] == "small-2026-11-01"
    assert told["gen_ai.usage.output_tokens"] == 2000
    assert b"traceparent" in upstream.heads[-1][1]


def test_a_fallback_is_two_calls_and_a_retry_an_event(serve, pool, upstream, collector):
    served = serve(pool("error500", "small", top=top(collector)))
    served.client.chat.completions.create(model="auto", messages=HELLO)
    server, failed, client = collector.wait(3)
    assert failed.parent_span_id == client.parent_span_id == server.span_id
    assert (failed.name, client.name) == ("chat error500", "chat small")
    assert (server.status.code, failed.status.code, client.status.code) == (0, ERROR, 0)
    told = said(failed)
    assert (told["error.type"], told["http.response.status_code"]) == ("500", 500)
    assert (told["waypost.outcome"], told["waypost.retries"]) == ("failed", 2)
    assert [event.name for event in failed.events] == ["retry", "retry"]
    assert said(failed.events[0])["error.type"] == "500"
    assert failed.start_time_unix_nano < failed.events[0].time_unix_nano <= failed.events[1].time_unix_nano
    assert b"disk is full" not in b"".join(collector.bodies), "a provider's words may quote the prompt"
    parents = [head[b"traceparent"].split(b"-")[2].decode() for _, head in upstream.heads]
    assert parents == [failed.span_id.hex()] * 3 + [client.span_id.hex()]


def test_errors_have_a_type(serve, pool, collector):
    more = top(collector).replace("first_wait_seconds: 0.01", "retries: 0")
    served = serve(pool("refused401", "cut", "reset", top=more))
    with (
        pytest.raises(openai.APIError),
        served.client.chat.completions.create(model="cut", messages=HELLO, stream=True) as pieces,
    ):
        list(pieces)
    for model in ("nobody", "reset", "refused401"):
        with pytest.raises(openai.APIStatusError):
            served.client.chat.completions.create(model=model, messages=HELLO)
    broken, cut, unknown, lost, reset, refused, key = collector.wait(7)
    assert said(broken)["waypost.model"] == "cut" and broken.status.code == ERROR
    assert (said(cut)["waypost.outcome"], said(cut)["error.type"]) == ("cut", "connection_lost")
    assert said(unknown)["error.type"] == "model_not_found" and unknown.status.code == 0
    assert said(lost)["http.response.status_code"] == 502
    assert said(reset)["error.type"] == "connection_lost" and "http.response.status_code" not in said(reset)
    assert said(refused)["error.type"] == "provider_auth" and refused.status.code == ERROR
    assert said(key)["error.type"] == "401"


def test_a_client_that_leaves_cancels_its_call(serve, pool, upstream, collector):
    served = serve(pool("hang", top=top(collector)))
    body = json.dumps({"model": "hang", "messages": HELLO}).encode()
    with socket.create_connection((served.host, served.port)) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        assert upstream.began.get(timeout=30) == "hang"
    assert upstream.gone.get(timeout=30) == "hang"
    server, client = collector.wait(2)
    assert said(server)["error.type"] == "client_gone" and "http.response.status_code" not in said(server)
    assert (said(client)["error.type"], said(client)["waypost.outcome"]) == ("cancelled", "cut")


def test_other_apis_and_the_cache_have_their_names(serve, pool, collector):
    served = serve(pool("small", top=top(collector, "cache: {}")))
    served.client.embeddings.create(model="small", input="x")
    served.client.completions.create(model="small", prompt="x")
    for _ in range(2):
        served.client.chat.completions.create(model="small", messages=HELLO)
    spans = collector.wait(7)
    assert [span.name for span in spans if span.kind == CLIENT] == [
        "embeddings small", "text_completion small", "chat small",
    ]  # fmt: skip
    assert said(spans[-1])["waypost.cache"] == "exact"


def test_texts_are_in_spans_only_if_prompts_are_logged(serve, pool, collector):
    served = serve(pool("small", top=top(collector, "log_prompts: true")))
    served.client.chat.completions.create(model="small", messages=HELLO)
    told = said(collector.wait(2)[1])
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": HELLO[0]["content"]}]}
    ]
    assert json.loads(told["gen_ai.output.messages"])[0]["parts"][0]["content"] == "The capital is Paris."


def test_what_clients_make_up_breaks_no_span(serve, pool, collector):
    served = serve(pool("small", top=top(collector)))
    served.client.chat.completions.create(model="small", messages=HELLO, seed=10**19, extra_body={"n": 2})
    told = said(collector.wait(2)[1])
    assert told["gen_ai.request.seed"] == str(10**19)
    assert told["gen_ai.request.choice.count"] == 2


def test_a_collector_that_does_not_answer_slows_nothing(serve, pool, collector):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        collector.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        before = set(threading.enumerate())
        served = serve(pool("small", top=top(collector)))
        (thread,) = [one for one in set(threading.enumerate()) - before if one.name.endswith("(run)")]
        began = time.monotonic()
        for _ in range(50):
            served.client.chat.completions.create(model="small", messages=HELLO)
        assert time.monotonic() - began < 5
        began = time.monotonic()
        served.gateway.stop()
        thread.join(30)
        assert not thread.is_alive()
        assert time.monotonic() - began < 10


def test_a_new_config_sends_on(serve, pool, collector, tmp_path):
    served = serve(pool("small", top=top(collector)))
    served.client.chat.completions.create(model="small", messages=HELLO)
    sender = served.gateway._reloading.built.app.serving.tracer.sender
    config = tmp_path / "waypost.yaml"
    config.write_text(config.read_text().replace("name: small", "name: other"))
    assert served.gateway.reload().result(30)
    served.client.chat.completions.create(model="other", messages=HELLO)
    assert [said(span)["waypost.model"] for span in collector.wait(4)] == ["small", "small", "other", "other"]
    assert served.gateway._reloading.built.app.serving.tracer.sender is sender
    config.write_text(config.read_text().replace('"}', '", "service": "new"}', 1))
    assert served.gateway.reload().result(30)
    served.client.chat.completions.create(model="other", messages=HELLO)
    collector.wait(6)
    assert said(collector.messages[-1].resource_spans[0].resource)["service.name"] == "new"


def test_without_traces_nothing_of_them_is_there(serve, pool, upstream):
    served = serve(pool("small"))
    served.client.chat.completions.create(
        model="small", messages=HELLO, extra_headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}
    )
    assert b"traceparent" not in upstream.heads[-1][1]
    loads = (
        "import sys, waypost.gateway.server; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", loads], check=False).returncode == 0
