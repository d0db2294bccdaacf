"""The cache as clients of a running gateway meet it."""

from __future__ import annotations

import json

import pytest

HELLO = [{"role": "user", "content": "What is the capital of France?"}]
CACHED = "router: cheapest\ncache: {seconds: 60, semantic: {}}"


def ask(served, messages=HELLO, headers=None, **fields):
    raw = served.client.chat.completions.with_raw_response
    reply = raw.create(model="auto", messages=messages, extra_headers=headers, **fields)
    return reply.headers, reply.parse()


def streamed(served, **fields):
    headers, stream = ask(served, stream=True, **fields)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return headers, text, chunks


def test_the_second_request_is_answered_without_a_call_and_for_nothing(serve, pool, upstream):
    served = serve(pool("small", top=CACHED))
    first, answer = ask(served)
    assert "x-waypost-cache" not in first
    again, same = ask(served)
    assert (again["x-waypost-cache"], again["x-waypost-cost"], again["x-waypost-model"]) == ("exact", "0", "small")
    assert same == answer and len(upstream.seen) == 1
    assert float(again["x-waypost-overhead-ms"]) > 0
    page = served.client._client.get(f"{served.url}/metrics").text
    assert 'waypost_cache_total{result="exact"} 1' in page
    assert 'waypost_tokens_total{model="small",kind="in"} 1000' in page


def test_a_streamed_answer_fills_the_cache_and_is_given_again_whole_and_streamed(serve, pool, upstream):
    served = serve(pool("small", top=CACHED))
    first = streamed(served)
    again = streamed(served, stream_options={"include_usage": True})
    whole_headers, whole = ask(served)
    assert again[0]["x-waypost-cache"] == whole_headers["x-waypost-cache"] == "exact"
    assert first[1] == again[1] == whole.choices[0].message.content == "The capital is Paris."
    assert again[2][-1].usage.completion_tokens == whole.usage.completion_tokens == 2000
    assert len(upstream.seen) == 1


def test_a_whole_answer_is_given_again_as_a_stream(serve, pool, upstream):
    served = serve(pool("small", top=CACHED))
    ask(served)
    headers, text, chunks = streamed(served)
    assert headers["x-waypost-cache"] == "exact" and text == "The capital is Paris."
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(upstream.seen) == 1


def test_the_calls_of_tools_survive_the_cache_in_either_form(serve, pool, upstream):
    served = serve(pool("caller", top=CACHED))
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    _, _, chunks = streamed(served, tools=tools)
    _, whole = ask(served, tools=tools)
    _, _, again = streamed(served, tools=tools)
    (call,) = whole.choices[0].message.tool_calls
    assert (call.id, call.function.name) == ("call_1", "now")
    for pieces in (chunks, again):
        calls = [piece.choices[0].delta.tool_calls for piece in pieces]
        assert [call.id for found in calls for call in found or ()] == ["call_1"]
    assert len(upstream.seen) == 1


def test_what_says_the_same_is_answered_and_what_differs_is_not(serve, pool, upstream):
    served = serve(pool("small", top=CACHED))
    ask(served)
    near, _ = ask(served, [{"role": "user", "content": "please, what's the capital of france"}])
    far, _ = ask(served, [{"role": "user", "content": "What is the capital of Spain?"}])
    assert near["x-waypost-cache"] == "semantic" and "x-waypost-cache" not in far
    assert len(upstream.seen) == 2


@pytest.mark.parametrize("model", ["error500", "garbage", "cut"])
def test_a_failure_is_never_kept(serve, pool, upstream, model):
    served = serve(pool(model, top=CACHED))
    for _ in range(2):
        answer = served.client._client.post(
            f"{served.url}/v1/chat/completions", json={"model": model, "messages": HELLO, "stream": model == "cut"}
        )
        assert "x-waypost-cache" not in answer.headers
    assert len(upstream.seen) >= 2


def test_a_request_has_its_say_and_a_word_that_means_nothing_is_a_400(serve, pool, upstream):
    served = serve(pool("small", top=CACHED))
    ask(served, headers={"cache-control": "no-store"})
    ask(served, headers={"x-waypost-cache": "refresh"})
    assert len(upstream.seen) == 2
    assert ask(served, headers={"x-waypost-cache": "only"})[0]["x-waypost-cache"] == "exact"
    post = served.client._client.post
    body = {"model": "auto", "messages": [{"role": "user", "content": "New"}]}
    url = f"{served.url}/v1/chat/completions"
    assert post(url, json=body, headers={"x-waypost-cache": "only"}).status_code == 504
    refused = post(url, json=body, headers={"x-waypost-cache": "maybe"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "x-waypost-cache"


def test_without_the_section_nothing_is_kept(serve, pool, upstream):
    served = serve(pool("small"))
    ask(served)
    ask(served)
    assert len(upstream.seen) == 2


PARIS = "The capital is Paris."
BODIES = {
    "responses": {"input": "The capital of France?"},
    "messages": {"messages": HELLO, "max_tokens": 50},
    "completions": {"prompt": "The capital of France", "suffix": "."},
    "embeddings": {"input": "The capital of France"},
}
MESSAGE = {"id": "msg_up", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "vendor": "kept"}
COUNTS = {"input_tokens": 4, "output_tokens": 9}
END = {"stop_reason": "end_turn", "stop_sequence": None}


@pytest.fixture
def speaking(serve, upstream):
    """A gateway with a model that speaks each of the APIs itself, and posts of bodies to one of them."""

    async def message(body, receive, send):
        told = [MESSAGE | END | {"content": [{"type": "text", "text": PARIS}], "usage": COUNTS}]
        kind = b"application/json"
        if body.get("stream"):
            kind, at = b"text/event-stream", {"index": 0}
            told = [{"type": "message_start", "message": MESSAGE | {"usage": COUNTS}}]
            told.append({"type": "content_block_start", "content_block": {"type": "text", "text": ""}} | at)
            told += [
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": part}} | at
                for part in (PARIS[:7], PARIS[7:])
            ]
            told += [{"type": "content_block_stop"} | at, {"type": "message_delta", "delta": END, "usage": COUNTS}]
            told.append({"type": "message_stop"})
        lines = [json.dumps(part) for part in told]
        raw = "".join(f"event: {p['type']}\ndata: {t}\n\n" for p, t in zip(told, lines, strict=True))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": (raw if body.get("stream") else lines[0]).encode()})

    upstream.claude_x = message
    at = f"base_url: '{upstream.url}', api_key: '${{KEY}}', usd_per_mtok_in: 1, usd_per_mtok_out: 1"
    anthropic = at.replace("/v1'", "'")
    models = [f"  - {{name: {api}, kind: openai, apis: [{api}], {at}}}" for api in BODIES if api != "messages"]
    models.append(f"  - {{name: messages, kind: anthropic, upstream: claude-x, {anthropic}}}")
    served = serve("\n".join(["models:", *models, CACHED]))

    def post(api, **fields):
        body = {"model": api, **BODIES[api], **fields}
        return served.client._client.post(f"{served.url}/v1/{api}", json=body)

    return post


@pytest.mark.parametrize("api", BODIES)
def test_every_api_is_answered_from_the_cache_byte_for_byte(speaking, upstream, api):
    first, again = speaking(api), speaking(api)
    assert first.status_code == again.status_code == 200, first.text
    assert "x-waypost-cache" not in first.headers and again.headers["x-waypost-cache"] == "exact"
    assert first.content == again.content and len(upstream.seen) == 1


@pytest.mark.parametrize("api", ["responses", "messages", "completions"])
def test_a_stream_of_every_api_is_given_again_whole_and_streamed(speaking, upstream, api):
    first = speaking(api, stream=True)
    streamed, whole = speaking(api, stream=True), speaking(api)
    assert first.status_code == 200 and "x-waypost-cache" not in first.headers
    for hit in (streamed, whole):
        assert hit.headers["x-waypost-cache"] == "exact"
        assert PARIS.split()[-1] in hit.text and "kept" in hit.text
    text = {
        "responses": lambda body: body["output"][-1]["content"][0]["text"],
        "messages": lambda body: body["content"][0]["text"],
        "completions": lambda body: body["choices"][0]["text"],
    }[api]
    assert text(whole.json()) == PARIS and len(upstream.seen) == 1


def test_a_call_that_waits_behind_another_is_kept_too(serve, pool, upstream):
    async def twice(body, receive, send):
        parts = [(0, "first", '{"a'), (1, "second", "{}"), (0, None, '":1}')]
        calls = [{"index": at, "function": {"name": name, "arguments": text}} for at, name, text in parts]
        told = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
        told.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        raw = "".join(f"data: {json.dumps(part)}\n\n" for part in told) + "data: [DONE]\n\n"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": raw.encode()})

    upstream.twice = twice
    served = serve(pool("twice", top=CACHED))
    body = {"model": "auto", "max_tokens": 50, "messages": HELLO}
    post = served.client._client.post
    assert "second" in post(f"{served.url}/v1/messages", json=body | {"stream": True}).text
    hit = post(f"{served.url}/v1/messages", json=body)
    assert hit.headers["x-waypost-cache"] == "exact"
    calls = [(block["name"], block["input"]) for block in hit.json()["content"]]
    assert calls == [("first", {"a": 1}), ("second", {})]
