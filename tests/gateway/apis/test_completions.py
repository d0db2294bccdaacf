"""What the stock ``openai`` client sees of the completions API, over models that speak it and over chat models."""

from __future__ import annotations

import json

import openai
import pytest

from waypost.gateway.apis.completions import Completions
from waypost.gateway.reply import DONE, whole_delta
from waypost.types import Answer

PARIS = "The capital is Paris."
ASK = "The capital of France"


@pytest.fixture
def native(upstream):
    """The YAML of a model that speaks chat alone and a dearer one that speaks completions alone."""
    reached = f"kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}'"
    return f"""
models:
  - {{name: small, {reached}, apis: [chat], usd_per_mtok_in: 1, usd_per_mtok_out: 1}}
  - {{name: base, {reached}, apis: [completions], usd_per_mtok_in: 2, usd_per_mtok_out: 2}}
router: cheapest"""


def test_a_chat_model_answers_the_prompt_as_one_turn(serve, native, upstream):
    served = serve(native)
    answer = served.client.completions.create(model="auto", prompt=ASK, max_tokens=50, temperature=0.5)
    assert (answer.object, answer.model) == ("text_completion", "small")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (PARIS, "stop")
    assert answer.usage.prompt_tokens == 1000
    sent = upstream.seen[-1]
    assert upstream.heads[-1][0] == "/v1/chat/completions"
    assert sent["messages"] == [{"role": "user", "content": ASK}]
    assert (sent["max_tokens"], sent["temperature"]) == (50, 0.5)


def test_a_chat_model_streams_completions(serve, native):
    served = serve(native)
    chunks = list(
        served.client.completions.create(
            model="auto", prompt=[ASK], stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].text for c in chunks if c.choices) == PARIS
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert {c.object for c in chunks} == {"text_completion"}
    assert chunks[-1].usage.completion_tokens == 2000
    without = list(served.client.completions.create(model="auto", prompt=ASK, stream=True))
    assert not any(c.usage for c in without)


def test_a_model_that_speaks_the_api_gets_the_body_and_gives_its_own(serve, native, upstream):
    served = serve(native)
    more = {"suffix": ".", "echo": True, "logprobs": 2}
    for model, body in (("auto", {"prompt": ASK, **more}), ("base", {"prompt": [1, 2, 3]})):
        answer = served.client.completions.create(model=model, **body)
        assert (answer.id, answer.vendor, answer.choices[0].text) == ("cmpl-up", "kept", PARIS)
        assert upstream.seen[-1] | body | {"model": "base"} == upstream.seen[-1]
        assert upstream.heads[-1][0] == "/v1/completions"


@pytest.mark.parametrize("usage", [False, True])
def test_the_chunks_of_a_model_that_speaks_the_api_pass(serve, native, usage):
    served = serve(native)
    options = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(served.client.completions.create(model="base", prompt=ASK, stream=True, **options))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == PARIS
    assert chunks[0].vendor == "kept"
    assert [c.usage.prompt_tokens for c in chunks if c.usage] == ([1000] if usage else [])
    assert [c for c in chunks if not c.choices] == (chunks[-1:] if usage else [])


@pytest.mark.parametrize(
    ("body", "field"),
    [({"suffix": "."}, "suffix"), ({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [[1, 2]]}, "prompt")],
)
def test_what_a_chat_cannot_do_is_refused_by_a_model_that_only_chats(serve, native, body, field):
    served = serve(native)
    with pytest.raises(openai.BadRequestError, match="'small' does not, ask for base") as refused:
        served.client.completions.create(**{"model": "small", "prompt": ASK} | body)
    assert refused.value.param == field


def test_a_setting_that_says_nothing_is_no_reason_to_refuse_and_one_of_zero_is(serve, native, upstream):
    served = serve(native)
    assert served.client.completions.create(model="small", prompt=ASK, best_of=1, echo=False).choices[0].text == PARIS
    with pytest.raises(openai.BadRequestError) as refused:
        served.client.completions.create(model="small", prompt=ASK, logprobs=0)
    assert refused.value.param == "logprobs"


def test_a_completion_that_was_looked_at_first_streams_all_that_the_provider_said():
    logprobs = {"tokens": ["12"], "token_logprobs": [-0.1]}
    choice = {"index": 0, "text": "12", "logprobs": logprobs, "finish_reason": "stop"}
    body = {"id": "cmpl-up", "choices": [choice], "usage": {"total_tokens": 7}, "vendor": "kept"}
    stream = Completions().stream("1", 0, {})
    piece = stream.piece("base", whole_delta(Answer("base", "12", body=body, api="completions")))
    assert json.loads(piece.removeprefix(b"data: ")) == {name: body[name] for name in ("id", "choices", "vendor")}
    assert stream.end(Answer("base", "12"), {}) == DONE


def test_an_answer_without_a_word_is_a_whole_stream(serve, native, upstream):
    async def silent(body, receive, send):
        await upstream.says(body, "", "", send)

    upstream.small = silent
    reply = serve(native).client.completions.with_raw_response.create(model="small", prompt=ASK, stream=True)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert [chunk.choices[0].finish_reason for chunk in reply.parse()] == ["stop"]


@pytest.mark.parametrize("body", [{}, {"prompt": []}, {"prompt": 3}, {"prompt": ["a", 1]}])
def test_a_prompt_that_is_none_is_named(serve, native, body):
    with pytest.raises(openai.BadRequestError) as refused:
        serve(native).client.post("/completions", body={"model": "auto", **body}, cast_to=object)
    assert refused.value.param == "prompt"


def test_a_model_that_only_completes_is_never_chosen_for_a_chat(serve, native):
    served = serve(native.replace("usd_per_mtok_in: 2", "usd_per_mtok_in: 0"))
    messages = [{"role": "user", "content": ASK}]
    assert served.client.chat.completions.create(model="auto", messages=messages).model.startswith("small")
    with pytest.raises(openai.BadRequestError, match="'base' speaks completions only"):
        served.client.chat.completions.create(model="base", messages=messages)


def test_a_stream_that_breaks_ends_with_an_error(serve, native):
    served = serve(native.replace("small", "cut"))
    with pytest.raises(openai.APIError, match="the exchange with"):
        list(served.client.completions.create(model="auto", prompt=ASK, stream=True))
