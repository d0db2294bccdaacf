from dataclasses import replace

import orjson
import pytest

from waypost.gateway.cache.kept import is_whole, read, write
from waypost.types import Answer

BODY = {"choices": [{"message": {"content": "Paris."}}]}
ANSWER = Answer("small", "Paris.", 9, 2, usd=0.5, body=BODY, tokens_cached=3)


def test_an_answer_comes_back_as_it_was_and_costs_nothing():
    kept = read(b"key", write(b"key", ANSWER, time=5.0))
    assert kept.time == 5.0
    assert kept.answer == Answer("small", "Paris.", 9, 2, usd=0.0, body=ANSWER.body, tokens_cached=3)


def test_the_providers_own_bytes_are_given_again_to_the_last_space():
    raw = b'{"choices": [{"message" : {"content": "Paris."}}]}'
    kept = read(b"key", write(b"key", replace(ANSWER, raw=raw), time=5.0))
    assert kept.answer.raw == raw and kept.answer.body == BODY
    ended = read(b"key", write(b"key", replace(ANSWER, raw=b"data: [DONE]\n\n"), time=5.0))
    assert ended.answer.raw is None and ended.answer.body == BODY


@pytest.mark.parametrize(
    "change",
    [
        {"key": "00"},
        {"time": "noon"},
        {"model": None},
        {"text": 5},
        {"tokens_in": "9"},
        {"untouched": 1},
        {"api": None},
    ],
    ids=str,
)
def test_what_was_changed_on_the_way_is_no_answer(change):
    head, body = write(b"key", ANSWER, time=5.0).split(b"\n")
    assert read(b"key", head + b"\n" + body) is not None
    assert read(b"key", orjson.dumps(orjson.loads(head) | change) + b"\n" + body) is None
    assert read(b"key", head + b"\n" + b"[]") is None


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"null", b"[1]", b"{}"])
def test_bytes_that_are_no_answer_are_none(data):
    assert read(b"key", data) is None


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (Answer("m", "Paris."), True),
        (Answer("m", "Par", finish="length"), True),
        (Answer("m", "", finish="tool_calls", body={"choices": []}), True),
        (Answer("m", "Let me look.", finish="tool_calls"), False),
        (Answer("m", "", finish="content_filter", body={}), False),
        (Answer("m", ""), False),
        (Answer("m", "Paris.", error="cut"), False),
        (Answer("m", declined="not mine"), False),
        (Answer("m", "No.", body={"choices": [{"finish_reason": "stop", "message": {"refusal": "No."}}]}), False),
        (Answer("m", "Hi", body={"choices": [{"finish_reason": "stop", "message": {"refusal": None}}]}), True),
        (Answer("m", "Hi", body={"choices": [{"finish_reason": "stop"}, {"finish_reason": "content_filter"}]}), False),
        (Answer("m", "Hi", body={"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]}), True),
        (Answer("m", "No.", finish="completed", body={"output": [{"content": [{"type": "refusal"}]}]}), False),
        (Answer("m", "Hi", finish="completed", body={"output": [{"content": [{"type": "output_text"}]}]}), True),
    ],
)
def test_only_a_finished_answer_is_kept(answer, whole):
    assert is_whole(answer) is whole
