"""When a breaker opens, for how long, and who may try."""

from __future__ import annotations

import pytest

from waypost.errors import ModelFailed
from waypost.gateway.calls.breaker import Breaker
from waypost.gateway.sections.reliability import BreakerSettings


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock) -> Breaker:
    return Breaker("large", BreakerSettings(), clock)


def fail(breaker: Breaker, times: int = 1, **how) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter(), "HTTP 500", **how)


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.succeeded(breaker.enter())


def test_five_failures_in_the_window_open_it_and_the_error_says_for_how_long(breaker, clock):
    fail(breaker, 4)
    assert (breaker.state, breaker.problem()) == ("closed", None)
    fail(breaker)
    assert breaker.state == "open"
    clock.now += 8
    with pytest.raises(ModelFailed, match=r"^large is resting after HTTP 500; next try in 7 s$") as told:
        breaker.enter()
    assert (told.value.retry_after, told.value.kind, told.value.status) == (7.0, "rest", 502)
    assert breaker.problem() == str(told.value)


def test_a_few_failures_among_many_answers_do_not_open_it(breaker):
    succeed(breaker, 100)
    fail(breaker, 50)
    assert breaker.state == "closed"
    fail(breaker, 50)
    assert breaker.state == "open"


def test_failures_older_than_the_window_are_forgotten(breaker, clock):
    for _ in range(20):
        fail(breaker)
        clock.now += 8  # so that never five lie within thirty seconds
    assert breaker.state == "closed"


def test_after_its_rest_one_call_probes_and_the_others_still_wait(breaker, clock):
    fail(breaker, 5)
    clock.now += 15
    assert breaker.state == "half-open"
    assert breaker.enter() is True
    with pytest.raises(ModelFailed, match="next try in 1 s"):
        breaker.enter()
    breaker.succeeded(True)
    assert breaker.state == "closed"
    assert breaker.enter() is False
    fail(breaker, 4)
    assert breaker.state == "closed", "what was before the rest does not count"


def test_it_says_once_that_it_rests_and_once_that_all_is_well_again(breaker, clock, caplog):
    fail(breaker, 5)
    for _ in range(3):  # probes that fail
        clock.now += 400
        breaker.failed(breaker.enter(), "HTTP 500")
    clock.now += 400
    breaker.succeeded(breaker.enter())
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"{breaker.name} rests for 15 s after ") and last == f"{breaker.name} answers again"


def test_each_failed_probe_doubles_the_rest_up_to_five_minutes_and_a_good_one_resets_it(breaker, clock):
    fail(breaker, 5)
    rests = []
    for _ in range(7):
        with pytest.raises(ModelFailed) as told:
            breaker.enter()
        rests.append(told.value.retry_after)
        clock.now += rests[-1]
        fail(breaker)
    assert rests == [15, 30, 60, 120, 240, 300, 300]
    clock.now += 300
    succeed(breaker)
    fail(breaker, 5)
    with pytest.raises(ModelFailed, match="next try in 15 s"):
        breaker.enter()


def test_a_probe_that_ends_without_a_verdict_lets_the_next_one_probe(breaker, clock):
    fail(breaker, 5)
    clock.now += 15
    breaker.left(breaker.enter())
    assert breaker.enter() is True


def test_calls_that_began_before_it_opened_change_nothing(breaker, clock):
    late = [breaker.enter() for _ in range(3)]
    fail(breaker, 5)
    breaker.succeeded(late[0])
    breaker.failed(late[1], "HTTP 500")
    breaker.left(late[2])
    clock.now += 14
    assert breaker.state == "open"
    clock.now += 1
    assert breaker.state == "half-open"


def test_what_will_surely_fail_again_opens_it_at_once(breaker):
    succeed(breaker, 100)
    fail(breaker, surely=True)
    assert breaker.state == "open"


def test_it_rests_as_long_as_the_provider_asks_but_not_for_ever(breaker, clock):
    fail(breaker, 5, error=ModelFailed("slow down", retry_after=60.0))
    clock.now += 59
    assert breaker.state == "open"
    clock.now += 1
    fail(breaker, error=ModelFailed("slow down", retry_after=1e9))
    clock.now += 300
    assert breaker.state == "half-open"


@pytest.mark.parametrize(("upstream", "told"), [(429, 429), (500, None), (None, None)])
def test_one_that_rests_because_too_much_was_asked_says_so(breaker, upstream, told):
    fail(breaker, 5, error=ModelFailed("no", upstream=upstream, kind="status"))
    with pytest.raises(ModelFailed) as resting:
        breaker.enter()
    assert (resting.value.upstream, resting.value.kind) == (told, "rest")
