"""What a stranger with the stock ``openai`` client sees, when all goes well and when it does not."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing

import openai
import pytest

PARIS = "The capital is Paris."
HELLO = [{"role": "user", "content": "What is the capital of France?"}]


def stream_text(stream) -> tuple[str, list]:
    chunks = list(stream)
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks


def raw_stream(served, model: str) -> str:
    """Everything that the gateway sends, [DONE] and error events included, which the client hides."""
    body = json.dumps({"model": model, "messages": HELLO, "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    with closing(socket.create_connection((served.host, served.port), timeout=30)) as connection:
        connection.sendall(head + body)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received.decode()


def test_the_stock_client_gets_an_answer_and_its_reason(serve, pool):
    served = serve(pool("small", "large"))
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    answer = reply.parse()
    assert answer.choices[0].message.content == PARIS
    assert answer.model == "small-2026-11-01", "the provider's own name of what served"
    assert reply.headers["x-waypost-model"] == "small"
    assert reply.headers["x-waypost-router"] == "cheapest"
    assert reply.headers["x-waypost-attempts"] == "small=ok"
    assert float(reply.headers["x-waypost-usd"]) == pytest.approx(400 * 1 / 1e6)
    assert float(reply.headers["x-waypost-cost"]) == pytest.approx(3000 * 1 / 1e6)
    assert 0 <= float(reply.headers["x-waypost-quality"]) <= 1


def test_the_stock_client_streams_an_answer(serve, pool):
    served = serve(pool("small", "large"))
    with served.client.chat.completions.with_streaming_response.create(
        model="auto", messages=HELLO, stream=True
    ) as reply:
        assert reply.headers["x-waypost-model"] == "small"
        assert reply.headers["x-waypost-attempts"] == "small=ok"
        text, chunks = stream_text(reply.parse())
    assert text == PARIS
    assert {c.model for c in chunks} == {"small-2026-11-01"}
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not any(c.usage for c in chunks)


def test_a_named_model_is_the_one_that_answers(serve, pool):
    served = serve(pool("small", "large"))
    reply = served.client.chat.completions.with_raw_response.create(model="large", messages=HELLO)
    assert (reply.parse().model, reply.headers["x-waypost-model"]) == ("large-2026-11-01", "large")
    assert reply.headers["x-waypost-router"] == "named"


def test_what_only_the_provider_knows_passes_both_ways(serve, pool, upstream):
    served = serve(pool("small"))
    answer = served.client.chat.completions.create(
        model="small", messages=HELLO, temperature=0.5, extra_body={"min_p": 0.1, "vendor": {"a": [1]}}
    )
    assert answer.system_fingerprint == "fp_1"
    assert answer.usage.prompt_tokens_details.cached_tokens == 500
    sent = upstream.seen[-1]
    assert (sent["temperature"], sent["min_p"], sent["vendor"]) == (0.5, 0.1, {"a": [1]})
    assert sent["authorization"] == "Bearer sk-upstream-1234567890"


def test_usage_ends_the_stream_when_it_is_asked_for(serve, pool):
    served = serve(pool("small"))
    stream = served.client.chat.completions.create(
        model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    text, chunks = stream_text(stream)
    assert text == PARIS
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (1000, 2000)
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 500
    assert [c for c in chunks if not c.choices] == [chunks[-1]]


def test_a_stream_is_the_provider_s_bytes(serve, pool, upstream):
    served = serve(pool("small"))
    text = raw_stream(served, "small")
    sent = "".join(f"data: {json.dumps(piece)}\n\n" for piece in upstream.chunks({"model": "small"}))
    body = text.partition("\r\n\r\n")[2]
    assert "".join(body.split("\r\n")[1::2]) == sent + "data: [DONE]\n\n"


def test_every_piece_arrives_when_the_provider_sends_it(serve, pool, upstream):
    served = serve(pool("stepwise"))
    stream = iter(served.client.chat.completions.create(model="auto", messages=HELLO, stream=True))
    # The provider goes on only after this, so the first piece was not held back.
    assert next(stream).choices[0].delta.content == "The "
    upstream.go_on.set()
    assert "".join(c.choices[0].delta.content or "" for c in stream) == "capital is Paris."


def test_tool_calls_pass_in_a_stream_and_whole(serve, pool):
    served = serve(pool("caller"))
    tools = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
    whole = served.client.chat.completions.create(model="auto", messages=HELLO, tools=tools)
    assert whole.choices[0].message.tool_calls[0].function.name == "now"
    chunks = list(served.client.chat.completions.create(model="auto", messages=HELLO, tools=tools, stream=True))
    assert chunks[0].choices[0].delta.tool_calls[0].function.name == "now"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("bad", ["error500", "limit429", "reset", "garbage"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_best_answers_when_the_chosen_fails_before_its_first_byte(serve, pool, bad, stream):
    served = serve(pool(bad, "good"))
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, stream=stream)
    assert reply.headers["x-waypost-attempts"] == f"{bad}=failed,good=ok"
    assert reply.headers["x-waypost-model"] == "good"
    if stream:
        text, chunks = stream_text(reply.parse())
        assert (text, {c.model for c in chunks}) == (PARIS, {"good-2026-11-01"})
    else:
        assert (reply.parse().model, reply.parse().choices[0].message.content) == ("good-2026-11-01", PARIS)


def test_a_role_is_no_first_byte(serve, pool):
    served = serve(pool("role-then-reset", "good"))
    text, chunks = stream_text(served.client.chat.completions.create(model="auto", messages=HELLO, stream=True))
    assert (text, {c.model for c in chunks}) == (PARIS, {"good-2026-11-01"})


@pytest.mark.parametrize("stream", [False, True])
def test_an_expert_that_declines_is_followed_by_the_next_best(serve, pool, stream):
    served = serve(pool("good").replace("router:", "  - {name: arithmetic, kind: arithmetic}\nrouter:"))
    chat = served.client.chat.completions.with_raw_response
    reply = chat.create(model="auto", messages=HELLO, stream=stream)
    assert reply.headers["x-waypost-attempts"] == "arithmetic=declined,good=ok"
    reply = chat.create(model="auto", messages=[{"role": "user", "content": "What is 17 * 3?"}], stream=stream)
    assert reply.headers["x-waypost-model"] == "arithmetic"
    text = stream_text(reply.parse())[0] if stream else reply.parse().choices[0].message.content
    assert text == "51"


def test_a_stream_cut_after_its_first_byte_ends_with_an_error_and_no_done(serve, pool):
    served = serve(pool("cut", "good"))
    received = raw_stream(served, "auto")
    assert received.startswith("HTTP/1.1 200")
    events = [line.removeprefix("data: ") for line in received.splitlines() if line.startswith("data: ")]
    assert "The " in events[0]
    error = json.loads(events[-1])["error"]
    assert (error["type"], error["code"]) == ("server_error", "upstream_error")
    assert "[DONE]" not in received
    assert received.endswith("0\r\n\r\n"), "the response itself ends cleanly"
    with pytest.raises(openai.APIError):
        list(served.client.chat.completions.create(model="auto", messages=HELLO, stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_when_all_have_failed_the_last_failure_is_told(serve, pool, stream):
    served = serve(pool("error500", "reset"))
    with pytest.raises(openai.InternalServerError) as told:
        served.client.chat.completions.create(model="auto", messages=HELLO, stream=stream)
    assert told.value.status_code == 502
    assert told.value.response.headers["x-waypost-attempts"] == "error500=failed,reset=failed"


def test_a_rate_limit_keeps_its_status_and_its_retry_after(serve, pool):
    served = serve(pool("limit429", top="router: cheapest\nreliability: {budget_seconds: 1}"))
    with pytest.raises(openai.RateLimitError) as told:
        served.client.chat.completions.create(model="auto", messages=HELLO)
    assert told.value.response.headers["retry-after"] == "7"


def test_our_key_s_refusal_is_not_the_client_s_and_shows_no_key(serve, pool, tmp_path, caplog):
    served = serve(pool("refused401"))
    with pytest.raises(openai.InternalServerError) as told:
        served.client.chat.completions.create(model="auto", messages=HELLO)
    assert told.value.status_code == 502
    served.client._client.get(f"{served.url}/v1/decisions/{told.value.response.headers['x-waypost-decision']}")
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if "sqlite" in str(path) and path.is_file())
    assert b"refused401" in stored
    assert "sk-upstream" not in f"{told.value.response.text} {caplog.text} {stored!r}"


def test_when_all_decline_the_request_is_what_cannot_be_done(serve):
    served = serve("models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest")
    with pytest.raises(openai.UnprocessableEntityError, match="every model that was asked declined"):
        served.client.chat.completions.create(model="auto", messages=HELLO)


@pytest.mark.parametrize(("model", "stream"), [("hang", False), ("hang", True), ("hang-midway", True)])
def test_a_client_that_leaves_cancels_the_upstream_call(serve, pool, upstream, model, stream):
    served = serve(pool(model, "good"))
    body = json.dumps({"model": "auto", "messages": HELLO, "stream": stream}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    connection = socket.create_connection((served.host, served.port), timeout=30)
    connection.sendall(head + body)
    assert upstream.began.get(timeout=30) == model
    if model == "hang-midway":
        assert b"The " in connection.recv(65536)
    connection.close()
    assert upstream.gone.get(timeout=10) == model
    assert [seen["model"] for seen in upstream.seen] == [model], "nobody else was asked for a client that has left"


def test_a_row_is_on_disk_though_its_client_leaves_just_before_its_answer(serve, pool, monkeypatch):
    served = serve(pool("good"))
    ledger = served.gateway.config.app.built.app.serving.ledger
    ledger.writer.settled().result(30)
    noted = []
    note = ledger.writer.note
    monkeypatch.setattr(ledger.writer, "note", lambda row: (noted.append(row.id), note(row)))

    async def last_step() -> None:
        if noted:  # booked, and not sent
            raise asyncio.CancelledError

    monkeypatch.setattr("waypost.gateway.exchange.in_step", last_step)
    with pytest.raises(openai.APIError):
        served.client.chat.completions.create(model="good", messages=HELLO)
    ledger.writer.settled().result(30)
    assert ledger.writer.find(noted[0]) is not None


def test_weights_come_in_the_body_or_in_headers(serve, pool):
    served = serve(pool("small", "large"))
    chat = served.client.chat.completions
    assert (
        chat.create(model="auto", messages=HELLO, extra_body={"waypost": {"allowed": ["large"]}}).model
        == "large-2026-11-01"
    )
    assert (
        chat.create(model="auto", messages=HELLO, extra_headers={"x-waypost-allowed": "large"}).model
        == "large-2026-11-01"
    )


def test_profiles_are_models(serve, pool):
    served = serve(pool("small", "large", top="router: cheapest\nprofiles: {big: {allowed: [large]}}"))
    assert served.client.chat.completions.create(model="auto:big", messages=HELLO).model == "large-2026-11-01"
    names = [model.id for model in served.client.models.list()]
    assert names == ["auto", "auto:default", "auto:big", "small", "large"]


def test_a_need_that_no_model_meets_is_told(serve, pool):
    served = serve("models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest")
    tools = [{"type": "function", "function": {"name": "now"}}]
    with pytest.raises(openai.UnprocessableEntityError, match="cannot do tools"):
        served.client.chat.completions.create(model="auto", messages=HELLO, tools=tools)
