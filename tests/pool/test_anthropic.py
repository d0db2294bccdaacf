"""Anthropic's Messages API behind OpenAI's shape, against a server that speaks it."""

import asyncio
import json
from dataclasses import replace

import pytest

from waypost.errors import Declined, ModelFailed
from waypost.pool.anthropic import Anthropic
from waypost.pool.secret import Secret
from waypost.types import ModelCard, Native, Query

CARD = ModelCard("near", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
REPLY = {
    "id": "msg_1",
    "model": "claude-x-1",
    "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
    "stop_reason": "max_tokens",
    "usage": {"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 500},
}


def model(upstream, **settings):
    url = upstream.url.removesuffix("/v1")
    return Anthropic(CARD, **{"base_url": url, "api_key": Secret("sk-ant-secret"), "upstream": "claude-x", **settings})


async def sent(upstream, query):
    upstream.handler = lambda exchange: exchange.answer(REPLY)
    await model(upstream).complete(query)
    return upstream.exchanges[-1].body


async def test_a_whole_answer_is_told_in_openais_shape(upstream):
    upstream.handler = lambda exchange: exchange.answer(REPLY)
    answer = await model(upstream).complete(Query.of("Hi"))
    assert (answer.model, answer.text, answer.finish) == ("near", "Hello", "length")
    assert (answer.tokens_in, answer.tokens_out, answer.usd) == (1000, 500, pytest.approx(0.002))
    assert answer.body["object"] == "chat.completion"
    assert answer.body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "length"}
    ]
    assert answer.body["usage"] == {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    exchange = upstream.exchanges[0]
    assert exchange.path == "/v1/messages"
    assert exchange.headers["x-api-key"] == "sk-ant-secret"
    assert exchange.headers["anthropic-version"] == "2023-06-01"
    assert exchange.body == {
        "model": "claude-x",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hi"}],
    }


COUNTS = {"input_tokens": 100, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 300}


async def test_cache_reads_and_writes_cost_their_own_price_whole_and_streamed(upstream):
    prices = {"usd_per_mtok_cached": 0.1, "usd_per_mtok_written": 1.25}
    client = Anthropic(replace(CARD, **prices), base_url=upstream.url.removesuffix("/v1"))
    upstream.handler = lambda exchange: exchange.answer({**REPLY, "usage": {**COUNTS, "output_tokens": 500}})
    whole = await client.complete(Query.of("Hi"))
    start = {"type": "message_start", "message": {"id": "m", "usage": {**COUNTS, "output_tokens": 1}}}
    upstream.handler = lambda exchange: stream_of(exchange, [start, *EVENTS[1:]])
    *_, streamed = [piece async for piece in client.stream(Query.of("Hi"))]
    for answer in (whole, streamed):
        assert (answer.tokens_in, answer.tokens_out) == (1000, 500)
        assert (answer.tokens_cached, answer.tokens_written) == (600, 300)
        assert answer.usd * 1e6 == pytest.approx(100 * 1 + 600 * 0.1 + 300 * 1.25 + 500 * 2)
    assert whole.body["usage"]["prompt_tokens_details"] == {"cached_tokens": 600, "cache_write_tokens": 300}


@pytest.mark.parametrize(
    "usage", [None, {"input_tokens": 5}, {"output_tokens": 5}, {**COUNTS, "output_tokens": 5, "input_tokens": -1}]
)
async def test_half_a_usage_is_none_and_the_cost_is_unknown(upstream, usage):
    upstream.handler = lambda exchange: exchange.answer({**REPLY, "usage": usage})
    answer = await model(upstream).complete(Query.of("Hi"))
    assert (answer.text, answer.usd) == ("Hello", None)
    assert "usage" not in answer.body


async def test_system_messages_sampling_and_stops_are_translated(upstream):
    turns = (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "Bye"},
    )
    parameters = {"max_tokens": 9, "temperature": 1.7, "top_p": 0.5, "stop": ["x", "y"], "seed": 3}
    assert await sent(upstream, Query(turns, parameters)) == {
        "model": "claude-x",
        "max_tokens": 9,
        "system": "Be brief.\n\nBe kind.",
        "temperature": 1.0,
        "top_p": 0.5,
        "stop_sequences": ["x", "y"],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Bye"},
        ],
    }


async def test_parts_that_a_client_marks_for_the_cache_stay_marked(upstream):
    mark = {"cache_control": {"type": "ephemeral"}}
    document = {"type": "text", "text": "A long document", **mark}
    turns = (
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": [document]},
        {"role": "user", "content": [document, {"type": "text", "text": "What does it say?"}]},
    )
    asked = await sent(upstream, Query(turns))
    assert asked["system"] == [{"type": "text", "text": "Be brief."}, document]
    assert asked["messages"][0]["content"] == [document, {"type": "text", "text": "What does it say?"}]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "required"}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tool_choice": "none"}, {"type": "none"}),
    ],
)
async def test_one_tool_at_a_time_is_said_in_the_choice(upstream, asked, told):
    tools = [{"type": "function", "function": {"name": "clock"}}]
    body = await sent(upstream, Query.of("Hi", tools=tools, parallel_tool_calls=False, **asked))
    assert body["tool_choice"] == told


def call(number):
    return {"id": f"c{number}", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}


async def test_tools_their_calls_and_their_results_are_translated(upstream):
    turns = (
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call(1), call(2)]},
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
        {"role": "tool", "tool_call_id": "c2", "content": "13:00"},
    )
    schema = {"type": "object", "properties": {"zone": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": schema}}
    choice = {"type": "function", "function": {"name": "clock"}}
    body = await sent(upstream, Query(turns, {"tools": [tool], "tool_choice": choice}))
    assert body["tools"] == [{"name": "clock", "description": "The time.", "input_schema": schema}]
    assert body["tool_choice"] == {"type": "tool", "name": "clock"}
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "c1", "name": "clock", "input": {"zone": "UTC"}},
        {"type": "tool_use", "id": "c2", "name": "clock", "input": {"zone": "UTC"}},
    ]
    assert body["messages"][2:] == [
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "12:00"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "13:00"},
            ],
        }
    ]
    assert (await sent(upstream, Query(turns[:1], {"tools": [tool], "tool_choice": "required"})))["tool_choice"] == {
        "type": "any"
    }


async def test_a_reply_that_calls_a_tool_is_told_in_openais_shape(upstream):
    block = {"type": "tool_use", "id": "t1", "name": "clock", "input": {"zone": "UTC"}}
    upstream.handler = lambda exchange: exchange.answer({**REPLY, "content": [block], "stop_reason": "tool_use"})
    answer = await model(upstream).complete(Query.of("Time?"))
    choice = answer.body["choices"][0]
    assert (answer.text, choice["finish_reason"], choice["message"]["content"]) == ("", "tool_calls", None)
    assert choice["message"]["tool_calls"] == [
        {"id": "t1", "type": "function", "function": {"name": "clock", "arguments": '{"zone":"UTC"}'}}
    ]


async def test_images_pass_by_address_and_by_content(upstream):
    parts = [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    body = await sent(upstream, Query(({"role": "user", "content": parts},)))
    assert [block["source"] for block in body["messages"][0]["content"]] == [
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "media_type": "image/png", "data": "AAAA"},
    ]


async def test_a_file_passes_by_content(upstream):
    data = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    body = await sent(upstream, Query(({"role": "user", "content": [{"type": "file", "file": data}]},)))
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    assert body["messages"][0]["content"] == [{"type": "document", "source": source, "title": "a.pdf"}]


FILE_BY_ID = ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]},)
AUDIO = ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},)
NO_CALL_ID = ({"role": "tool", "content": "12:00"},)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (Query.of("Hi", response_format={"type": "json_object"}), "no response_format 'json_object'"),
        (Query.of("Hi", n=2), "one choice a request"),
        (Query.of("Hi", logprobs=True), "no log-probabilities"),
        (Query(FILE_BY_ID), "not a part of type 'file'"),
        (Query(AUDIO), "not a part of type 'input_audio'"),
        (Query(NO_CALL_ID), "has no shape for"),
    ],
)
async def test_what_the_api_cannot_do_is_declined_before_anything_is_sent(upstream, query, told):
    with pytest.raises(Declined, match=told) as declined:
        await model(upstream).complete(query)
    assert (upstream.exchanges, declined.value.kind) == ([], "unsent")


EVENTS = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x-1", "usage": {"input_tokens": 1000}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t1", "name": "clock"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 500}},
    {"type": "message_stop"},
]


async def stream_of(exchange, events):
    await exchange.begin_stream()
    for event in events:
        await exchange.event(event, event["type"])


async def test_a_stream_becomes_openais_chunks_and_then_the_whole(upstream):
    upstream.handler = lambda exchange: stream_of(exchange, EVENTS)
    *deltas, answer = [piece async for piece in model(upstream).stream(Query.of("Hi"))]
    assert [d.text for d in deltas] == ["", "Hel", "lo", "", "", ""]
    assert {(d.chunk["id"], d.chunk["model"], d.chunk["object"]) for d in deltas} == {
        ("msg_1", "claude-x-1", "chat.completion.chunk")
    }
    assert [d.chunk["choices"][0]["delta"] for d in deltas] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "clock", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert deltas[-1].chunk["choices"][0]["finish_reason"] == "tool_calls"
    assert (answer.text, answer.finish, answer.tokens_in, answer.tokens_out) == ("Hello", "tool_calls", 1000, 500)
    assert answer.usd == pytest.approx(0.002)
    assert upstream.exchanges[0].body["stream"] is True


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (EVENTS[:5], "before the answer was complete"),
        ([*EVENTS[:4], {"type": "error", "error": {"message": "Overloaded"}}], "broke off: Overloaded"),
        ([{"type": "message_start"}], "answered 200 with something else"),
        ([{"type": "content_block_delta", "delta": 3}], "answered 200 with something else"),
    ],
)
async def test_a_stream_that_goes_wrong_is_a_failure(upstream, events, told):
    upstream.handler = lambda exchange: stream_of(exchange, events)
    with pytest.raises(ModelFailed, match=told):
        async for _ in model(upstream).stream(Query.of("Hi")):
            pass


async def test_refusals_and_garbage_are_failures(upstream):
    error = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    upstream.handler = lambda exchange: exchange.answer(error, 401)
    with pytest.raises(ModelFailed, match="HTTP 401: invalid x-api-key") as caught:
        await model(upstream).complete(Query.of("Hi"))
    assert caught.value.upstream == 401
    upstream.handler = lambda exchange: exchange.answer({"content": "text"})
    with pytest.raises(ModelFailed, match="an object that is no message"):
        await model(upstream).complete(Query.of("Hi"))


async def test_leaving_a_stream_closes_the_connection(upstream):
    closed = asyncio.get_running_loop().create_future()

    async def handler(exchange):
        await stream_of(exchange, EVENTS[:4])
        closed.set_result(await exchange.gone())

    upstream.handler = handler
    stream = model(upstream).stream(Query.of("Hi"))
    await anext(stream)
    await stream.aclose()
    assert await asyncio.wait_for(closed, 5)


BODY = {"max_tokens": 9, "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "Hi"}]}
BETA = {"anthropic-beta": "one,two", "anthropic-version": "2024-01-01"}


def native(**fields):
    return Query(({"role": "user", "content": "Hi"},), {}, native=Native("messages", BODY | fields, BETA))


async def test_a_request_of_this_api_is_sent_as_it_came_and_its_answer_given_as_it_came(upstream):
    upstream.handler = lambda exchange: exchange.answer({**REPLY, "extra": 1})
    answer = await model(upstream).complete(native())
    assert (answer.api, answer.text, answer.finish, answer.usd) == ("messages", "Hello", "length", pytest.approx(0.002))
    assert answer.body == {**REPLY, "extra": 1} == json.loads(answer.raw)
    exchange = upstream.exchanges[0]
    assert exchange.body == BODY | {"model": "claude-x"}
    assert {name: exchange.headers[name] for name in BETA} == BETA
    assert exchange.headers["x-api-key"] == "sk-ant-secret"


async def test_a_stream_of_this_api_is_given_event_by_event_as_it_came(upstream):
    upstream.handler = lambda exchange: stream_of(exchange, EVENTS)
    *deltas, answer = [piece async for piece in model(upstream).stream(native())]
    assert [d.chunk for d in deltas] == EVENTS[:-1]
    assert {d.api for d in deltas} == {"messages"} == {answer.api}
    sent = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in EVENTS)
    assert b"".join(d.raw for d in deltas) + answer.raw == sent
    assert ("".join(d.text for d in deltas), answer.text, answer.finish) == ("Hello", "Hello", "tool_calls")
    assert (answer.tokens_in, answer.tokens_out) == (1000, 500)


async def test_a_request_of_another_api_is_translated_out_of_its_chat_shape(upstream):
    upstream.handler = lambda exchange: exchange.answer(REPLY)
    query = Query(({"role": "user", "content": "Hi"},), {}, native=Native("responses", {"input": "Hi"}))
    answer = await model(upstream).complete(query)
    assert (answer.api, answer.body["object"]) == ("chat", "chat.completion")
    assert "input" not in upstream.exchanges[0].body


async def test_thought_tokens_are_told_apart(upstream):
    usage = {"input_tokens": 10, "output_tokens": 500, "output_tokens_details": {"thinking_tokens": 400}}
    upstream.handler = lambda exchange: exchange.answer({**REPLY, "usage": usage})
    answer = await model(upstream).complete(Query.of("Hi"))
    assert (answer.tokens_out, answer.tokens_reasoning) == (500, 400)


async def test_tokens_are_counted_by_the_provider(upstream):
    upstream.handler = lambda exchange: exchange.answer({"input_tokens": 12})
    assert await model(upstream).count_tokens(BODY, BETA) == 12
    assert upstream.exchanges[0].path == "/v1/messages/count_tokens"
    assert upstream.exchanges[0].body == BODY | {"model": "claude-x"}
    upstream.handler = lambda exchange: exchange.answer({})
    with pytest.raises(ModelFailed, match="without a count"):
        await model(upstream).count_tokens(BODY, {})
