"""The limits of several processes, kept in Redis; while it is silent, each process decides by what it knows."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any

from waypost.store.limits import BudgetSpent, LimitReached, Limits, Period, Room, Scopes, Shared, nano
from waypost.store.local_limits import (
    Account,
    LocalAdmission,
    LocalLimiter,
    LocalReservation,
    tightest,
    too_fast,
    too_many,
)
from waypost.store.redis_link import Arguments, Command, RedisLink

_DAY = 86_400
_FOREVER = 400 * _DAY
_BEAT_KEYS = 100


@dataclass(slots=True, eq=False)
class _Counter:
    """What is known of one scope's money in one period: what Redis said last, and what it has not been told yet.

    ``summed`` is the part of what is ``untold`` that is no longer told call by call.
    """

    key: str
    account: Account
    start: float
    end: float
    spent: int
    life: str = ""
    untold: int = 0
    summed: int = 0

    def told(self, spent: int, life: str) -> None:
        """Redis has said what is spent."""
        self.spent, self.life = spent, life
        self.owe(0)

    def owe(self, change: int) -> None:
        """Redis does not know of a change yet, or does now."""
        self.untold += change
        # Its account, by which the local limiter decides, may be in a later period already.
        if self.account.start == self.start:
            self.account.spent = self.spent + self.untold


@dataclass(slots=True)
class RedisAdmission:
    """A request that Redis let through."""

    room: Room
    _limiter: RedisLimiter
    _id: str
    _names: list[str]
    _tokens: int
    _seconds: list[int]
    _open: bool = True

    def release(self, tokens: int) -> None:
        """The request has ended and used this many tokens; only the first call counts."""
        if self._open:
            self._open = False
            self._limiter._release(self._id, self._names, tokens - self._tokens, self._seconds)


@dataclass(slots=True)
class RedisReservation:
    """Money set aside in Redis, or by the local limiter while Redis was silent."""

    _limiter: RedisLimiter
    _id: str
    _amount: int
    _counters: list[_Counter]
    _local: LocalReservation | None = None
    _open: bool = True

    def settle(self, usd: float) -> None:
        """The call has cost this much; only the first call counts."""
        if not self._open:
            return
        self._open = False
        if self._local is not None:
            self._local.settle(usd)
        spent = nano(usd) if 0 <= usd < inf else self._amount
        self._limiter._settle(self._id, self._counters, spent, None if self._local is not None else self._amount)


@dataclass(slots=True)
class RedisLimiter:
    """Limits that all processes on one Redis keep together.

    An operation waits for Redis at most ``wait`` seconds.  When that does not suffice, this one and all that follow are
    decided by the ``local`` limiter, which begins with the spend that is known; nobody waits meanwhile.  What calls
    have cost is told to Redis as soon as it answers again, up to ``most_untold`` call by call and more as sums.  Until
    then each of n processes lets through as much as the limits allow to one.

    The parallel requests of a process that died are given back after ``lease`` seconds.  What it had reserved stays
    spent: the calls may have been made, and nobody knows what they cost.

    Raises:
        ModuleNotFoundError: the package redis is missing.
    """

    url: str = field(repr=False)
    prefix: str = "waypost"
    wait: float = 0.25
    lease: float = 30.0
    most_untold: int = 10_000
    local: LocalLimiter = field(default_factory=LocalLimiter)
    link: RedisLink = field(init=False)
    _process: str = field(default_factory=lambda: secrets.token_hex(6), init=False)
    _numbers: itertools.count[int] = field(default_factory=itertools.count, init=False)
    _counters: dict[tuple[str, Period], _Counter] = field(default_factory=dict, init=False)
    _leases: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, self.wait, self.lease, self._beats)

    @property
    def shared(self) -> Shared:
        """Whether Redis answers, and how many ends of requests and calls it was not told yet."""
        return Shared(self.link.up, len(self.link))

    async def open(self) -> None:
        """Connect, for a second at most; what is asked before is decided by the local limiter."""
        await self.link.open()

    async def admit(self, scopes: Scopes, tokens: int) -> RedisAdmission | LocalAdmission:
        """Count one request of about so many tokens.

        Raises:
            LimitReached: a scope has no room for it; nothing is counted.
        """
        if not self.link.up:
            return await self.local.admit(scopes, tokens)
        id, names = self._id(), [name for name, _ in scopes]
        keys = [self._key("done", id)]
        arguments: list[str | int] = [id, tokens, int(self.lease * 1000)]
        for name, limits in scopes:
            keys += [self._key(what, name) for what in ("requests", "tokens", "leases")]
            limited = (limits.requests_per_minute, limits.tokens_per_minute, limits.parallel)
            arguments += [-1 if limit is None else limit for limit in limited]
        reply = None
        try:
            reply = await self.link.ask("admit", keys, arguments)
        finally:
            if reply is None:
                # It may run all the same, and later: then it has ended before it began.
                self._release(id, names, 0, [-1] * len(names))
        if reply is None:
            return await self.local.admit(scopes, tokens)
        if reply[0] == 0:
            raise _refusal(scopes, tokens, *reply[1:])
        leases = [self._key("leases", name) for name, limits in scopes if limits.parallel is not None]
        if leases:
            self._leases[id] = leases
        room = tightest(
            Room(limits.requests_per_minute, _known(left), limits.tokens_per_minute, _known(tokens_left))
            for (_, limits), left, tokens_left in zip(scopes, reply[1::3], reply[2::3], strict=True)
        )
        return RedisAdmission(room, self, id, names, tokens, reply[3::3])

    async def reserve(self, scopes: Scopes, usd: float) -> RedisReservation:
        """Set aside the most that a call may cost.

        Raises:
            BudgetSpent: a scope has less left; nothing is set aside.
            ValueError: the cost is no number of at least 0.
        """
        if not 0 <= usd < inf:
            raise ValueError(f"a call may cost a number of at least 0 USD, got {usd}")
        id, amount = self._id(), nano(usd)
        paying = [(name, limits, nano(limits.usd)) for name, limits in scopes if limits.usd is not None]
        counters = [self._counter(name, limits) for name, limits, _ in paying]
        if self.link.up:
            arguments: list[str | int] = [id, amount, _DAY]
            for counter, (_, _, limit) in zip(counters, paying, strict=True):
                arguments += [*self._facts(counter), limit]
            try:
                reply = await self.link.ask("reserve", self._money_keys(id, counters), arguments)
                if reply is None:
                    local = await self.local.reserve(scopes, usd)
                    return RedisReservation(self, id, amount, counters, local)
            except BaseException:
                # Refused or abandoned without an answer; should it run later, it is over.
                self._settle(id, counters, 0, None)
                raise
            _learn(counters, reply[1:])
            if reply[0] > 0:
                name, limits, limit = paying[reply[0] - 1]
                raise BudgetSpent(name, limits, (limit - counters[reply[0] - 1].spent) / 1e9, usd)
            return RedisReservation(self, id, amount, counters)
        return RedisReservation(self, id, amount, counters, await self.local.reserve(scopes, usd))

    def seed(self, scope: str, limits: Limits, usd: float) -> None:
        """What a scope has spent in its present period, as far as the log knows; Redis may know of more."""
        counter = self._counter(scope, limits)
        if not counter.life:
            counter.told(max(counter.spent, nano(usd)), "")

    async def close(self) -> None:
        """Tell Redis what it was not told, for two seconds at most, and hang up."""
        await self.link.close()

    def _id(self) -> str:
        return f"{self._process}-{next(self._numbers)}"

    def _key(self, what: str, name: str) -> str:
        return f"{{{self.prefix}}}:{what}:{name}"

    def _money_keys(self, id: str, counters: list[_Counter]) -> list[str]:
        return [self._key("done", id), self._key("held", id), *(counter.key for counter in counters)]

    def _counter(self, scope: str, limits: Limits) -> _Counter:
        account = self.local.account(scope, limits)
        counter = self._counters.get((scope, limits.per))
        if counter is None or counter.start != account.start:
            if len(self._counters) >= self.local.most:
                self._counters = {name: known for name, known in self._counters.items() if known.untold}
            key = self._key("usd", f"{scope}:{limits.per}:{account.start:.0f}")
            counter = _Counter(key, account, account.start, account.end, account.spent)
            self._counters[scope, limits.per] = counter
        counter.account = account
        return counter

    def _facts(self, counter: _Counter) -> tuple[int, int, str]:
        """How long to keep a counter, and what is known of it."""
        left = _FOREVER if counter.end == inf else int(max(0.0, counter.end - self.local.wall())) + 2 * _DAY
        return left, counter.spent, counter.life

    def _release(self, id: str, names: list[str], change: int, seconds: list[int]) -> None:
        self._leases.pop(id, None)
        if len(self.link) >= self.most_untold:
            return  # leases end by themselves
        keys = [self._key("done", id)]
        for name in names:
            keys += [self._key("tokens", name), self._key("leases", name)]
        self.link.owe(Command("release", keys, lambda: [id, change, *seconds], _nothing))

    def _settle(self, id: str, counters: list[_Counter], spent: int, reserved: int | None) -> None:
        """Owe Redis a settlement; ``reserved`` is what it is known to have set aside."""
        change = spent - (reserved or 0)
        for counter in counters:
            counter.owe(change)
        if len(self.link) < self.most_untold:
            known = -1 if reserved is None else reserved
            self.link.owe(self._settlement(id, counters, lambda: (spent, known, change)))
            return
        for counter in counters:
            if not counter.summed:
                self.link.owe(self._sum(counter))
            counter.summed += change

    def _sum(self, counter: _Counter) -> Command:
        """The settlement of all that has come together by the time when it is first sent."""
        taken: list[int] = []

        def amounts() -> tuple[int, int, int]:
            if not taken:
                taken.append(counter.summed)
                counter.summed = 0
            return taken[0], 0, taken[0]

        return self._settlement(self._id(), [counter], amounts)

    def _settlement(self, id: str, counters: list[_Counter], amounts: Any) -> Command:
        def arguments() -> Arguments:
            spent, reserved, _ = amounts()
            facts = itertools.chain.from_iterable(self._facts(counter) for counter in counters)
            return [id, spent, _DAY, reserved, *facts]

        def heard(reply: Sequence[Any]) -> None:
            for counter in counters:
                counter.untold -= amounts()[2]
            _learn(counters, reply)

        return Command("settle", self._money_keys(id, counters), arguments, heard)

    def _beats(self) -> Iterable[Command]:
        pairs = [(key, id) for id, keys in self._leases.items() for key in keys]
        for at in range(0, len(pairs), _BEAT_KEYS):
            part = pairs[at : at + _BEAT_KEYS]
            arguments: list[str | int] = [int(self.lease * 1000), *(id for _, id in part)]
            yield Command("beat", [key for key, _ in part], partial(list, arguments), _nothing)


def _nothing(reply: Any) -> None:
    """Whether it had run before makes no difference."""


def _known(left: int) -> int | None:
    return None if left < 0 else left


def _learn(counters: Sequence[_Counter], reply: Sequence[Any]) -> None:
    for counter, spent, life in zip(counters, reply[::2], reply[1::2], strict=True):
        counter.told(int(spent), str(life))


def _refusal(scopes: Scopes, tokens: int, which: int, what: int, milliseconds: int) -> LimitReached:
    name, limits = scopes[which - 1]
    wait = None if milliseconds < 0 else milliseconds / 1000
    if what == 0:
        return too_many(name, limits.parallel or 0)
    if what == 1:
        return too_fast(name, "requests", limits.requests_per_minute or 0, 1, wait)
    return too_fast(name, "tokens", limits.tokens_per_minute or 0, tokens, wait)
