"""``keys:``, ``teams:``, ``limits:`` and each model's ``limits``: who may ask, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from waypost.gateway.sections.kinds import (
    REDIS,
    Kind,
    described,
    named,
    number,
    object_of,
    one_of,
    read_fields,
    setting,
    whole_number,
)
from waypost.pool.secret import Secret
from waypost.store.limits import Limits, Period

_KEYS = ("required", "optional", "off")


_FIELDS: Mapping[str, tuple[Kind, str]] = {
    "requests_per_minute": (whole_number(least=1), "Most requests in any minute."),
    "tokens_per_minute": (whole_number(least=1), "Most tokens in any minute, of prompts and answers together."),
    "parallel": (whole_number(least=1), "Most requests under way at once."),
    "usd": (number(least=0.0), "Most USD in each period."),
    "per": (one_of(get_args(Period)), "The period of `usd`, in UTC; total is ever. Else a month."),
}
_KINDS = {name: kind for name, (kind, _) in _FIELDS.items()}
_SCHEMA: dict[str, Any] = object_of({name: described(kind, says) for name, (kind, says) in _FIELDS.items()})

LIMITS = Kind(lambda entry: Limits(**read_fields(entry, _KINDS)), _SCHEMA)
TEAMS = named(LIMITS)
KEYS = one_of(_KEYS)


@dataclass(frozen=True, slots=True)
class LimiterSettings:
    """Where limits are kept, and what is assumed of a call before it is made."""

    redis: Secret | None = setting(REDIS, "Address of a Redis on which several gateways keep limits together.", None)
    wait_seconds: float = setting(
        number(least=0.01, most=10.0), "The longest that a request waits for Redis before it goes on without.", 0.25
    )
    answer_tokens: int = setting(
        whole_number(least=1), "Tokens of an answer to reserve money for when a request gives no most.", 4096
    )
