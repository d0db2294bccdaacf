"""Anthropic's own SDK against a gateway, with a model of Anthropic's behind it or one that speaks OpenAI's protocol."""

import asyncio
import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import anthropic
import openai
import pytest

from waypost.gateway.app import App
from waypost.gateway.callers.access import Access
from waypost.gateway.callers.identity import Identity
from waypost.gateway.choice.budgets import Budgets
from waypost.gateway.choice.choosing import Choosing
from waypost.gateway.running.readiness import Readiness
from waypost.gateway.seeing.ledger import Ledger
from waypost.gateway.serving import Serving
from waypost.objective import Objective
from waypost.pool import make
from waypost.routers import Cheapest
from waypost.store.keys import Key, digest
from waypost.store.limits import Limits
from waypost.strategies import Single
from waypost.types import Call, ModelCard

AGENT = json.loads((Path(__file__).parents[2] / "fixtures" / "coding_agent_messages.json").read_text())
PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
ASK = {"model": "auto", "max_tokens": 50, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
EDIT = {"file_path": "/repo/src/billing.py", "old_string": "sum(round(", "new_string": 'round(sum("é"\n\t\\'}
TODO = {"todos": [{"content": "Fix it", "status": "completed", "activeForm": "Fixing it"}]}
USAGE = {"input_tokens": 40, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 860, "output_tokens": 200}
START = {
    "id": "msg_up",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [],
    "stop_reason": None,
}
REPLY = START | {
    "content": [{"type": "text", "text": "Paris."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}
EVENTS = [
    {"type": "message_start", "message": START | {"usage": USAGE | {"output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "The sum."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_9", "name": "Edit", "input": {}},
    },
    *(
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
        for part in (json.dumps(EDIT)[:7], json.dumps(EDIT)[7:31], json.dumps(EDIT)[31:])
    ),
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 200},
    },
    {"type": "message_stop"},
]


def sse(*events):
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def said(content, kind=b"application/json", status=200):
    """Something that answers with these bytes."""

    async def answer(body, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": content})

    return answer


@pytest.fixture
def claude(serve, upstream):
    """A gateway in front of a model of Anthropic's, which answers as it is told; and a client of it."""
    base = upstream.url.removesuffix("/v1")
    prices = "usd_per_mtok_in: 1, usd_per_mtok_out: 2, usd_per_mtok_cached: 0.1, usd_per_mtok_written: 1.25"
    served = serve(
        f"models:\n  - {{name: claude, kind: anthropic, upstream: claude-x, base_url: '{base}', api_key: '${{KEY}}', "
        f"{prices}}}\nrouter: cheapest"
    )
    upstream.claude_x = said(json.dumps(REPLY).encode())
    with client(served) as made:
        yield made


@pytest.fixture
def near(serve, pool):
    """A gateway in front of models that speak OpenAI's protocol, and a client of it."""
    with client(serve(pool("near", "caller", "cut", "limit429", "agent"))) as made:
        yield made


def client(served, **headers):
    return anthropic.Anthropic(
        base_url=served.url, api_key="unused", max_retries=0, timeout=30, default_headers=headers
    )


def test_a_question_is_answered_by_a_model_of_openais_protocol(near, upstream):
    reply = near.messages.with_raw_response.create(**ASK, system="Be brief.", stop_sequences=["END"])
    message = reply.parse()
    assert (message.content[0].text, message.stop_reason, message.model) == (
        "The capital is Paris.",
        "end_turn",
        "near",
    )
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (500, 500)
    assert message.usage.output_tokens == 2000
    assert reply.headers["x-waypost-model"] == "near"
    sent = upstream.seen[0]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (sent["max_tokens"], sent["stop"], "system" in sent) == (50, ["END"], False)


def test_a_stream_of_a_model_of_openais_protocol(near):
    with near.messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == "The capital is Paris."
        message = stream.get_final_message()
    assert (message.stop_reason, message.usage.output_tokens, message.model) == ("end_turn", 2000, "near")


@pytest.mark.parametrize("model", ["auto", "auto:dear", "near"])
def test_the_model_is_routed_as_any_request_is(serve, pool, model):
    text = pool("near", top="router: cheapest\nprofiles: {dear: {quality: 1}}")
    with client(serve(text)) as made:
        assert made.messages.create(**ASK | {"model": model}).model == "near"


def test_a_picture_is_shown_to_a_model_of_openais_protocol(near, upstream):
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": PIXEL}]
    near.messages.create(**ASK | {"messages": [{"role": "user", "content": content}]})
    assert upstream.seen[0]["messages"][0]["content"][1]["image_url"] == {"url": "data:image/png;base64,iVBORw0KGgo="}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_by_a_model_of_openais_protocol(near, streamed):
    tools = [{"name": "now", "input_schema": {"type": "object"}}]
    asked = ASK | {"model": "caller", "tools": tools}
    if streamed:
        with near.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = near.messages.create(**asked)
    assert [(b.type, b.id, b.name, b.input) for b in message.content] == [("tool_use", "call_1", "now", {})]
    assert message.stop_reason == "tool_use"


def chunks(*deltas):
    """A chat stream of these deltas, with its usage at the end."""
    rows = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    rows.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    rows.append({"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 200}})
    return b"".join(f"data: {json.dumps(row)}\n\n".encode() for row in rows) + b"data: [DONE]\n\n"


def call(index, arguments, **named):
    return {
        "index": index,
        **({"id": named["id"]} if named else {}),
        "function": {**({"name": named["name"]} if named else {}), "arguments": arguments},
    }


def test_a_coding_agent_works_with_a_model_of_openais_protocol(near, upstream):
    edit, todo = json.dumps(EDIT), json.dumps(TODO)
    upstream.agent = said(
        chunks(
            {"role": "assistant", "content": None},
            {"reasoning_content": "The sum, then the rounding."},
            {"content": "Rounding "},
            {"content": "once."},
            {"tool_calls": [call(0, "", id="call_a", name="Edit"), call(1, todo[:5], id="call_b", name="TodoWrite")]},
            *({"tool_calls": [call(0, edit[i : i + 9])]} for i in range(0, len(edit), 9)),
            {"tool_calls": [call(1, todo[5:])]},
        ),
        b"text/event-stream",
    )
    asked = {name: value for name, value in AGENT.items() if name != "stream"} | {"model": "agent"}
    with near.beta.messages.stream(**asked, betas=["interleaved-thinking-2025-05-14"]) as stream:
        message = stream.get_final_message()
    assert [b.type for b in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert message.content[1].text == "Rounding once."
    assert [(b.id, b.name, b.input) for b in message.content[2:]] == [
        ("call_a", "Edit", EDIT),
        ("call_b", "TodoWrite", TODO),
    ]
    assert (message.stop_reason, message.usage.input_tokens) == ("tool_use", 1000)
    sent = upstream.seen[0]
    assert [m["role"] for m in sent["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "tool",
        "tool",
    ]
    ids = [c["id"] for m in sent["messages"] for c in m.get("tool_calls", [])]
    assert ids == [m["tool_call_id"] for m in sent["messages"] if m["role"] == "tool"]
    assert [t["function"]["name"] for t in sent["tools"]] == [t["name"] for t in AGENT["tools"]]
    assert [t["function"]["parameters"] for t in sent["tools"]] == [t["input_schema"] for t in AGENT["tools"]]
    assert len(sent["user"]) == 64
    assert not {"thinking", "metadata", "system"} & set(sent)
    assert "cache_control" not in json.dumps(sent)


def test_a_coding_agent_reaches_anthropics_api_untouched(claude, upstream):
    upstream.claude_x = said(sse(*EVENTS), b"text/event-stream")
    asked = {name: value for name, value in AGENT.items() if name != "stream"}
    headers = {"anthropic-version": "2023-06-02", "x-secret": "mine"}
    with claude.beta.messages.stream(**asked, betas=["one", "two"], extra_headers=headers) as stream:
        message = stream.get_final_message()
    assert [b.type for b in message.content] == ["thinking", "tool_use"]
    assert (message.content[0].signature, message.content[1].input) == ("c2ln", EDIT)
    sent = {name: value for name, value in upstream.seen[0].items() if name != "authorization"}
    assert sent == AGENT | {"model": "claude-x"}
    path, heads = upstream.heads[0]
    assert path == "/v1/messages"
    assert (heads[b"anthropic-version"], heads[b"anthropic-beta"]) == (b"2023-06-02", b"one,two")
    assert heads[b"x-api-key"] == b"sk-upstream-1234567890"
    assert b"x-secret" not in heads


def betas(made, *values):
    """Status and body of the answer to a question with these bytes as its headers."""
    with closing(HTTPConnection(made.base_url.host, made.base_url.port, timeout=30)) as connection:
        content = json.dumps({**ASK, "model": "claude"}).encode()
        connection.putrequest("POST", "/v1/messages")
        connection.putheader("content-length", str(len(content)))
        for value in values:
            connection.putheader("anthropic-beta", value)
        connection.endheaders(content)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_a_header_that_no_provider_takes_is_the_clients_fault_and_shuts_no_model(claude, upstream):
    for _ in range(6):
        status, told = betas(claude, b"caf\xe9")
        assert (status, "anthropic-beta" in told) == (400, True)
    assert betas(claude)[0] == 200
    assert len(upstream.seen) == 1


def test_betas_in_several_lines_are_one_list(claude, upstream):
    assert betas(claude, b"a-1", b"b-2,c-3")[0] == 200
    assert upstream.heads[0][1][b"anthropic-beta"] == b"a-1, b-2,c-3"


def test_bytes_of_anthropics_api_pass_as_they_are_and_are_billed_by_their_usage(claude, upstream):
    odd = (
        b'event: message_start\ndata: {"type":  "message_start", "message": '
        + json.dumps(EVENTS[0]["message"]).encode()
        + b"}\n\n"
    )
    raw = odd + sse(*EVENTS[1:])
    upstream.claude_x = said(raw, b"text/event-stream")
    reply = claude.messages.with_raw_response.create(**ASK, stream=True)
    assert reply.http_response.read() == raw
    upstream.claude_x = said(b" " + json.dumps(REPLY).encode())
    reply = claude.messages.with_raw_response.create(**ASK)
    assert reply.http_response.read() == b" " + json.dumps(REPLY).encode()
    assert float(reply.headers["x-waypost-cost"]) * 1e6 == pytest.approx(40 * 1 + 860 * 0.1 + 100 * 1.25 + 200 * 2)


def test_a_question_in_chat_still_reaches_a_model_of_anthropics(claude, upstream):
    with openai.OpenAI(base_url=f"{str(claude.base_url).rstrip('/')}/v1", api_key="unused", max_retries=0) as chat:
        reply = chat.chat.completions.create(model="auto", messages=ASK["messages"])
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("Paris.", "stop")
    assert upstream.seen[0]["max_tokens"] == 4096


def test_a_tool_that_the_provider_runs_is_asked_of_anthropics_api_and_of_nobody_else(serve, upstream):
    base = upstream.url.removesuffix("/v1")
    upstream.claude_x = said(json.dumps(REPLY).encode())
    near = f"name: near, kind: openai, base_url: '{upstream.url}', usd_per_mtok_in: 1, usd_per_mtok_out: 1"
    dear = f"name: claude, kind: anthropic, upstream: claude-x, base_url: '{base}', usd_per_mtok_in: 9"
    served = serve(f"models:\n  - {{{near}}}\n  - {{{dear}, usd_per_mtok_out: 9}}\nrouter: cheapest")
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    with client(served) as made:
        assert made.messages.create(**ASK).model == "near"
        made.messages.create(**ASK, tools=tools)
        assert upstream.seen[-1]["tools"] == tools
        with pytest.raises(anthropic.BadRequestError, match=r"'tools\[0\]' can only be given to a model that speaks"):
            made.messages.create(**ASK | {"model": "near"}, tools=tools)


def test_another_kind_of_model_answers_when_anthropics_cannot(serve, upstream):
    base = upstream.url.removesuffix("/v1")
    upstream.claude_x = said(b'{"type": "error", "error": {"message": "invalid x-api-key"}}', status=401)
    cheap = f"name: claude, kind: anthropic, upstream: claude-x, base_url: '{base}', usd_per_mtok_in: 1"
    near = f"name: near, kind: openai, base_url: '{upstream.url}', usd_per_mtok_in: 2, usd_per_mtok_out: 2"
    served = serve(f"models:\n  - {{{cheap}, usd_per_mtok_out: 1}}\n  - {{{near}}}\nrouter: cheapest")
    with client(served) as made, made.messages.stream(**ASK, system="Be brief.") as stream:
        assert stream.get_final_message().model == "near"
    first, second = upstream.seen
    assert (first["system"], second["messages"][0]["role"]) == ("Be brief.", "system")


def test_errors_have_anthropics_shape_and_are_of_its_sdks_types(near):
    with pytest.raises(anthropic.NotFoundError) as caught:
        near.messages.create(**ASK | {"model": "nearr"})
    assert (caught.value.type, "Did you mean 'near'?" in caught.value.body["error"]["message"]) == (
        "not_found_error",
        True,
    )
    with pytest.raises(anthropic.BadRequestError, match="'max_tokens' must be a whole number") as caught:
        near.messages.create(**ASK | {"max_tokens": -1})
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(anthropic.RateLimitError) as caught:
        near.messages.create(**ASK | {"model": "limit429"})
    assert (caught.value.type, caught.value.response.headers["retry-after"]) == ("rate_limit_error", "7")


def test_a_stream_that_breaks_ends_with_an_error_event_and_nothing_after_it(near):
    reply = near.messages.with_raw_response.create(**ASK | {"model": "cut"}, stream=True)
    events = reply.http_response.read().decode().split("\n\n")[:-1]
    assert events[-1].startswith("event: error\n")
    assert not [e for e in events if "message_stop" in e or "message_delta" in e]
    with pytest.raises(anthropic.APIStatusError) as caught, near.messages.stream(**ASK | {"model": "cut"}) as stream:
        stream.get_final_message()
    assert caught.value.type == "api_error"


def test_an_error_inside_anthropics_stream_is_one_event_of_its_shape(claude, upstream):
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    upstream.claude_x = said(sse(*EVENTS[:4], overloaded), b"text/event-stream")
    reply = claude.messages.with_raw_response.create(**ASK, stream=True)
    events = reply.http_response.read().decode().split("\n\n")[:-1]
    assert [e.split("\n")[0] for e in events].count("event: error") == 1
    assert "Overloaded" in events[-1]


def test_tokens_are_counted_by_anthropic_where_a_model_of_theirs_is_named(claude, upstream):
    upstream.claude_x = said(b'{"input_tokens": 17}')
    asked = {"messages": ASK["messages"], "system": "Be brief."}
    assert claude.messages.count_tokens(model="claude", **asked).input_tokens == 17
    assert upstream.heads[0][0] == "/v1/messages/count_tokens"
    assert upstream.seen[0]["model"] == "claude-x"
    assert 8 <= claude.messages.count_tokens(model="auto", **asked).input_tokens <= 14
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.count_tokens(model="nobody", **asked)
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        claude.messages.count_tokens(model="auto", messages=[])


def serving_of(models, kind=Single, **more):
    """What serves these models, without a server around it."""
    cards = {name: made.card for name, made in models.items()}
    choosing = Choosing(kind(Cheapest.from_cards(cards), cards), cards)
    return Serving(models, choosing, {"default": Objective()}, Ledger(None), Budgets(lambda o: o), **more)


async def posted(serving, path, asked, headers=()):
    """Status and body of what the application answers."""
    arrived = iter([{"type": "http.request", "body": json.dumps(asked).encode()}])
    sent = []

    async def receive():
        return next(arrived, None) or await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}
    await App(serving, Readiness(serving.models))(scope, receive, send)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


class Held(Single):
    """Looks at each answer before it gives it, as a cascade does."""

    def run(self, query, decision):
        return (yield Call(decision.model, query, final=False))


async def test_a_streamed_question_whose_answer_is_looked_at_first_is_asked_as_a_whole(upstream):
    upstream.claude_x = said(json.dumps(REPLY).encode())
    base = upstream.url.removesuffix("/v1")
    claude = make("anthropic", ModelCard("claude"), {"base_url": base, "upstream": "claude-x"})
    status, body = await posted(serving_of({"claude": claude}, Held), "/v1/messages", ASK | {"stream": True})
    await claude.close()
    assert upstream.seen[0]["stream"] is False
    assert status == 200
    assert [line for line in body.decode().split("\n") if line.startswith("event")][-1] == "event: message_stop"
    assert b"Paris." in body


KEYED = [(b"x-api-key", b"wp-laptop")]


def wanting_keys(**limits):
    """What serves those who have a key, which may ask the model 'sums' alone."""
    models = {name: make("arithmetic", ModelCard(name), {}) for name in ("sums", "others")}
    key = Key("k1", "laptop", digest("wp-laptop"), models=("sums",), limits=Limits(**limits))
    return serving_of(models, access=Access(Identity("required", {key.digest: key})))


async def counted(headers, model, serving):
    """Status and body of a count."""
    status, body = await posted(serving, "/v1/messages/count_tokens", {**ASK, "model": model}, headers)
    return status, json.loads(body)


async def test_who_may_not_ask_a_model_may_not_have_its_provider_count():
    serving = wanting_keys()
    status, told = await counted([], "sums", serving)
    assert (status, told["error"]["type"]) == (401, "authentication_error")
    status, told = await counted(KEYED, "others", serving)
    assert (status, told["error"]["type"]) == (403, "permission_error")
    assert (await counted(KEYED, "sums", serving))[0] == 200


async def test_to_count_is_a_request_as_any_limited_and_measured():
    serving = wanting_keys(requests_per_minute=1)
    assert (await counted(KEYED, "sums", serving))[0] == 200
    status, told = await counted(KEYED, "sums", serving)
    assert (status, told["error"]["type"]) == (429, "rate_limit_error")
    assert serving.metrics.requests == {("count_tokens", 200, "sums"): 1, ("count_tokens", 429, "-"): 1}
    full = serving_of(serving.models, max_in_flight=0)
    assert (await counted([], "sums", full))[0] == 503
    assert (serving.metrics.in_flight, full.metrics.in_flight) == (0, 0)


async def test_a_profile_that_is_none_is_not_counted_for():
    status, told = await counted([], "auto:nonsense", serving_of({"sums": make("arithmetic", ModelCard("sums"), {})}))
    assert (status, told["error"]["type"]) == (404, "not_found_error")


def test_a_provider_that_refuses_our_key_is_not_heard_by_who_counts(claude, upstream, caplog):
    upstream.claude_x = said(b'{"error": {"message": "your key is over there"}}', status=401)
    with pytest.raises(anthropic.InternalServerError, match="refuses the gateway's own key") as told:
        claude.messages.count_tokens(model="claude", messages=ASK["messages"])
    assert (told.value.status_code, "over there" in str(told.value), "over there" in caplog.text) == (502, False, True)
