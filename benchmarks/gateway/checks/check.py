"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from checks.talk import Client, Reply

if TYPE_CHECKING:
    from checks.provider import Recorder


@dataclass(frozen=True, slots=True)
class Found:
    """Whether it was right, and what was done."""

    right: bool
    did: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the gateway's config, named by what the mock provider is to do (`upstream.py`).

    ``fallback`` is the model that is to answer in its place, ``recorded`` puts it on the provider that remembers,
    ``usd`` is a budget of its own, ``priced`` gives it 1,000 USD a million tokens each way, and ``seconds`` is the time
    limit of a whole answer.
    """

    name: str
    fallback: str | None = None
    recorded: bool = False
    priced: bool = True
    usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Bed:
    """A gateway under test and all around it.

    ``stats`` are what the mock provider has seen; ``provider`` remembers its requests; nobody has any business with
    ``trap``.  ``other_key`` and ``spender_key`` (with a budget of `SPENDER_USD`) are further keys, None where a gateway
    has but one.  ``said`` is all that the gateway has written out, ``secrets`` are what may not be in it.
    ``cost_header`` is where an answer tells its cost in USD.
    """

    name: str
    client: Client
    stats: Client
    provider: Recorder
    trap: Recorder
    said: Path
    secrets: Sequence[str]
    cost_header: str
    other_key: str | None = None
    spender_key: str | None = None
    pid: int = 0

    def tries(self, model: str) -> int:
        """How often the provider was asked for a model."""
        return int(self.stats.get("/stats").json["by_model"].get(model, 0))

    def left(self, model: str) -> int:
        """How many calls of a model were left before their end."""
        return int(self.stats.get("/stats").json["left"].get(model, 0))


SPENDER_USD = 1.0

Run = Callable[[Bed], Found]


@dataclass(frozen=True, slots=True)
class Check:
    """One row: what is sent and what is right, in words; ``run`` tries it.

    ``models`` are those that it needs in the config.  ``ours_only`` says why it is not run against others; then ``run``
    brings up what it needs by itself, or looks at something that only ours has.
    """

    name: str
    group: str
    sent: str
    right: str
    run: Run
    models: tuple[Model, ...] = ()
    ours_only: str | None = None


def tells(reply: Reply) -> bool:
    """Whether an answer is an error in the shape that clients read."""
    return reply.status >= 400 and reply.error is not None
