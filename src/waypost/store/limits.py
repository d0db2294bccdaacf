"""What a caller may use at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
