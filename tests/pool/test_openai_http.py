"""An OpenAI-compatible model: everything passes untouched, every failure is told apart, nothing leaks."""

import asyncio
import json
import socket
from dataclasses import replace

import pytest

from waypost.errors import BadInput, Declined, ModelFailed, ModelTimeout
from waypost.pool.openai_http import OpenAI
from waypost.pool.secret import Secret
from waypost.types import Answer, ModelCard, Native, Query

CARD = ModelCard("near", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
KEY = "sk-very-secret-key"


def model(upstream, **settings):
    return OpenAI(CARD, **{"base_url": upstream.url, "api_key": Secret(KEY), "upstream": "far-1", **settings})


def chunk(text, finish=None):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], "vendor": "kept"}


def reply_of(text):
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}


async def pieces(stream):
    return [piece async for piece in stream]


async def test_a_whole_answer_keeps_the_providers_json_and_costs_what_its_usage_says(upstream):
    reply = {
        "id": "x",
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "length", "odd": 1}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 500},
    }
    upstream.handler = lambda exchange: exchange.answer(reply)
    answer = await model(upstream).complete(Query.of("Hello", temperature=0.5, tools=[{"type": "function"}]))
    assert (answer.text, answer.finish, answer.tokens_in, answer.tokens_out) == ("Hi", "length", 1000, 500)
    assert answer.usd == pytest.approx(0.002)
    assert answer.model == "near"
    assert answer.body == reply
    sent = upstream.exchanges[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.body == {
        "temperature": 0.5,
        "tools": [{"type": "function"}],
        "model": "far-1",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
    }


async def test_a_stream_gives_the_providers_chunks_one_by_one_and_then_the_whole(upstream):
    upstream.handler = lambda exchange: stream_of(
        exchange, chunk("Hel"), chunk("lo"), chunk("", "stop"), USAGE, "[DONE]"
    )
    *deltas, answer = await pieces(model(upstream).stream(Query.of("Hi")))
    sent = [chunk("Hel"), chunk("lo"), chunk("", "stop")]
    assert [(delta.text, delta.chunk) for delta in deltas] == list(zip(["Hel", "lo", ""], sent, strict=True))
    assert [delta.raw for delta in deltas] == [f"data: {json.dumps(piece)}\n\n".encode() for piece in sent]
    assert answer.raw == b"data: [DONE]\n\n"
    assert isinstance(answer, Answer)
    assert (answer.text, answer.tokens_in, answer.tokens_out, answer.finish) == ("Hello", 1000, 500, "stop")
    assert upstream.exchanges[0].body["stream_options"] == {"include_usage": True}


async def test_the_usage_chunk_is_shown_only_to_a_client_that_asked_for_it(upstream):
    upstream.handler = lambda exchange: stream_of(exchange, chunk("a", "stop"), USAGE, "[DONE]")
    query = Query.of("Hi", stream_options={"include_usage": True})
    *deltas, _ = await pieces(model(upstream).stream(query))
    assert [d.chunk for d in deltas] == [chunk("a", "stop"), USAGE]


async def test_a_usage_that_stands_in_the_last_choice_is_read(upstream):
    last = chunk("", "stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 1000, "completion_tokens": 500, "cached_tokens": 600}
    upstream.handler = lambda exchange: stream_of(exchange, chunk("a"), last, "[DONE]")
    *_, answer = await pieces(model(upstream).stream(Query.of("Hi")))
    assert (answer.tokens_in, answer.tokens_out, answer.tokens_cached) == (1000, 500, 600)


async def test_each_piece_arrives_before_the_next_is_sent(upstream):
    seen = asyncio.Event()

    async def handler(exchange):
        await exchange.begin_stream()
        await exchange.event(chunk("first"))
        await seen.wait()
        await exchange.event(chunk("second", "stop"))

    upstream.handler = handler
    stream = model(upstream).stream(Query.of("Hi"))
    assert (await anext(stream)).text == "first"
    seen.set()
    assert [p.text for p in await pieces(stream)] == ["second", "firstsecond"]


async def test_without_usage_the_cost_is_unknown_and_not_zero(upstream):
    upstream.handler = lambda exchange: stream_of(exchange, chunk("a", "stop"), "[DONE]")
    *_, answer = await pieces(model(upstream).stream(Query.of("Hi")))
    assert answer.usd is None


async def test_cached_written_and_thought_tokens_cost_their_own_price(upstream):
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300},
        "completion_tokens_details": {"reasoning_tokens": 400},
    }
    prices = {"usd_per_mtok_cached": 0.1, "usd_per_mtok_written": 1.25, "usd_per_mtok_reasoning": 3.0}
    client = OpenAI(replace(CARD, **prices), base_url=upstream.url)
    upstream.handler = lambda exchange: exchange.answer({**reply_of("Hi"), "usage": usage})
    whole = await client.complete(Query.of("Hi"))
    upstream.handler = lambda exchange: stream_of(
        exchange, chunk("a", "stop"), {"choices": [], "usage": usage}, "[DONE]"
    )
    *_, streamed = await pieces(client.stream(Query.of("Hi")))
    for answer in (whole, streamed):
        assert (answer.tokens_cached, answer.tokens_written, answer.tokens_reasoning) == (600, 300, 400)
        assert answer.usd * 1e6 == pytest.approx(100 * 1 + 600 * 0.1 + 300 * 1.25 + 100 * 2 + 400 * 3)


async def test_thought_that_is_only_in_the_total_is_billed(upstream):
    usage = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
    upstream.handler = lambda exchange: exchange.answer({**reply_of("Hi"), "usage": usage})
    answer = await model(upstream).complete(Query.of("Hi"))
    assert (answer.tokens_out, answer.tokens_reasoning) == (103, 94)
    assert answer.usd == pytest.approx((32 * 1.0 + 103 * 2.0) / 1e6)


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": 9}, {"total_tokens": 9}, {"prompt_tokens": 0, "completion_tokens": 0}]
)
async def test_half_a_usage_is_none_and_the_cost_is_unknown(upstream, usage):
    upstream.handler = lambda exchange: exchange.answer({**reply_of("Hi"), "usage": usage})
    assert (await model(upstream).complete(Query.of("Hi"))).usd is None


async def test_a_refusal_carries_status_wait_and_the_providers_words_without_the_key(upstream):
    error = {"error": {"message": f"Incorrect key {KEY} given"}}
    upstream.handler = lambda exchange: exchange.answer(error, 429, Retry_After="7")
    for call in (model(upstream).complete(Query.of("Hi")), pieces(model(upstream).stream(Query.of("Hi")))):
        with pytest.raises(ModelFailed) as caught:
            await call
        assert (caught.value.upstream, caught.value.retry_after) == (429, 7.0)
        assert "Incorrect key *** given" in str(caught.value)


async def test_a_retry_date_is_told_in_seconds_and_nonsense_is_not_told(upstream):
    for header, expected in (("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None)):
        upstream.handler = lambda exchange, header=header: exchange.answer(b"<html>", 503, Retry_After=header)
        with pytest.raises(ModelFailed, match="HTTP 503: no reason given") as caught:
            await model(upstream).complete(Query.of("Hi"))
        assert caught.value.retry_after == expected


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"", b"[1]", b"null", b"{}", b'{"choices": []}', b'{"choices": 3}', b'{"choices": [{"message": 1}]}',
     b'{"choices": [{"message": {}, "logprobs": 7}]}', b'{"choices": [{"message": {}}], "usage": 5}'],
)  # fmt: skip
async def test_garbage_with_status_200_is_a_failure(upstream, body):
    upstream.handler = lambda exchange: exchange.answer(body)
    with pytest.raises(ModelFailed, match="answered 200 with something else"):
        await model(upstream).complete(Query.of("Hi"))


@pytest.mark.parametrize("data", ["oops", "[]", '{"choices": [7]}', '{"choices": [{"delta": 4}]}'])
async def test_garbage_inside_a_stream_is_a_failure(upstream, data):
    upstream.handler = lambda exchange: stream_of(exchange, chunk("a"), data)
    with pytest.raises(ModelFailed, match="answered 200 with something else"):
        await pieces(model(upstream).stream(Query.of("Hi")))


async def test_an_error_inside_a_stream_is_raised_with_its_words(upstream):
    upstream.handler = lambda exchange: stream_of(exchange, chunk("a"), {"error": {"message": "overloaded"}})
    with pytest.raises(ModelFailed, match="broke off: overloaded"):
        await pieces(model(upstream).stream(Query.of("Hi")))


async def test_a_stream_that_ends_before_the_answer_does_is_a_failure(upstream):
    upstream.handler = lambda exchange: stream_of(exchange, chunk("half an ans"))
    stream = model(upstream).stream(Query.of("Hi"))
    assert (await anext(stream)).text == "half an ans"
    with pytest.raises(ModelFailed, match="before the answer was complete"):
        await pieces(stream)


async def test_a_connection_that_is_reset_is_a_failure(upstream):
    async def handler(exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\ndata: ")
        exchange.writer.transport.abort()

    upstream.handler = handler
    with pytest.raises(ModelFailed, match=r"the exchange with 127\.0\.0\.1:\d+ broke"):
        await pieces(model(upstream).stream(Query.of("Hi")))


async def test_a_server_that_never_answers_runs_into_the_first_byte_timeout(upstream):
    upstream.handler = lambda exchange: exchange.gone()
    with pytest.raises(ModelTimeout, match=r"sent nothing for 0\.1 s"):
        await pieces(model(upstream, first_byte_timeout=0.1).stream(Query.of("Hi")))


async def test_a_whole_answer_that_never_comes_runs_into_the_total_timeout(upstream):
    upstream.handler = lambda exchange: exchange.gone()
    with pytest.raises(ModelTimeout, match=r"sent nothing for 0\.1 s"):
        await model(upstream, timeout=0.1).complete(Query.of("Hi"))


async def test_a_stream_that_falls_silent_runs_into_the_idle_timeout_and_is_closed(upstream):
    closed = asyncio.get_running_loop().create_future()

    async def handler(exchange):
        await exchange.begin_stream()
        await exchange.event(chunk("a"))
        closed.set_result(await exchange.gone())

    upstream.handler = handler
    with pytest.raises(ModelTimeout, match=r"sent nothing for 0\.1 s"):
        await pieces(model(upstream, idle_timeout=0.1).stream(Query.of("Hi")))
    assert await asyncio.wait_for(closed, 5)


@pytest.mark.parametrize("leave", ["aclose", "cancel"])
async def test_leaving_a_stream_closes_the_connection_to_the_provider(upstream, leave):
    closed = asyncio.get_running_loop().create_future()

    async def handler(exchange):
        await exchange.begin_stream()
        await exchange.event(chunk("a"))
        closed.set_result(await exchange.gone())

    upstream.handler = handler
    stream = model(upstream).stream(Query.of("Hi"))
    assert (await anext(stream)).text == "a"
    if leave == "aclose":
        await stream.aclose()
    else:
        rest = asyncio.create_task(pieces(stream))
        await asyncio.wait([rest], timeout=0.05)
        rest.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rest
    assert await asyncio.wait_for(closed, 5)


@pytest.mark.parametrize("kind", ["stream", "complete"])
async def test_leaving_before_the_first_byte_closes_the_connection_to_the_provider(upstream, kind):
    closed, begun = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def handler(exchange):
        begun.set()
        closed.set_result(await exchange.gone())

    upstream.handler = handler
    client = model(upstream)
    call = pieces(client.stream(Query.of("Hi"))) if kind == "stream" else client.complete(Query.of("Hi"))
    task = asyncio.create_task(call)
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(closed, 5)


async def test_a_server_that_is_not_there_is_named_without_the_urls_password():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = OpenAI(CARD, base_url=f"http://user:hunter2@127.0.0.1:{port}/v1", api_key=Secret(KEY))
    with pytest.raises(ModelFailed, match=rf"near: cannot connect to 127\.0\.0\.1:{port}") as caught:
        await client.complete(Query.of("Hi"))
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "hunter2" not in shown and KEY not in shown
    assert f"cannot connect to 127.0.0.1:{port}" in await client.ready()


async def test_a_key_that_no_header_may_hold_is_refused_without_being_shown(upstream):
    with pytest.raises(ModelFailed) as caught:
        await model(upstream, api_key=Secret("sk-broken\nkey")).complete(Query.of("Hi"))
    assert "broken" not in str(caught.value)
    assert caught.value.kind == "unsent"


async def test_ready_tells_a_refused_key_and_is_content_with_any_other_answer(upstream):
    upstream.handler = lambda exchange: exchange.answer({}, 401)
    assert "refuses the key" in await model(upstream).ready()
    upstream.handler = lambda exchange: exchange.answer({}, 404)
    assert await model(upstream).ready() is None


async def test_a_redirect_is_not_followed_with_the_key(upstream):
    upstream.handler = lambda exchange: exchange.answer({}, 307, Location=upstream.url + "/elsewhere")
    with pytest.raises(ModelFailed, match="HTTP 307"):
        await model(upstream).complete(Query.of("Hi"))
    assert len(upstream.exchanges) == 1


async def test_a_closed_model_opens_again_when_it_is_asked(upstream):
    reply = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    upstream.handler = lambda exchange: exchange.answer(reply)
    client = model(upstream)
    await client.complete(Query.of("Hi"))
    await client.close()
    assert (await client.complete(Query.of("Hi"))).text == "Hi"


def test_settings_out_of_range_are_refused():
    with pytest.raises(BadInput, match="'idle' must be more than 0"):
        OpenAI(CARD, idle_timeout=0)
    with pytest.raises(BadInput, match="base_url must begin with http"):
        OpenAI(CARD, base_url="localhost:8000")


async def stream_of(exchange, *events):
    await exchange.begin_stream()
    for event in events:
        await exchange.event(event)


@pytest.mark.parametrize("api", ["completions", "embeddings", "responses"])
async def test_a_request_of_an_api_that_it_speaks_goes_there_untouched_but_for_the_model(upstream, api):
    bodies = {
        "completions": {"choices": [{"text": "Hi", "finish_reason": "stop"}], "usage": USAGE["usage"]},
        "embeddings": {"data": [{"embedding": [1]}], "usage": {"prompt_tokens": 1000}},
        "responses": {"object": "response", "output": [], "usage": {"input_tokens": 1000, "output_tokens": 500}},
    }
    upstream.handler = lambda exchange: exchange.answer(bodies[api])
    asked = {"model": "near", "input": "Hi", "vendor": {"a": 1}}
    near = model(upstream, apis=("chat", api))
    answer = await near.complete(Query((), native=Native(api, asked)))
    assert upstream.exchanges[0].path == f"/v1/{api}"
    assert upstream.exchanges[0].body == asked | {"model": "far-1"}
    assert (answer.api, answer.body, answer.tokens_in) == (api, bodies[api], 1000)
    assert answer.usd == pytest.approx(0.001 if api == "embeddings" else 0.002)


async def test_a_request_of_an_api_that_it_does_not_speak_is_asked_as_a_chat(upstream):
    upstream.handler = lambda exchange: exchange.answer(reply_of("Hi"))
    query = Query(({"role": "user", "content": "Hi"},), native=Native("responses", {"input": "Hi"}))
    answer = await model(upstream).complete(query)
    assert (upstream.exchanges[0].path, answer.api, answer.text) == ("/v1/chat/completions", "chat", "Hi")


async def test_a_model_without_chat_declines_a_chat(upstream):
    with pytest.raises(Declined, match="near speaks embeddings only"):
        await model(upstream, apis=("embeddings",)).complete(Query.of("Hi"))


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [("failed", {"message": "too long"}, "too long"), ("failed", None, "failed"), ("cancelled", None, "cancelled")],
)
async def test_a_response_that_failed_is_a_failed_call_in_the_providers_words(upstream, status, error, words):
    response = {"object": "response", "status": status, "output": [], "error": error}
    query, near = Query((), native=Native("responses", {"input": "Hi"})), model(upstream, apis=("responses",))
    upstream.handler = lambda exchange: exchange.answer(response)
    with pytest.raises(ModelFailed, match=f"broke off: .*{words}"):
        await near.complete(query)
    upstream.handler = lambda exchange: stream_of(exchange, {"type": "response.failed", "response": response})
    with pytest.raises(ModelFailed, match=f"broke off: .*{words}"):
        await pieces(near.stream(query))


@pytest.mark.parametrize(
    ("base_url", "apis", "spoken"),
    [
        ("https://api.openai.com/v1", None, {"chat", "embeddings", "responses"}),
        ("http://127.0.0.1:1/v1", None, {"chat", "embeddings", "completions"}),
        ("http://127.0.0.1:1/v1", ("embeddings",), {"embeddings"}),
    ],
)
def test_which_apis_it_speaks_is_said_or_known_by_the_address(base_url, apis, spoken):
    assert OpenAI(CARD, base_url=base_url, apis=apis).card.apis == spoken


@pytest.mark.parametrize(("apis", "told"), [(("respones",), "Did you mean 'responses'"), ((), "at least one of chat")])
def test_an_api_that_does_not_exist_is_refused(apis, told):
    with pytest.raises(BadInput, match=told):
        OpenAI(CARD, apis=apis)


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://ours.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://models.example/v1", "max_tokens"),
    ],
)
def test_an_answer_is_limited_by_the_name_that_the_server_takes(base_url, name):
    near = OpenAI(CARD, base_url=base_url)
    told = Query.of("Hi", max_tokens=5)
    limits = [near._body(query) for query in (told, replace(told, native=Native("messages", {})))]
    assert [{key: body[key] for key in body if "tokens" in key} for body in limits] == [{name: 5}] * 2
    both = near._body(Query.of("Hi", max_tokens=5, max_completion_tokens=6))
    assert both["max_completion_tokens"] == 6


@pytest.mark.parametrize(("base_url", "kept"), [("https://api.openai.com/v1", False), ("http://127.0.0.1:1/v1", True)])
def test_openai_is_not_sent_what_only_anthropics_api_has(base_url, kept):
    body = OpenAI(CARD, base_url=base_url)._body(replace(Query.of("Hi", top_k=5), native=Native("messages", {})))
    assert ("top_k" in body) == kept


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": "invalid_prompt"}, 400),
        ({"code": "rate_limit_exceeded", "type": "tokens"}, 429),
        ({"type": "overloaded_error"}, 529),
        ({"code": 503}, 503),
        ({"type": "server_error"}, None),
    ],
)
async def test_what_an_error_without_a_status_means_is_known_by_its_code_or_type(upstream, error, status):
    told = {"error": {"message": "no", **error}}
    upstream.handler = lambda exchange: exchange.answer(told)
    with pytest.raises(ModelFailed) as whole:
        await model(upstream).complete(Query.of("Hi"))
    upstream.handler = lambda exchange: stream_of(exchange, told)
    with pytest.raises(ModelFailed) as streamed:
        await pieces(model(upstream).stream(Query.of("Hi")))
    failed = {"type": "response.failed", "response": {"status": "failed", **told}}
    upstream.handler = lambda exchange: stream_of(exchange, failed)
    with pytest.raises(ModelFailed) as native:
        await pieces(model(upstream, apis=("responses",)).stream(Query((), native=Native("responses", {}))))
    assert [caught.value.upstream for caught in (whole, streamed, native)] == [status] * 3


@pytest.mark.parametrize(
    ("said", "words", "told"),
    [
        (
            {"error": {"message": "too long", "code": "context_length_exceeded", "param": "messages[0].content"}},
            "too long",
            ("context_length_exceeded", "messages[0].content"),
        ),
        ({"error": {"message": "no", "code": KEY, "param": "a text\r\nof its own"}}, "no", (None, None)),
        ({"detail": "no such route"}, "no such route", (None, None)),
        ({"detail": [{"loc": ["body"], "msg": "too hot"}]}, "too hot", (None, None)),
    ],
)
async def test_a_refusal_keeps_the_providers_code_and_words(upstream, said, words, told):
    upstream.handler = lambda exchange: exchange.answer(said, 400)
    with pytest.raises(ModelFailed, match=f"HTTP 400: {words}") as caught:
        await model(upstream).complete(Query.of("Hi"))
    assert caught.value.told == told


def choice(index, text, finish=None):
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}


async def test_of_several_choices_each_must_come_to_its_end(upstream):
    begun = [choice(0, "a"), choice(1, "b"), choice(0, "", "stop"), choice(0, "")]
    upstream.handler = lambda exchange: stream_of(exchange, *begun)
    with pytest.raises(ModelFailed, match="before the answer was complete"):
        await pieces(model(upstream).stream(Query.of("Hi", n=2)))
    upstream.handler = lambda exchange: stream_of(exchange, *begun, choice(1, "", "stop"))
    assert (await pieces(model(upstream).stream(Query.of("Hi", n=2))))[-1].text == "a"


PARTS = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
SAID = {"content": PARTS, "tool_calls": [{"index": 0, "function": {"name": "now", "arguments": {"zone": "UTC"}}}]}


async def test_text_in_parts_and_arguments_as_objects_are_told_as_texts(upstream):
    upstream.handler = lambda exchange: exchange.answer({"choices": [{"message": SAID, "finish_reason": "stop"}]})
    whole = await model(upstream).complete(Query.of("Hi"))
    upstream.handler = lambda exchange: stream_of(exchange, {"choices": [{"delta": SAID, "finish_reason": "stop"}]})
    piece, streamed = await pieces(model(upstream).stream(Query.of("Hi")))
    assert (whole.text, streamed.text, piece.text) == ("Hello", "Hello", "Hello")
    for said in (whole.body["choices"][0]["message"], piece.chunk["choices"][0]["delta"]):
        assert said["content"] == "Hello"
        assert said["tool_calls"][0]["function"]["arguments"] == '{"zone":"UTC"}'


@pytest.mark.parametrize("usage", [7, [1], {"prompt_tokens": "many"}])
async def test_vectors_with_a_usage_that_is_none_are_garbage(upstream, usage):
    upstream.handler = lambda exchange: exchange.answer({"data": [{"embedding": [1]}], "usage": usage})
    with pytest.raises(ModelFailed, match="a usage that is none") as caught:
        await model(upstream, apis=("embeddings",)).complete(Query((), native=Native("embeddings", {"input": "Hi"})))
    assert caught.value.kind == "garbage"
