"""What the words of limits mean: periods, sums of money, and the sentences of refusals."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.store.limits import BudgetSpent, LimitReached, Limits, nano, period


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        ("day", "2026-11-29", "2026-11-30"),
        ("week", "2026-11-23", "2026-11-30"),
        ("month", "2026-11-01", "2026-12-01"),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(per, start, end) -> None:
    sunday = unix("2026-11-29T23:59:59")
    assert period(per, sunday) == (unix(start), unix(end))
    assert period(per, unix(end))[0] == unix(end)


@given(st.sampled_from(["day", "week", "month"]), st.floats(0, 4e9))
def test_a_time_lies_in_its_period_and_the_next_begins_where_it_ends(per, now) -> None:
    start, end = period(per, now)
    assert start <= now < end
    assert period(per, end)[0] == end


@given(st.lists(st.integers(0, 10**6), max_size=200))
def test_sums_of_money_are_exact_and_no_call_is_counted_for_less(millionths) -> None:
    assert sum(nano(m / 1e6) for m in millionths) == 1000 * sum(millionths)
    assert all(nano(m / 3e6) >= m * 1000 / 3 - 1e-4 for m in millionths)


def test_a_refusal_says_who_what_is_allowed_and_what_to_try() -> None:
    spent = BudgetSpent("team:research", Limits(usd=200, per="week"), left=0.25, asked=1.5)
    assert str(spent).startswith(
        "the team 'research' may spend 200 USD a week and has 0.25 left; this call may cost up to"
    )
    assert "max_tokens" in str(spent)
    assert (spent.status, spent.code) == (429, "insufficient_quota")
    reached = LimitReached("key:k1", "may use 10 requests a minute, and has; try again in 7 s", 6.5, limit="requests")
    assert (reached.status, reached.code, reached.retry_after) == (429, "rate_limit_exceeded", 6.5)
    assert not Limits(usd=1.0).rates
    assert Limits(parallel=1).rates
