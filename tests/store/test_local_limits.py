"""What one process lets through: never more than the limits, whatever the order of things."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.store.limits import BudgetSpent, LimitReached, Limits, Room
from waypost.store.local_limits import LocalLimiter, tightest

NOVEMBER = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


class Times:
    """A clock and a calendar that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.25
        self.unix = NOVEMBER

    def limiter(self, most: int = 10_000) -> LocalLimiter:
        return LocalLimiter(clock=lambda: self.seconds, wall=lambda: self.unix, most=most)


def run(coroutine):
    """Run a coroutine that never waits, in place."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def alone(limiter: LocalLimiter, name: str, limits: Limits) -> Room:
    """What one scope has left."""
    scope, second = limiter._scopes[name], int(limiter.clock())
    left = [
        None if most is None else max(0, most - window.used(second))
        for most, window in ((limits.requests_per_minute, scope.requests), (limits.tokens_per_minute, scope.tokens))
    ]
    return Room(limits.requests_per_minute, left[0], limits.tokens_per_minute, left[1])


@given(
    st.lists(st.tuples(st.none() | st.integers(1, 50), st.none() | st.integers(1, 50)), max_size=4),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_what_is_left_is_what_the_tightest_scopes_have_left(most, used) -> None:
    limiter = Times().limiter()
    scopes = [(f"key:{i}", Limits(requests_per_minute=r, tokens_per_minute=t)) for i, (r, t) in enumerate(most)]
    for scope, size in zip(scopes, used, strict=False):  # more than was asked for may be used in the end
        with suppress(LimitReached):
            run(limiter.admit([scope], 0)).release(size)
    with suppress(LimitReached):
        room = run(limiter.admit(scopes, 0)).room
        assert room == tightest(alone(limiter, name, limits) for name, limits in scopes)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 60)), max_size=120),
    st.integers(1, 12),
    st.integers(30, 200),
)
def test_no_window_of_a_minute_holds_more_than_the_limit(arrivals, requests, tokens) -> None:
    times, let_through = Times(), []
    limiter = times.limiter()
    scopes = [("key:k1", Limits(requests_per_minute=requests, tokens_per_minute=tokens))]
    for wait, size in arrivals:
        times.seconds += wait
        try:
            run(limiter.admit(scopes, size))
        except LimitReached:
            continue
        let_through.append((times.seconds, size))
    for start, _ in let_through:
        minute = [size for at, size in let_through if start <= at < start + 60]
        assert len(minute) <= requests
        assert sum(minute) <= tokens


@given(st.lists(st.floats(0, 20), max_size=40), st.integers(1, 5))
def test_what_is_refused_fits_after_the_time_that_was_said(waits, limit) -> None:
    times = Times()
    limiter, scopes = times.limiter(), [("key:k1", Limits(requests_per_minute=limit))]
    for wait in waits:
        times.seconds += wait
        try:
            run(limiter.admit(scopes, 0))
        except LimitReached as error:
            assert error.retry_after is not None and 0 < error.retry_after <= 61
            times.seconds += error.retry_after
            run(limiter.admit(scopes, 0))


def test_a_request_larger_than_the_limit_is_not_told_to_come_again() -> None:
    with pytest.raises(LimitReached, match="this request alone needs about 101") as refused:
        run(Times().limiter().admit([("key:k1", Limits(tokens_per_minute=100))], 101))
    assert refused.value.retry_after is None


def test_tokens_are_those_that_were_used_in_the_end() -> None:
    times = Times()
    limiter, scopes = times.limiter(), [("key:k1", Limits(tokens_per_minute=100))]
    first = run(limiter.admit(scopes, 90))
    assert first.room.tokens_left == 10
    first.release(20)
    first.release(0)
    assert run(limiter.admit(scopes, 80)).room.tokens_left == 0
    times.seconds += 61
    late = run(limiter.admit(scopes, 10))
    times.seconds += 61
    late.release(80)  # 70 more than was thought, and of a minute that is over: it counts now
    with pytest.raises(LimitReached):
        run(limiter.admit(scopes, 31))


def test_parallel_requests_are_counted_until_they_end_and_once() -> None:
    limiter, scopes = LocalLimiter(), [("key:k1", Limits(parallel=2))]
    first, _ = run(limiter.admit(scopes, 0)), run(limiter.admit(scopes, 0))
    with pytest.raises(LimitReached, match="may have 2 requests under way"):
        run(limiter.admit(scopes, 0))
    first.release(0)
    first.release(0)
    run(limiter.admit(scopes, 0))
    with pytest.raises(LimitReached):
        run(limiter.admit(scopes, 0))


def test_a_request_that_one_scope_refuses_is_counted_in_none() -> None:
    limiter = LocalLimiter()
    key, team = ("key:k1", Limits(2, 100, 2, usd=1.0)), ("team:t", Limits(requests_per_minute=1, usd=0.5))
    run(limiter.admit([key, team], 40)).release(40)
    with pytest.raises(LimitReached, match="the team 't'"):
        run(limiter.admit([key, team], 40))
    assert run(limiter.admit([key], 60)).room == (2, 0, 100, 0)
    with pytest.raises(BudgetSpent, match="the team 't'"):
        run(limiter.reserve([key, team], 0.75))
    run(limiter.reserve([key], 1.0))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 1), st.integers(0, 8), st.integers(-50, 50)), max_size=80))
def test_no_order_of_calls_and_no_clock_overspends_a_budget(steps) -> None:
    times, spent, open_calls = Times(), 0.0, []
    limiter, scopes = (
        times.limiter(),
        [("key:k1", Limits(usd=1.0, per="total")), ("team:t", Limits(usd=1.5, per="total"))],
    )
    for most, share, which, hours in steps:
        times.unix += hours * 3600.0
        try:
            open_calls.append((run(limiter.reserve(scopes, most)), most))
        except BudgetSpent:
            assert spent + sum(most for _, most in open_calls) + most > 1.0 - 1e-6
        if which < len(open_calls):
            call, most = open_calls.pop(which)
            call.settle(most * share)
            call.settle(most)
            spent += most * share
        assert spent + sum(most for _, most in open_calls) <= 1.0 + 1e-6


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=30), st.floats(1, 4))
def test_calls_that_cost_more_than_they_might_overspend_by_the_last_one_only(costs, times_dearer) -> None:
    limiter, scopes, spent = LocalLimiter(), [("key:k1", Limits(usd=2.0))], 0.0
    for most in costs:
        try:
            call = run(limiter.reserve(scopes, most))
        except BudgetSpent:
            continue
        assert spent + most <= 2.0 + 1e-6
        call.settle(most * times_dearer)
        spent += most * times_dearer


def test_a_period_that_ends_frees_the_budget_and_late_costs_belong_to_the_old_one() -> None:
    times = Times()
    limiter, scopes = times.limiter(), [("key:k1", Limits(usd=1.0, per="day"))]
    run(limiter.reserve(scopes, 0.5)).settle(0.5)
    late = run(limiter.reserve(scopes, 0.5))
    times.unix += DAY
    whole = run(limiter.reserve(scopes, 1.0))
    late.settle(0.5)
    whole.settle(0.0)
    run(limiter.reserve(scopes, 1.0))


def test_a_calendar_that_goes_back_grants_nothing_and_forgets_nothing() -> None:
    times = Times()
    limiter, scopes = times.limiter(), [("key:k1", Limits(usd=1.0, per="day"))]
    run(limiter.reserve(scopes, 0.9)).settle(0.9)
    times.unix -= 40 * DAY
    with pytest.raises(BudgetSpent, match=r"0\.1 left"):
        run(limiter.reserve(scopes, 0.2))
    run(limiter.reserve(scopes, 0.1)).settle(0.1)
    times.unix += 40 * DAY + 60
    with pytest.raises(BudgetSpent):
        run(limiter.reserve(scopes, 0.01))


def test_a_cost_that_is_no_number_leaves_the_reserve_spent() -> None:
    limiter, scopes = LocalLimiter(), [("key:k1", Limits(usd=1.0))]
    for cost in (math.nan, math.inf, -5.0):
        run(limiter.reserve(scopes, 0.3)).settle(cost)
    with pytest.raises(BudgetSpent, match=r"0\.1 left"):
        run(limiter.reserve(scopes, 0.2))
    for cost in (math.nan, math.inf, -5.0):
        with pytest.raises(ValueError, match="at least 0 USD"):
            run(limiter.reserve(scopes, cost))


def test_what_the_log_knows_is_spent_already_and_never_lessens_what_is_known() -> None:
    limiter, limits = LocalLimiter(), Limits(usd=1.0)
    limiter.seed("key:k1", limits, 0.8)
    limiter.seed("key:k1", limits, 0.3)
    with pytest.raises(BudgetSpent, match=r"0\.2 left"):
        run(limiter.reserve([("key:k1", limits)], 0.3))


async def test_parallel_tasks_race_one_budget_and_never_overspend_it() -> None:
    limiter, scopes, paid = LocalLimiter(), [("key:k1", Limits(usd=1.0))], []

    async def call(number: int) -> None:
        try:
            held = await limiter.reserve(scopes, 0.04)
        except BudgetSpent:
            return
        for _ in range(number % 7):
            await asyncio.sleep(0)
        held.settle(0.03)
        paid.append(0.03)

    await asyncio.gather(*(call(number) for number in range(300)))
    assert 0.7 <= sum(paid) <= 1.0 + 1e-9
    with pytest.raises(BudgetSpent):
        for _ in range(100):
            await call(0)
            (await limiter.reserve(scopes, 0.04)).settle(0.0)
    assert 0.96 <= sum(paid) <= 1.0 + 1e-9


def test_idle_scopes_are_forgotten_and_those_that_matter_are_not() -> None:
    times = Times()
    limiter = times.limiter(most=50)
    held = run(limiter.admit([("key:busy", Limits(parallel=1))], 0))
    run(limiter.reserve([("key:paid", Limits(usd=1.0))], 1.0)).settle(1.0)
    for number in range(2000):
        run(limiter.admit([(f"key:{number}", Limits(requests_per_minute=10))], 0))
        times.seconds += 61
    assert len(limiter) <= 52
    with pytest.raises(LimitReached):
        run(limiter.admit([("key:busy", Limits(parallel=1))], 0))
    with pytest.raises(BudgetSpent):
        run(limiter.reserve([("key:paid", Limits(usd=1.0))], 0.1))
    held.release(0)
