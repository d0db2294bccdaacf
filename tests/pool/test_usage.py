"""What a call is billed for: no thought goes unbilled, no cached token is billed twice, and a gap stays a gap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.pool.usage import Usage
from waypost.types import ModelCard

COUNT = st.integers(0, 10**6)
CARD = ModelCard(
    "m",
    usd_per_mtok_in=4.0,
    usd_per_mtok_out=8.0,
    usd_per_mtok_cached=1.0,
    usd_per_mtok_written=5.0,
    usd_per_mtok_reasoning=16.0,
)


def reported(prompt, completion, total=None, **parts):
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        **({} if total is None else {"total_tokens": total}),
        "prompt_tokens_details": {
            name: parts[name] for name in ("cached_tokens", "cache_write_tokens") if name in parts
        },
        "completion_tokens_details": {"reasoning_tokens": parts.get("reasoning_tokens")},
    }


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        pytest.param(
            reported(194, 12, 206, cached_tokens=80, cache_write_tokens=100, reasoning_tokens=4),
            Usage(194, 12, 80, 100, 4),
            id="every part inside its whole",
        ),
        pytest.param(
            reported(32, 9, 135, reasoning_tokens=94), Usage(32, 103, 0, 0, 94), id="thought beside the answer"
        ),
        pytest.param(reported(21, 0, 81, reasoning_tokens=60), Usage(21, 60, 0, 0, 60), id="nothing but thought"),
        pytest.param(reported(21, 5, reasoning_tokens=60), Usage(21, 65, 0, 0, 60), id="thought beside, no total"),
        pytest.param(reported(10, 50, 90), Usage(10, 80, 0, 0, 30), id="thought only in the total"),
        pytest.param(
            reported(10, 50, 80, reasoning_tokens=40), Usage(10, 70, 0, 0, 40), id="part of the thought beside"
        ),
        pytest.param(reported(100, 5, 105, cached_tokens=900), Usage(1000, 5, 900), id="cached beside the prompt"),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}, Usage(9, 1, 8), id="deepseek"
        ),
        pytest.param({"prompt_tokens": 19, "completion_tokens": 1, "cached_tokens": 8}, Usage(19, 1, 8), id="moonshot"),
        pytest.param(
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1900},
                "cache_read_input_tokens": 1900,
                "cache_creation_input_tokens": 20,
            },
            Usage(2006, 300, 1900, 20),
            id="anthropic's counts beside openai's",
        ),
        pytest.param(
            {
                "prompt_tokens": 368,
                "completion_tokens": 19,
                "total_tokens": 487,
                "cache_read_input_tokens": 70,
                "cache_creation_input_tokens": 30,
            },
            Usage(468, 19, 70, 30),
            id="cached and written only in the total",
        ),
        pytest.param(
            {
                "prompt_tokens": 368,
                "completion_tokens": 19,
                "total_tokens": 417,
                "cache_creation_input_tokens": 30,
                "prompt_tokens_details": {"cached_tokens": 300},
            },
            Usage(398, 19, 300, 30),
            id="only what was written beside the prompt",
        ),
        pytest.param(
            reported(1000, 100, 1900, cached_tokens=800), Usage(1800, 100, 800), id="cached only in the total"
        ),
        pytest.param(
            reported(1000, 100, 1960, cached_tokens=800, reasoning_tokens=60),
            Usage(1800, 160, 800, 0, 60),
            id="cached and thought only in the total",
        ),
        pytest.param(
            reported(1000, 100, 1140, cached_tokens=800, reasoning_tokens=40),
            Usage(1000, 140, 800, 0, 40),
            id="cached inside, thought only in the total",
        ),
        pytest.param(reported(10, 5, 15, cached_tokens=-4), None, id="negative cached"),
        pytest.param(reported(10, -5, 15), None, id="negative completion"),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(9, 1), id="null"
        ),
        pytest.param({"prompt_tokens": 9}, None, id="no completion"),
        pytest.param({"completion_tokens": 9}, None, id="no prompt"),
        pytest.param({"total_tokens": 9}, None, id="only a total"),
        pytest.param(reported(0, 0, 0), None, id="all zero"),
    ],
)
def test_each_token_is_counted_once_under_its_own_price(usage, counted):
    assert Usage.of(usage) == counted


def test_parts_have_their_own_prices():
    assert Usage(1000, 100, cached=600, written=300, reasoning=40).usd(CARD) * 1e6 == pytest.approx(
        100 * 4 + 600 * 1 + 300 * 5 + 60 * 8 + 40 * 16
    )


@given(COUNT, COUNT, COUNT, COUNT, COUNT, COUNT)
def test_whatever_is_reported_the_bill_is_never_below_what_is_in_sight(
    prompt, completion, total, cached, written, thought
):
    usage = Usage.of(
        reported(prompt, completion, total, cached_tokens=cached, cache_write_tokens=written, reasoning_tokens=thought)
    )
    if usage is None:
        assert prompt + cached + written == 0
        return
    assert usage.tokens_in >= max(prompt, cached + written) and usage.tokens_out >= max(completion, thought)
    assert usage.tokens_in + usage.tokens_out >= total
    assert usage.usd(CARD) >= (usage.tokens_in * 1.0 + usage.tokens_out * 8.0) / 1e6 - 1e-9


@given(st.tuples(COUNT, COUNT, COUNT), st.tuples(COUNT, COUNT))
def test_what_is_told_to_a_client_reads_back_the_same(read, said):
    usage = Usage(1 + sum(read), sum(said), read[0], read[1], said[0])
    assert Usage.of(usage.json()) == usage
