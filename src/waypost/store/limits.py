"""What a caller may use at most, and the promise that every limiter keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from waypost.errors import WaypostError

Period = Literal["day", "week", "month", "total"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a key, a team or a model may use; None is no limit.

    ``usd`` may be spent in each ``per`` (UTC; "total": ever); ``parallel`` requests may be under way at once.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    usd: float | None = None
    per: Period = "month"

    @property
    def rates(self) -> bool:
        """Whether requests, tokens or parallel requests are limited."""
        return not self.requests_per_minute is self.tokens_per_minute is self.parallel is None


# Who is limited (``key:<id>``, ``team:<name>``, ``model:<name>``), and to what.
Scopes = Sequence[tuple[str, Limits]]


class LimitReached(WaypostError):
    """A rate or the number of parallel requests is at its limit; ``retry_after`` is in seconds, None: it never fits.

    ``limit`` says which: "requests", "tokens" or "parallel".
    """

    status = 429
    code = "rate_limit_exceeded"

    def __init__(
        self, scope: str, problem: str, retry_after: float | None, room: Room | None = None, *, limit: str
    ) -> None:
        super().__init__(f"{spoken(scope)} {problem}")
        self.scope = scope
        self.retry_after = retry_after
        self.room = room
        self.limit = limit


class BudgetSpent(WaypostError):
    """The money of a period does not suffice for one more call; a cheaper one may still fit."""

    status = 429
    code = "insufficient_quota"
    in_vain = True

    def __init__(self, scope: str, limits: Limits, left: float, asked: float) -> None:
        per = "in all" if limits.per == "total" else f"a {limits.per}"
        super().__init__(
            f"{spoken(scope)} may spend {limits.usd:g} USD {per} and has {max(0.0, left):.6g} left; this call may cost "
            f"up to {asked:.6g}. Ask for fewer tokens (max_tokens) or a cheaper model, or have the budget raised"
        )
        self.scope = scope


class Room(NamedTuple):
    """The limits a minute and what is left of them, each of the scope that has least left."""

    requests: int | None = None
    requests_left: int | None = None
    tokens: int | None = None
    tokens_left: int | None = None


class Shared(NamedTuple):
    """How the place where several processes keep limits is doing: whether it answers, and what it was not told yet."""

    up: bool
    untold: int


class Admission(Protocol):
    """A request that may go on."""

    @property
    def room(self) -> Room:
        """What is left for others."""
        ...

    def release(self, tokens: int) -> None:
        """The request has ended and used this many tokens; never waits, and only the first call counts."""
        ...


class Reservation(Protocol):
    """Money set aside for one call."""

    def settle(self, usd: float) -> None:
        """The call has cost this much; never waits, and only the first call counts.

        A cost that is no number of at least 0 is taken for unknown, and what was reserved stays spent.
        """
        ...


class Limiter(Protocol):
    """Decides whether a request may go on and a call be paid: for all scopes, or for none of them."""

    @property
    def shared(self) -> Shared | None:
        """Where limits are shared; None: they are this process's own."""
        ...

    async def open(self) -> None:
        """Connect to what keeps the limits; waits a second at most, and goes on without."""
        ...

    async def admit(self, scopes: Scopes, tokens: int) -> Admission:
        """Count one request of about so many tokens.

        Raises:
            LimitReached: a scope has no room for it; nothing is counted.
        """
        ...

    async def reserve(self, scopes: Scopes, usd: float) -> Reservation:
        """Set aside the most that a call may cost.

        Raises:
            BudgetSpent: a scope has less left; nothing is set aside.
        """
        ...

    def seed(self, scope: str, limits: Limits, usd: float) -> None:
        """What a scope has spent in its present period, as far as the log knows; more may be known already."""
        ...

    async def close(self) -> None:
        """Deliver what waits, and free what is held."""
        ...


def spoken(scope: str) -> str:
    """A scope in words.

    >>> spoken("team:research")
    "the team 'research'"
    """
    kind, _, name = scope.partition(":")
    return f"the {kind} '{name}'"


def period(per: Period, now: float) -> tuple[float, float]:
    """When the period around a time began and when it ends, all in Unix seconds; weeks begin on Monday.

    >>> [datetime.fromtimestamp(edge, UTC).isoformat() for edge in period("week", 1_000_000_000.0)]
    ['2001-09-03T00:00:00+00:00', '2001-09-10T00:00:00+00:00']
    >>> period("total", 1_000_000_000.0)
    (0.0, inf)
    """
    if per == "total":
        return 0.0, math.inf
    start = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if per == "day":
        end = start + timedelta(days=1)
    elif per == "week":
        start -= timedelta(days=start.weekday())
        end = start + timedelta(days=7)
    else:
        start = start.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    return start.timestamp(), end.timestamp()


def nano(usd: float) -> int:
    """USD in whole billionths, rounded up: sums of these are exact.

    >>> nano(0.1) + nano(0.2) == nano(0.3)
    True
    """
    return math.ceil(usd * 1e9 - 1e-4)
