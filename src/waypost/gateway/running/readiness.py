"""Which models can serve right now, and why the others cannot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from waypost.errors import WaypostError
from waypost.types import Model, Query

_log = logging.getLogger(__name__)

LOADING = "loading"

_WAIT_SECONDS = 1.0
# A probe that asks every second must not become a call a second to each provider.
_FRESH_SECONDS = 5.0


@dataclass(slots=True)
class Readiness:
    """Warms the local models up, and asks every model whether it is ready, at most one question at a time each.

    ``missing`` are the models that cannot be built, with the reason.  A server that is ``draining`` is about to end and
    wants no new requests, whatever its models can do.
    """

    models: Mapping[str, Model]
    missing: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    _warm: set[str] = field(default_factory=set)
    _checks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _states: dict[str, tuple[float, str | None]] = field(default_factory=dict)

    def start(self) -> None:
        """Warm the local models up, in the background."""
        for name, model in self.models.items():
            if model.card.local:
                self._checks[name] = asyncio.create_task(self._check(name, model))

    def take_over(self, other: Readiness) -> None:
        """Begin with what another one knows of the models that both have."""
        for name, model in self.models.items():
            if other.models.get(name) is model:
                self._warm |= other._warm & {name}
                self._states |= {name: other._states[name]} if name in other._states else {}

    async def states(self, wait: float | None = None) -> dict[str, str | None]:
        """By model: None when it can serve, or a sentence that says why not.

        It waits for at most ``wait`` seconds, by default one.
        """
        wait = _WAIT_SECONDS if wait is None else wait
        for name, model in self.models.items():
            asked = self._states.get(name)
            stale = asked is None or time.monotonic() - asked[0] > _FRESH_SECONDS
            if name not in self._checks and stale:
                self._checks[name] = asyncio.create_task(self._check(name, model))
        if self._checks:
            await asyncio.wait(self._checks.values(), timeout=wait)
        return {**{name: self._state(name, model, wait) for name, model in self.models.items()}, **self.missing}

    async def close(self) -> None:
        """Stop warming and asking."""
        tasks = list(self._checks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _state(self, name: str, model: Model, waited: float) -> str | None:
        if name in self._states:
            return self._states[name][1]
        return LOADING if model.card.local else f"no answer in {waited:g} s"

    async def _check(self, name: str, model: Model) -> None:
        try:
            reason = await self._problem(name, model)
        except WaypostError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - an outer edge: a model's bug makes it unready, and nobody else
            _log.exception("model %s is not ready", name)
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._checks.pop(name, None)
        self._states[name] = (time.monotonic(), reason)

    async def _problem(self, name: str, model: Model) -> str | None:
        reason = await model.ready()
        if reason is None and model.card.local and name not in self._warm:
            # An expert declines, a loaded model says a word, and what fails now says so to whoever calls it next.
            with suppress(WaypostError):
                await model.complete(Query.of("Hi", max_tokens=1))
            self._warm.add(name)
        return reason
