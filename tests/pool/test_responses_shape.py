"""What an answer of the Responses API says, from its events and from its object alike."""

from __future__ import annotations

import pytest

from waypost.pool.responses_shape import Told
from waypost.types import ModelCard

CARD = ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
TEXT = {"type": "output_text", "text": "Hello"}
CALL = {"type": "function_call", "name": "now", "arguments": "{}"}
USAGE = {"input_tokens": 1000, "output_tokens": 500, "input_tokens_details": {"cached_tokens": 400}}


def body(*items, status="completed", **more):
    return {"object": "response", "status": status, "output": list(items), "usage": USAGE, **more}


MESSAGE = {"type": "message", "content": [TEXT]}


def test_a_stream_and_the_whole_say_the_same():
    streamed, whole = Told(), Told()
    texts = [streamed.take({"type": "response.output_text.delta", "delta": text}) for text in ("Hel", "lo")]
    assert (texts, streamed.over) == (["Hel", "lo"], False)
    assert streamed.take({"type": "response.completed", "response": body(MESSAGE)}) == ""
    assert whole.take(body(MESSAGE)) == "Hello"
    assert streamed.over and whole.over
    answer = streamed.answer(CARD, 0.0)
    assert answer == whole.answer(CARD, 0.0)
    assert (answer.text, answer.tokens_in, answer.tokens_cached, answer.api) == ("Hello", 1000, 400, "responses")
    assert answer.usd == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("items", "more", "finish"),
    [
        ([MESSAGE], {}, "stop"),
        ([MESSAGE, CALL], {}, "tool_calls"),
        ([MESSAGE], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
    ],
)
def test_how_it_ended_is_said_as_chat_says_it(items, more, finish):
    told = Told()
    told.take(body(*items, **more))
    assert told.answer(CARD, 0.0).finish == finish


def test_a_failure_is_kept_in_the_providers_words():
    for event in (
        {"type": "error", "message": "too long"},
        {"type": "response.failed", "response": body(status="failed", error={"message": "too long"})},
    ):
        told = Told()
        told.take(event)
        assert told.failure["message"] == "too long"


@pytest.mark.parametrize("event", [{}, {"type": "response.output_text.delta"}, {"object": "response"}])
def test_what_is_no_response_is_refused(event):
    with pytest.raises(ValueError, match="no response"):
        Told().take(event)


def test_without_usage_the_cost_is_unknown_and_not_zero():
    told = Told()
    told.take(body(MESSAGE) | {"usage": None})
    assert told.answer(CARD, 0.0).usd is None
