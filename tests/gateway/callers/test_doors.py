"""What a config makes of keys and limits, and what was spent before the start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from waypost.errors import BadConfig
from waypost.gateway.callers.doors import Doors, Seeds, doors
from waypost.gateway.settings import load
from waypost.store.database import StoreDown
from waypost.store.limits import BudgetSpent, Limits, period
from waypost.store.local_limits import LocalLimiter

MODELS = "models: [{name: arithmetic, kind: arithmetic, limits: {parallel: 3}}]\n"
NOVEMBER = 1_795_000_000.0


@pytest.fixture
def settings(tmp_path) -> Callable[..., object]:
    def made(text: str, env: dict[str, str] | None = None):
        path = tmp_path / "waypost.yaml"
        path.write_text(MODELS + text)
        return load(path, env or {})

    return made


class Log:
    """What is spent, by column; the first looks fail where the database is to be down."""

    def __init__(self, failures: int = 0, **spent: dict[str, float]) -> None:
        self.spent_by, self.failures = spent, failures
        self.asked: list[tuple[str, float]] = []

    def spent(self, column: str, since: float) -> dict[str, float]:
        self.asked.append((column, since))
        if self.failures:
            self.failures -= 1
            raise StoreDown("away")
        return self.spent_by.get(column, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_on_this_machine_nobody_has_to_say_anything(settings, host) -> None:
    made = doors(settings(f"server: {{host: '{host}'}}"), None)
    assert made.access.identity.keys == "off"
    assert made.access.models == {"arithmetic": Limits(parallel=3)}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gateway.example"])
def test_elsewhere_the_config_says_what_is_meant(settings, host) -> None:
    with pytest.raises(
        BadConfig, match="say `keys: required` and make some with `waypost keys create`, or `keys: off`"
    ):
        doors(settings(f"server: {{host: '{host}'}}"), None)
    assert doors(settings(f"server: {{host: '{host}'}}\nkeys: off"), None).access.identity.keys == "off"


def test_what_cannot_be_kept_is_refused_at_the_start(settings) -> None:
    with pytest.raises(BadConfig, match="yaml:2: 'keys' are kept in the `store`, and there is none"):
        doors(settings("keys: required"), None)
    with pytest.raises(BadConfig, match="2 workers would each keep the limits"):
        doors(settings("server: {workers: 2}"), None)
    with pytest.raises(BadConfig, match="must be the address of a Redis"):
        settings("limits: {redis: 'http://x'}")
    with pytest.raises(BadConfig, match="Did you mean 'requests_per_minute'"):
        settings("teams: {research: {request_per_minute: 5}}")


def test_a_reload_refuses_the_limits_that_a_start_refuses(settings) -> None:
    free = replace(settings("server: {workers: 2}"), models=())
    old = doors(free, None)
    with pytest.raises(BadConfig, match="2 workers would each keep the limits"):
        doors(settings("server: {workers: 2}\nteams: {research: {parallel: 5}}"), None, (free, old))


@pytest.mark.parametrize(
    "url",
    ["redis://:hunter2/x@h:6379", "redis://h:hunter2/0", "http://:hunter2@h", "redis://h/0?socket_timeout=hunter2"],
)
def test_an_address_that_is_no_redis_is_refused_without_being_shown(settings, url) -> None:
    with pytest.raises(BadConfig, match=r"limits.redis.*address of a Redis") as told:
        doors(settings("limits: {redis: '${URL}'}", {"URL": url}), None)
    assert "hunter2" not in str(told.value)
    with pytest.raises(BadConfig, match="holds a password, which never stands in this file"):
        settings("limits: {redis: 'redis://:hunter2@h'}")


def test_limits_go_on_when_the_config_is_read_again(settings) -> None:
    first = settings("teams: {research: {usd: 5}}")
    old = doors(first, None)
    again = doors(settings("teams: {research: {usd: 9}}"), None, (first, old))
    assert again.limiter is old.limiter
    assert again.access.identity.teams["research"].usd == 9


async def test_a_budget_begins_with_what_the_log_says_of_its_period() -> None:
    limiter = LocalLimiter(wall=lambda: NOVEMBER)
    seeds = Seeds(limiter, Log(key={"k1": 0.75}, model={"m": 2.0}), wall=lambda: NOVEMBER)
    for kind in (("key", "month"), ("model", "day")):
        seeds.load(kind)
    for scope, limits, left in (
        ("key:k1", Limits(usd=1.0), 0.25),
        ("model:m", Limits(usd=3.0, per="day"), 1.0),
        ("key:other", Limits(usd=1.0), 1.0),
    ):
        seeds.see(scope, limits)
        await limiter.reserve([(scope, limits)], left)
        with pytest.raises(BudgetSpent):
            await limiter.reserve([(scope, limits)], 0.001)


async def test_what_was_spent_in_another_period_is_not_spent_in_this_one() -> None:
    now = [NOVEMBER]
    limiter = LocalLimiter(wall=lambda: now[0])
    seeds = Seeds(limiter, Log(key={"k1": 1.0}), wall=lambda: now[0])
    seeds.load(("key", "month"))
    now[0] = period("month", NOVEMBER)[1]
    seeds.see("key:k1", Limits(usd=1.0))
    await limiter.reserve([("key:k1", Limits(usd=1.0))], 1.0)


async def test_a_log_that_cannot_be_read_at_the_start_is_read_when_it_can(monkeypatch, caplog) -> None:
    monkeypatch.setattr("waypost.gateway.callers.doors._AGAIN_SECONDS", 0.0)
    limits, limiter = Limits(usd=1.0), LocalLimiter()
    made = Doors(limiter=limiter, seeds=Seeds(limiter, Log(failures=2, key={"k1": 1.0})))
    made.seeds.see("key:k1", limits)
    await made.open()
    async with asyncio.timeout(10):
        await made._seeded.wait()
    with pytest.raises(BudgetSpent):
        await limiter.reserve([("key:k1", limits)], 0.5)
    assert "what was spent before the start is not known yet: away" in caplog.text
    await made.close(set())


async def test_only_what_a_budget_counts_is_read_and_one_that_is_met_later_too() -> None:
    log, limiter = Log(key={"k1": 1.0}, team={"t": 1.0}), LocalLimiter()
    made = Doors(limiter=limiter, seeds=Seeds(limiter, log))
    made.seeds.want("key:k1", Limits(usd=1.0, per="day"))
    made.seeds.see("team:t", Limits(requests_per_minute=5))
    await made.open()
    assert [column for column, _ in log.asked] == ["key"]
    everything = Limits(usd=1.0, per="total")
    made._seeded.clear()
    made.seeds.see("team:t", everything)
    async with asyncio.timeout(10):
        await made._seeded.wait()
    assert log.asked[1:] == [("team", 0.0)]
    with pytest.raises(BudgetSpent):
        await limiter.reserve([("team:t", everything)], 0.5)
    await made.close(set())


async def test_a_part_of_the_log_that_cannot_be_read_keeps_no_other_back() -> None:
    seeded = asyncio.Event()

    class Told(LocalLimiter):
        def seed(self, scope: str, limits: Limits, usd: float) -> None:
            super().seed(scope, limits, usd)
            seeded.set()

    log, limiter = Log(failures=1, key={"k1": 1.0}), Told()
    made = Doors(limiter=limiter, seeds=Seeds(limiter, log))
    limits = Limits(usd=1.0, per="total")
    made.seeds.want("team:t", Limits(usd=1.0, per="day"))  # the first that is read, and fails
    made.seeds.see("key:k1", limits)
    opening = asyncio.create_task(made.open())
    async with asyncio.timeout(10):
        await seeded.wait()
    assert made.seeds.unread == [("team", "day")]
    with pytest.raises(BudgetSpent):
        await limiter.reserve([("key:k1", limits)], 0.5)
    await opening
    await made.close(set())
