"""Bodies that are nearly right: whatever stands in them, the answer is one, or says what is wrong with which field."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
FUNCTION = {"name": "weather", "description": "Of today", "parameters": SCHEMA, "strict": True}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TEXT = {"type": "text", "text": "x"}
SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
CHAT = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "user", "content": "What is 15% of 80?"},
    ],
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
    "temperature": 0.5,
    "max_tokens": 10,
    "n": 1,
    "seed": 1,
    "stop": ["x"],
    "user": "me",
    "logprobs": True,
    "prompt_cache_key": "k",
    "waypost": {"usd": 1, "allowed": ["arithmetic", "chat"], "flags": {"local": 1}, "bias": {"chat": 0.1}, "budget": 1},
}
PLAIN = {"model": "auto", "messages": [{"role": "user", "content": "What is 15% of 80?"}]}
COMPLETIONS = {
    "model": "every",
    "prompt": ["Once", "upon"],
    "suffix": "end",
    "echo": True,
    "logprobs": 2,
    "best_of": 2,
    "max_tokens": 3,
    "stop": "x",
    "stream_options": {"include_usage": True},
}
EMBEDDINGS = {"model": "every", "input": ["a", "b"], "encoding_format": "float", "dimensions": 8, "user": "me"}
RESPONSES = {
    "model": "auto",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Be kind."},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Hi"},
            {"type": "input_image", "image_url": IMAGE, "detail": "low"},
            {"type": "input_file", "file_data": "x", "filename": "a.pdf"},
            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
        ]},
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "output_text", "text": "rain"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ],
    "tools": [{"type": "function", **FUNCTION}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
    "parallel_tool_calls": True,
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "max_output_tokens": 9,
    "metadata": {"a": "b"},
    "stream_options": {"include_obfuscation": False},
    "temperature": 0.5,
    "top_p": 0.5,
    "truncation": "auto",
    "store": False,
    "user": "me",
}  # fmt: skip
MESSAGES = {
    "model": "auto",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image", "source": SOURCE},
            {"type": "document", "title": "T", "source": {"type": "content", "content": [TEXT]}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            {"type": "search_result", "title": "T", "source": "s", "content": [{"type": "text", "text": "x"}]},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Let me see"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [{"type": "text", "text": "x"}]},
        ]},
    ],
    "tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA, "strict": True}],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "metadata": {"user_id": "me"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["x"],
    "top_k": 3,
}  # fmt: skip
GOOD: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [CHAT, PLAIN],
    "/v1/completions": [COMPLETIONS, {"model": "auto", "prompt": "What is 15% of 80?"}],
    "/v1/embeddings": [EMBEDDINGS, {"model": "every", "input": [[1, 2], [3]]}],
    "/v1/responses": [RESPONSES, {"model": "auto", "input": "What is 15% of 80?"}],
    "/v1/messages": [MESSAGES, PLAIN | {"max_tokens": 9}],
    "/v1/messages/count_tokens": [MESSAGES, PLAIN],
    "/v1/explain": [CHAT, PLAIN],
    "/v1/feedback": [{"decision": "0" * 24, "quality": 1, "comment": "good"}],
}
STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
INJECTED = "x\r\nset-cookie: stolen=1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"


def nested(depth: int) -> Any:
    value: Any = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ODD = [
    *(None, True, False, 0, -1, 1, 0.5, 2**63, 2**64, -(2**63), 10**30, 1e308, -1e308, 5e-324),
    *(
        "",
        " ",
        "\0",
        "\x7f\x1b[0m",
        INJECTED,
        "\U0001f600",
        "\u202e",
        "a" * 5000,
        "auto",
        "auto:",
        "auto:default",
        "text",
    ),
    *([], {}, [[]], [{}], [None], [0], ["a"], ["a", 1], {"": ""}, {"type": []}, {"type": {}}, {"type": "text"}),
    *({"role": []}, {"role": "user"}, {"type": "text", "text": {}}, {"name": []}, {"name": {}}, [{"name": {}}]),
    *(nested(20), nested(99), nested(200), list(range(500)), {"a" * 3000: 1}, {INJECTED: INJECTED}, ["a" * 3000]),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a body, by the keys and numbers that lead to it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(body: dict[str, Any], path: tuple[Any, ...], odd: Any, how: str) -> dict[str, Any]:
    """The body with something odd at, beside or instead of one of its places, or without it."""
    body = copy.deepcopy(body)
    holder: Any = body
    for key in path[:-1]:
        holder = holder[key]
    if how == "lose":
        del holder[path[-1]]
    elif how == "put":
        holder[path[-1]] = odd
    elif isinstance(holder, list):
        holder.insert(path[-1], odd)
    else:
        holder[odd if isinstance(odd, str) else "odd"] = odd
    return body


@st.composite
def bodies(draw: st.DrawFn, path: str) -> dict[str, Any]:
    """A good body, changed in one to three places."""
    body = copy.deepcopy(draw(st.sampled_from(GOOD[path])))
    if path in STREAMED and draw(st.booleans()):
        body["stream"] = True
    if "model" in body and draw(st.booleans()):
        body["model"] = draw(st.sampled_from(["auto", "arithmetic", "chat", "every", "claude"]))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(body))
        if not found:
            break
        how = draw(st.sampled_from(["put", "put", "put", "beside", "lose"]))
        body = changed(body, draw(st.sampled_from(found)), draw(st.sampled_from(ODD)), how)
    return body


@pytest.mark.parametrize("path", GOOD)
def test_an_odd_body_is_answered_or_refused_by_name(fuzzed, client, search, sound, path: str) -> None:
    asking = client(fuzzed())

    @search(150)
    @given(bodies(path))
    def one(body: dict[str, Any]) -> None:
        sound(asking.ask(path, json.dumps(body).encode()), path)

    one()


TEXTS = {
    "nothing": b"",
    "no JSON": b"{'model': 'auto'}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"model": "\xff\xfe"}',
    "half a pair": rb'{"model": "\ud800"}',
    "the other half": rb'{"model": "\udc00\ud83d"}',
    "no number": b'{"model": NaN}',
    "beyond all numbers": b'{"model": 1e999}',
    "a number of a million digits": b'{"model": ' + b"9" * 1_000_000 + b"}",
    "very deep": b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "very deep and open": b"[" * 1_000_000,
    "the same key twice": b'{"model": "auto", "model": 7}',
    "a text": b'"auto"',
    "half": b'{"model": "au',
    "two": b"{}{}",
    "nul": b'{"model": "auto\\u0000"}',
    "a name of a million letters": b'{"model": "' + b"a" * 1_000_000 + b'"}',
    "a key of a million letters": b'{"' + b"a" * 1_000_000 + b'": 1}',
}


@pytest.mark.parametrize("path", GOOD)
def test_what_is_hardly_json_is_refused_in_a_sentence(fuzzed, client, sound, path: str) -> None:
    asking = client(fuzzed())
    for what, text in TEXTS.items():
        reply = asking.ask(path, text)
        sound(reply, path)
        assert reply.status in (400, 404), what


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/explain"])
def test_a_conversation_of_a_hundred_thousand_turns_is_answered_or_refused(fuzzed, client, sound, path: str) -> None:
    asking = client(fuzzed())
    turns: list[Any] = [{"role": "user", "content": "Hi"}] * 100_000
    field = "input" if path == "/v1/responses" else "messages"
    for given_turns in (turns, [*turns, 7]):
        reply = asking.ask(path, json.dumps({"model": "chat", "max_tokens": 9, field: given_turns}).encode())
        sound(reply, path)
        assert reply.status == (200 if given_turns is turns else 400)


TALK = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from("0123456789+-*/^()%.,= kmg\0\n")),  # what an exact calculator reads
    st.sampled_from([odd for odd in ODD if isinstance(odd, str)]),
)


@pytest.mark.parametrize("path", ["/v1/explain", "/v1/chat/completions"])
def test_a_prompt_may_be_any_text_that_router_cache_and_calculator_read(serve, client, search, path: str) -> None:
    asking = client(
        serve(
            "models: [{name: arithmetic, kind: arithmetic}]\nrouter: builtin\n"
            "cache: {seconds: 60, semantic: {threshold: 0.9}}"
        )
    )

    @search(100)
    @given(TALK)
    def one(prompt: str) -> None:
        body = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
        reply = asking.ask(path, json.dumps(body).encode())
        # No more than that the only model declines what is no sum.
        assert reply.status in (200, 400, 422), (reply.status, reply.body)

    one()
