import orjson
import pytest

from waypost.gateway.cache.kept import is_whole, read, write
from waypost.types import Answer

ANSWER = Answer(
    "small", "Paris.", 9, 2, usd=0.5, body={"choices": [{"message": {"content": "Paris."}}]}, tokens_cached=3
)


def test_an_answer_comes_back_as_it_was_and_costs_nothing():
    kept = read(b"key", write(b"key", ANSWER, time=5.0))
    assert kept.time == 5.0
    assert kept.answer == Answer("small", "Paris.", 9, 2, usd=0.0, body=ANSWER.body, tokens_cached=3)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "00"},
        {"time": "noon"},
        {"model": None},
        {"text": 5},
        {"tokens_in": "9"},
        {"body": []},
        {"api": None},
    ],
    ids=str,
)
def test_what_was_changed_on_the_way_is_no_answer(change):
    row = orjson.loads(write(b"key", ANSWER, time=5.0))
    assert read(b"key", orjson.dumps(row | change)) is None


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
    ],
)
def test_only_a_finished_answer_is_kept(answer, whole):
    assert is_whole(answer) is whole
