"""The limits of one process, in memory: exact, and never waiting."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf

from waypost.store.limits import BudgetSpent, LimitReached, Limits, Period, Room, Scopes, nano, period

# A second's usage counts until the whole of that second is a minute ago.
MINUTE = 61
_GONE = -1
_SWEPT = 8


class Window:
    """What was used in the last minute, second by second.

    A sliding window and not a token bucket: a full bucket and what flows into it meanwhile let through nearly twice the
    limit in the first minute, and a provider counts that minute too.  Seconds keep it small whatever the limit is, and
    a use is counted for up to a second too long, never too short.

    >>> window = Window()
    >>> _ = window.add(100, 3)
    >>> window.used(160), window.used(161)
    (3, 0)
    """

    __slots__ = ("cells", "total")

    def __init__(self) -> None:
        self.cells: deque[list[int]] = deque()
        self.total = 0

    def used(self, second: int) -> int:
        """The sum of the minute that ends with this second."""
        cells = self.cells
        while cells and cells[0][0] <= second - MINUTE:
            gone = cells.popleft()
            self.total -= gone[1]
            gone[0] = _GONE
        return self.total

    def add(self, second: int, amount: int) -> list[int]:
        """Count an amount now; what is returned lets it be corrected."""
        self.total += amount
        cells = self.cells
        if cells and cells[-1][0] == second:
            cells[-1][1] += amount
            return cells[-1]
        cell = [second, amount]
        cells.append(cell)
        return cell

    def correct(self, cell: list[int], change: int, second: int) -> None:
        """Count more or less than was added, as long as that counts at all; more counts now if not."""
        self.used(second)
        if cell[0] != _GONE:
            cell[1] += change
            self.total += change
        elif change > 0:
            self.add(second, change)

    def wait(self, now: float, amount: int, limit: int) -> float | None:
        """Seconds until an amount fits, or None when it never does."""
        if amount > limit:
            return None
        over = self.total + amount - limit
        for second, used in self.cells:
            over -= used
            if over <= 0:
                return second + MINUTE - now
        return 0.0


class Account:
    """The money of one scope in its present period, in billionths of a dollar."""

    __slots__ = ("end", "per", "reserved", "spent", "start")

    def __init__(self, per: Period) -> None:
        self.per = per
        self.start = 0.0
        self.end = -inf
        self.spent = 0
        self.reserved = 0

    def turn(self, now: float) -> None:
        """Begin anew when a new period has begun; never back to an old one."""
        if now >= self.end:
            self.start, self.end = period(self.per, now)
            self.spent = self.reserved = 0


class _Scope:
    __slots__ = ("account", "parallel", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = Window()
        self.tokens = Window()
        self.parallel = 0
        self.account: Account | None = None

    def idle(self, second: int) -> bool:
        """Whether forgetting it changes nothing."""
        account = self.account
        if self.parallel or self.requests.used(second) or self.tokens.used(second):
            return False
        return account is None or account.spent == account.reserved == 0


class LocalAdmission:
    """A request under way."""

    __slots__ = ("_counted", "_limiter", "_open", "_tokens")

    def __init__(
        self, limiter: LocalLimiter, counted: list[tuple[Limits, _Scope, list[int] | None]], tokens: int
    ) -> None:
        self._limiter = limiter
        self._counted = counted  # each scope with the second in which its tokens were counted
        self._tokens = tokens
        self._open = True

    @property
    def room(self) -> Room:
        """What is left for others."""
        second = int(self._limiter.clock())
        requests = requests_left = tokens = tokens_left = None
        for limits, state, _ in self._counted:
            most = limits.requests_per_minute
            if most is not None:
                left = max(0, most - state.requests.used(second))
                if requests_left is None or left < requests_left:
                    requests, requests_left = most, left
            most = limits.tokens_per_minute
            if most is not None:
                left = max(0, most - state.tokens.used(second))
                if tokens_left is None or left < tokens_left:
                    tokens, tokens_left = most, left
        return Room(requests, requests_left, tokens, tokens_left)

    def release(self, tokens: int) -> None:
        """The request has ended and used this many tokens; only the first call counts."""
        if not self._open:
            return
        self._open = False
        change = tokens - self._tokens
        second = int(self._limiter.clock()) if change else 0
        for limits, state, cell in self._counted:
            if limits.parallel is not None:
                state.parallel -= 1
            if cell is not None and change:
                state.tokens.correct(cell, change, second)


@dataclass(slots=True)
class LocalReservation:
    """Money set aside in one or more accounts, each in the period in which that was done."""

    _amount: int
    _accounts: list[tuple[Account, float]]
    _open: bool = True

    def settle(self, usd: float) -> None:
        """The call has cost this much; only the first call counts."""
        if not self._open:
            return
        self._open = False
        spent = nano(usd) if 0 <= usd < inf else self._amount
        for account, start in self._accounts:
            # A call belongs to the period in which it began, as in the log.
            if account.start == start:
                account.reserved -= self._amount
                account.spent += spent


@dataclass(slots=True)
class LocalLimiter:
    """Limits of one process, for the tasks of one event loop.

    ``clock`` counts seconds and never goes back, ``wall`` tells the calendar's periods in Unix seconds; when that goes
    back, the period stays and so does what was spent in it.  Of more than ``most`` scopes those are forgotten that were
    idle longest and have spent nothing.

    >>> import asyncio
    >>> limiter = LocalLimiter()
    >>> budget = [("key:k1", Limits(usd=1.0))]
    >>> asyncio.run(limiter.reserve(budget, 0.75)).settle(0.5)
    >>> asyncio.run(limiter.reserve(budget, 0.75))
    Traceback (most recent call last):
    waypost.store.limits.BudgetSpent: the key 'k1' may spend 1 USD a month and has 0.5 left; ...
    """

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    most: int = 10_000
    _scopes: OrderedDict[str, _Scope] = field(default_factory=OrderedDict)

    @property
    def shared(self) -> None:
        """Nothing is shared."""
        return None

    async def open(self) -> None:
        """Nothing is needed."""

    async def admit(self, scopes: Scopes, tokens: int) -> LocalAdmission:
        """Count one request of about so many tokens.

        Raises:
            LimitReached: a scope has no room for it; nothing is counted.
        """
        now = self.clock()
        second = int(now)
        states: list[tuple[Limits, _Scope]] = []
        # All are asked before any is counted, and nothing else runs in between.
        for name, limits in scopes:
            state = self._scope(name)
            most = limits.parallel
            if most is not None and state.parallel >= most:
                raise too_many(name, most)
            most = limits.requests_per_minute
            if most is not None and state.requests.used(second) >= most:
                raise too_fast(name, "requests", most, 1, state.requests.wait(now, 1, most))
            most = limits.tokens_per_minute
            if most is not None and state.tokens.used(second) + tokens > most:
                raise too_fast(name, "tokens", most, tokens, state.tokens.wait(now, tokens, most))
            states.append((limits, state))
        counted: list[tuple[Limits, _Scope, list[int] | None]] = []
        for limits, state in states:
            if limits.requests_per_minute is not None:
                state.requests.add(second, 1)
            if limits.parallel is not None:
                state.parallel += 1
            cell = None if limits.tokens_per_minute is None else state.tokens.add(second, tokens)
            counted.append((limits, state, cell))
        return LocalAdmission(self, counted, tokens)

    async def reserve(self, scopes: Scopes, usd: float) -> LocalReservation:
        """Set aside the most that a call may cost.

        Raises:
            BudgetSpent: a scope has less left; nothing is set aside.
            ValueError: the cost is no number of at least 0.
        """
        if not 0 <= usd < inf:
            raise ValueError(f"a call may cost a number of at least 0 USD, got {usd}")
        amount = nano(usd)
        accounts: list[tuple[Account, float]] = []
        for name, limits in scopes:
            if limits.usd is None:
                continue
            account = self.account(name, limits)
            left = _budget(limits.usd) - account.spent - account.reserved
            if amount > left:
                raise BudgetSpent(name, limits, left / 1e9, usd)
            accounts.append((account, account.start))
        for account, _ in accounts:
            account.reserved += amount
        return LocalReservation(amount, accounts)

    def seed(self, scope: str, limits: Limits, usd: float) -> None:
        """What a scope has spent in its present period, as far as the log knows; more may be known already."""
        account = self.account(scope, limits)
        account.spent = max(account.spent, nano(usd))

    def account(self, scope: str, limits: Limits) -> Account:
        """The account of a scope, in its present period."""
        state = self._scope(scope)
        account = state.account
        if account is None or account.per != limits.per:
            account = state.account = Account(limits.per)
        account.turn(self.wall())
        return account

    async def close(self) -> None:
        """Nothing is held."""

    def __len__(self) -> int:
        return len(self._scopes)

    def _scope(self, name: str) -> _Scope:
        scope = self._scopes.get(name)
        if scope is not None:
            self._scopes.move_to_end(name)
            return scope
        if len(self._scopes) >= self.most:
            self._forget(int(self.clock()))
        scope = self._scopes[name] = _Scope()
        return scope

    def _forget(self, second: int) -> None:
        """Make room, looking at a few scopes only; those that are still needed are the last to be looked at again."""
        for _ in range(min(_SWEPT, len(self._scopes))):
            name, scope = next(iter(self._scopes.items()))
            if scope.account is not None:
                scope.account.turn(self.wall())
            if scope.idle(second):
                del self._scopes[name]
            else:
                self._scopes.move_to_end(name)


_budget = lru_cache(maxsize=1024)(nano)  # budgets are few, and costs are not


def too_many(scope: str, limit: int) -> LimitReached:
    """The error for one more parallel request than is allowed."""
    problem = f"may have {limit} requests under way at once, and has; wait for one to end"
    return LimitReached(scope, problem, 1.0, limit="parallel")


def too_fast(scope: str, unit: str, limit: int, asked: int, wait: float | None) -> LimitReached:
    """The error for more requests or tokens than fit into a minute; ``wait`` is in seconds."""
    room = Room(requests=limit, requests_left=0) if unit == "requests" else Room(tokens=limit, tokens_left=0)
    if wait is None:
        problem = f"may use {limit} {unit} a minute, and this request alone needs about {asked}; ask for less at once"
    else:
        problem = f"may use {limit} {unit} a minute, and has; try again in {max(1, round(wait))} s"
    return LimitReached(scope, problem, wait, room, limit=unit)


def tightest(rooms: Iterable[Room]) -> Room:
    """Of several rooms the one with the least requests left, and the one with the least tokens left.

    >>> tightest([Room(10, 9), Room(5, 4, 1000, 100)])
    Room(requests=5, requests_left=4, tokens=1000, tokens_left=100)
    """
    requests = tokens = requests_left = tokens_left = None
    for room in rooms:
        if room.requests_left is not None and (requests_left is None or room.requests_left < requests_left):
            requests, requests_left = room.requests, room.requests_left
        if room.tokens_left is not None and (tokens_left is None or room.tokens_left < tokens_left):
            tokens, tokens_left = room.tokens, room.tokens_left
    return Room(requests, requests_left, tokens, tokens_left)
