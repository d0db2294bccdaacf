"""Which models can serve right now, and why the others cannot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from waypost.errors import WaypostError
from waypost.types import Model, Query

LOADING = "loading"

_WAIT_SECONDS = 1.0
# A probe that asks every second must not become a call a second to each provider.
_FRESH_SECONDS = 5.0


@dataclass(slots=True)
class Readiness:
    """Warms the local models up, and asks every model whether it is ready, at most one question at a time each.

    ``missing`` are the models that cannot be built, with the reason.
    """

    models: Mapping[str, Model]
    missing: Mapping[str, str] = field(default_factory=dict)
    _warming: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _checks: dict[str, asyncio.Task[str | None]] = field(default_factory=dict)
    _states: dict[str, tuple[float, str | None]] = field(default_factory=dict)

    def start(self) -> None:
        """Warm the local models up, in the background."""
        for name, model in self.models.items():
            if model.card.local:
                self._warming[name] = asyncio.create_task(_warm(model))

    async def states(self) -> dict[str, str | None]:
        """By model: None when it can serve, or a sentence that says why not; waits for at most a second."""
        for name, model in self.models.items():
            asked = self._states.get(name)
            stale = asked is None or time.monotonic() - asked[0] > _FRESH_SECONDS
            if name not in self._checks and stale:
                self._checks[name] = asyncio.create_task(self._check(name, model))
        if self._checks:
            await asyncio.wait(self._checks.values(), timeout=_WAIT_SECONDS)
        return {**{name: self._state(name) for name in self.models}, **self.missing}

    async def close(self) -> None:
        """Stop warming and asking."""
        tasks = [*self._warming.values(), *self._checks.values()]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def _state(self, name: str) -> str | None:
        _, reason = self._states.get(name, (0.0, f"no answer in {_WAIT_SECONDS:g} s"))
        warming = self._warming.get(name)
        return LOADING if reason is None and warming is not None and not warming.done() else reason

    async def _check(self, name: str, model: Model) -> str | None:
        try:
            reason = await model.ready()
        except WaypostError as error:
            reason = str(error)
        self._states[name] = (time.monotonic(), reason)
        self._checks.pop(name, None)
        return reason


async def _warm(model: Model) -> None:
    if await model.ready() is not None:
        return
    # An expert declines, a loaded model says a word, and what fails now says so to whoever calls it next.
    with suppress(WaypostError):
        await model.complete(Query.of("Hi", max_tokens=1))
