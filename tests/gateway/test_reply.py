"""What a client is told of tokens."""

import pytest

from waypost.gateway.apis.chat import Stream, completion
from waypost.gateway.reply import usage
from waypost.types import Answer

PARTS = {"tokens_cached": 6, "tokens_written": 3, "tokens_reasoning": 4}
TOLD = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


def test_cached_written_and_thought_tokens_reach_the_client_whole_and_streamed():
    answer = Answer("m", "Hi", 10, 5, **PARTS)
    assert completion("c", 0, answer)["usage"] == usage(answer) == TOLD
    assert b'"reasoning_tokens":4' in Stream("c", 0, include_usage=True).end(answer, {})


@pytest.mark.parametrize("parts", [{}, {"tokens_reasoning": 4}])
def test_details_of_what_was_not_used_are_left_out(parts):
    told = usage(Answer("m", "Hi", 10, 5, **parts))
    assert told.get("completion_tokens_details") == ({"reasoning_tokens": 4} if parts else None)
    assert "prompt_tokens_details" not in told
