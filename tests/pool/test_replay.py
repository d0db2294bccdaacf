"""Recorded answers come back as they were, refusals and failures included."""

import pytest

from waypost.errors import Declined, ModelFailed
from waypost.pool.replay import Replay
from waypost.types import Answer, Delta, ModelCard, Query

HELLO = Answer("old", "Hello!", 3, 2, seconds=0.4, usd=1e-6, logprob=-0.1)
MODEL = Replay(
    ModelCard("old"), {"Hi": HELLO, "2+2": Answer("old", declined="no sums"), "Bye": Answer("old", error="cut off")}
)


async def test_an_answer_is_the_recorded_one_streamed_or_whole():
    assert await MODEL.complete(Query.of("Hi")) == HELLO
    assert [piece async for piece in MODEL.stream(Query.of("Hi"))] == [Delta("Hello!"), HELLO]


@pytest.mark.parametrize(
    ("prompt", "error", "told"),
    [
        ("2+2", Declined, "no sums"),
        ("Bye", ModelFailed, "cut off"),
        ("What?", ModelFailed, "no answer of old was recorded"),
    ],
)
async def test_what_went_wrong_goes_wrong_again(prompt, error, told):
    with pytest.raises(error, match=told):
        await MODEL.complete(Query.of(prompt))
