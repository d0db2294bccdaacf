"""What the stock ``openai`` client sees of the Responses API, over models that speak it and over models that do not."""

from __future__ import annotations

import json
import urllib.request

import openai
import pytest
from pydantic import BaseModel

PARIS = "The capital is Paris."
ASK = "What is the capital of France?"
TOOLS = [{"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}]
SEARCH = [{"type": "web_search"}]


@pytest.fixture
def native(upstream):
    """The YAML of a model that speaks chat alone and a dearer one that speaks the Responses API too."""

    def text(chat: str = "small", both: str = "large", top: str = "router: cheapest") -> str:
        reached = f"kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}'"
        return f"""
models:
  - {{name: {chat}, {reached}, apis: [chat], usd_per_mtok_in: 1, usd_per_mtok_out: 1}}
  - {{name: {both}, {reached}, apis: [chat, responses], usd_per_mtok_in: 2, usd_per_mtok_out: 2,
      usd_per_mtok_cached: 1}}
{top}"""

    return text


def raw(url: str, **body):
    """The headers and the bytes of an answer."""
    with urllib.request.urlopen(f"{url}/responses", json.dumps(body).encode(), timeout=30) as reply:
        return reply.headers, reply.read()


def test_a_chat_model_answers_by_this_api(serve, native, upstream):
    served = serve(native())
    reply = served.client.responses.with_raw_response.create(
        model="auto", input=ASK, instructions="Be brief.", max_output_tokens=50, metadata={"of": "mine"}
    )
    answer = reply.parse()
    assert answer.output_text == PARIS
    assert (answer.status, answer.model, answer.instructions) == ("completed", "small", "Be brief.")
    assert answer.metadata == {"of": "mine"}
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 2000)
    assert answer.usage.input_tokens_details.cached_tokens == 500
    assert reply.headers["x-waypost-attempts"] == "small=ok"
    assert answer.id == f"resp_{reply.headers['x-waypost-decision']}"
    sent = upstream.seen[-1]
    assert upstream.heads[-1][0] == "/v1/chat/completions"
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["max_tokens"] == 50


def test_a_chat_model_streams_by_this_api(serve, native):
    served = serve(native())
    events = list(served.client.responses.create(model="auto", input=ASK, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == PARIS
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == PARIS
    assert events[-1].response.usage.output_tokens == 2000
    assert events[-1].response.waypost["cost"] == pytest.approx(3000 / 1e6)


def test_the_clients_stream_helper_collects_the_whole(serve, native):
    served = serve(native())
    with served.client.responses.stream(model="auto", input=ASK) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.created", "response.output_text.done", "response.output_item.done"} <= kinds
    assert final.output_text == PARIS


@pytest.mark.parametrize("streamed", [False, True])
def test_a_function_is_called_and_its_result_goes_back(serve, native, upstream, streamed):
    served = serve(native(chat="caller"))
    if streamed:
        with served.client.responses.stream(model="auto", input=ASK, tools=TOOLS) as stream:
            answer = stream.get_final_response()
    else:
        answer = served.client.responses.create(model="auto", input=ASK, tools=TOOLS)
    (call,) = answer.output
    assert (call.type, call.name, call.arguments, call.call_id) == ("function_call", "now", "{}", "call_1")
    assert upstream.seen[-1]["tools"][0]["function"]["name"] == "now"
    kept = [{"role": "user", "content": ASK}, call.model_dump(exclude_none=True)]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "noon"}
    served.client.responses.create(model="auto", input=[*kept, result], tools=TOOLS)
    _, turn, output = upstream.seen[-1]["messages"]
    assert turn["tool_calls"][0]["id"] == output["tool_call_id"] == "call_1"
    assert output["content"] == "noon"


class City(BaseModel):
    name: str


def test_a_structured_answer_is_parsed(serve, native, upstream):
    served = serve(native(chat="city"))
    answer = served.client.responses.parse(model="auto", input=ASK, text_format=City)
    assert answer.output_parsed == City(name="Paris")
    asked = upstream.seen[-1]["response_format"]
    assert (asked["type"], asked["json_schema"]["name"]) == ("json_schema", "City")
    with served.client.responses.stream(model="auto", input=ASK, text_format=City) as stream:
        assert stream.get_final_response().output_parsed == City(name="Paris")


def test_a_model_that_speaks_the_api_gets_the_body_and_gives_its_bytes(serve, native, upstream):
    served = serve(native())
    body = {"model": "large", "input": ASK, "tools": SEARCH, "include": ["x"], "vendor": {"a": [1]}}
    headers, content = raw(f"{served.url}/v1", **body)
    assert (json.loads(content)["vendor"], json.loads(content)["id"]) == ("kept", "resp_up")
    sent = upstream.seen[-1]
    assert upstream.heads[-1][0] == "/v1/responses"
    assert {name: sent[name] for name in body} == body
    assert set(sent) == {*body, "authorization"}
    usd = (500 * 2 + 500 * 1 + 2000 * 2) / 1e6
    assert float(headers["x-waypost-cost"]) == pytest.approx(usd)
    row = served.client.get(f"/decisions/{headers['x-waypost-decision']}", cast_to=object)
    assert (row["tokens_in"], row["tokens_out"], row["tokens_reasoning"]) == (1000, 2000, 100)


def test_the_events_of_a_model_that_speaks_the_api_pass_byte_for_byte(serve, native, upstream):
    served = serve(native())
    _, direct = raw(upstream.url, model="large", input=ASK, stream=True)
    headers, through = raw(f"{served.url}/v1", model="large", input=ASK, stream=True)
    assert through == direct
    assert headers["x-waypost-model"] == "large"
    with served.client.responses.stream(model="large", input=ASK) as stream:
        assert stream.get_final_response().output_text == PARIS


def test_what_only_the_api_can_say_goes_to_a_model_that_speaks_it(serve, native, upstream):
    served = serve(native())
    answer = served.client.responses.create(model="auto", input=ASK, tools=SEARCH)
    assert [item.type for item in answer.output] == ["web_search_call", "message"]
    assert upstream.seen[-1]["model"] == "large"
    served.client.responses.create(model="auto", previous_response_id="resp_up", input="And then?")
    assert upstream.seen[-1]["previous_response_id"] == "resp_up"


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        (
            {"tools": SEARCH},
            "tools[0]",
            "of type 'web_search' can only be given to a model that speaks the responses API itself",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "send the whole input instead"),
    ],
)
def test_where_nobody_speaks_it_that_is_a_400_that_says_what_to_do(serve, native, pool, body, field, told):
    served = serve(pool("small"))
    for model, who in (("auto", "no model of the pool does"), ("small", "no model of the pool does")):
        with pytest.raises(openai.BadRequestError) as refused:
            served.client.responses.create(model=model, input=ASK, **body)
        assert refused.value.param == field
        assert told in refused.value.message and who in refused.value.message
    other = serve(native())
    with pytest.raises(openai.BadRequestError, match="'small' does not, ask for large"):
        other.client.responses.create(model="small", input=ASK, **body)


def test_errors_have_openais_shape(serve, native):
    served = serve(native())
    with pytest.raises(openai.BadRequestError) as refused:
        served.client.responses.create(model="auto", input=[])
    assert refused.value.param == "input"
    with pytest.raises(openai.NotFoundError, match="Did you mean 'small'"):
        served.client.responses.create(model="smal", input=ASK)


def test_a_failure_before_the_first_word_is_answered_by_the_next(serve, native):
    served = serve(native(chat="error500"))
    for stream in (False, True):
        headers, content = raw(f"{served.url}/v1", model="auto", input=ASK, stream=stream)
        assert headers["x-waypost-attempts"] == "error500=failed,large=ok"
        assert b"Paris" in content


def test_a_stream_that_breaks_ends_with_a_failed_response(serve, native):
    served = serve(native(chat="cut"))
    events = list(served.client.responses.create(model="auto", input=ASK, stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "server_error"
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_native_stream_that_breaks_ends_with_an_error(serve, native):
    served = serve(native())
    _, content = raw(f"{served.url}/v1", model="large", input="Break off", stream=True)
    events = [json.loads(line[6:]) for line in content.splitlines() if line.startswith(b"data: ")]
    assert events[-1]["type"] == "error"
    assert events[-1]["message"].endswith("broke off: no")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_an_answer_that_is_cut_at_its_limit_is_incomplete(serve, native):
    served = serve(native(chat="long-winded"))
    answer = served.client.responses.create(model="auto", input=ASK, max_output_tokens=1)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    events = list(served.client.responses.create(model="auto", input=ASK, max_output_tokens=1, stream=True))
    assert events[-1].type == "response.incomplete"
