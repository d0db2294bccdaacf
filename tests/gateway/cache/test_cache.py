"""The cache as clients of a running gateway meet it."""

from __future__ import annotations

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
