"""A model that is called again when that is safe, and left alone when it is down."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import ChainMap
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from waypost.errors import Declined, ModelFailed, ProviderRefused
from waypost.gateway.calls.breaker import CLOSED, HALF_OPEN, Breaker
from waypost.gateway.calls.drive import says_something
from waypost.gateway.sections.reliability import ReliabilitySettings
from waypost.pool.calling import CALLING, Retry
from waypost.pool.relay import Show, Shown, drawn, relay, show_all
from waypost.types import Answer, Delta, Model, ModelCard, Query

_log = logging.getLogger(__name__)

# What a provider says of itself and not of the request: another try may go well.
_PASSING = frozenset({408, 409, 425, 429})
# What it says of our account: another try goes no better, and the client can do nothing about it.
ACCOUNT = frozenset({401, 402, 403})
_BROKEN = frozenset({"connect", "lost", "garbage"})


@dataclass(slots=True)
class _Tries:
    """The tries of one call; ``patience`` is how long a wait the provider may ask for."""

    patience: float
    began: float = field(default_factory=time.monotonic)
    made: int = 0
    last: ModelFailed | None = None


class _First:
    """Shows pieces; what says nothing yet is held, and so does not stand in the way of another try."""

    __slots__ = ("_held", "_of", "_show", "begun", "probes")

    def __init__(self, of: Reliable, probes: tuple[bool, bool], show: Show) -> None:
        self._of = of
        self._show = show
        self._held: list[Delta] = []
        self.probes = probes
        self.begun = False

    def __call__(self, piece: Delta) -> Shown:
        if self.begun:
            return self._show(piece)
        self._held.append(piece)
        return self.begin() if says_something(piece) else None

    def begin(self) -> Shown:
        self._of._succeeded(self.probes)
        self.begun, self.probes = True, (False, False)
        return show_all(self._show, self._held)


class Reliable:
    """A remote model with retries, before the first piece only, and two circuit breakers: its own, its provider's.

    What is safe to try again: no connection, a connection lost or garbage before the first piece, and the statuses
    408, 409, 425, 429 and those from 500 up.  A key that is refused (401) opens the provider's breaker at once.
    """

    def __init__(
        self, model: Model, breaker: Breaker, provider: Breaker, settings: ReliabilitySettings | None = None
    ) -> None:
        self.model = model
        self.breaker = breaker
        self.provider = provider
        self.settings = settings or ReliabilitySettings()
        self.retries = 0
        self.refused = 0  # how often the provider has refused our key or our account
        #: The same model for when nobody stands behind it: it waits for as long as the budget allows.
        self.patient: Model = _Patient(self)

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self.model.card

    async def complete(self, query: Query) -> Answer:
        """The whole answer.

        Raises:
            ProviderRefused: the provider refuses our key.
            ModelFailed: all tries failed, or the model rests; with ``retry_after`` where it is known.
        """
        return await self._complete(query, self.settings.patience_seconds)

    def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """The pieces of an answer as they come, and then the whole; raises as `relay` does."""
        return drawn(self, query)

    async def relay(self, query: Query, show: Show) -> Answer:
        """The whole answer, shown as it comes; raises as `complete` does, and after a piece there is no other try."""
        return await self._relay(query, show, self.settings.patience_seconds)

    async def ready(self) -> str | None:
        """None, or why no call can be made: it rests, or what the model itself says."""
        return self.provider.problem() or self.breaker.problem() or await self.model.ready()

    async def close(self) -> None:
        """Close the model."""
        await self.model.close()

    async def _complete(self, query: Query, patience: float) -> Answer:
        tries = _Tries(patience)
        while True:
            probes = self._enter(tries)
            try:
                answer = await self.model.complete(query)
            except ModelFailed as error:
                wait = self._failed(error, probes, tries)
            except BaseException:
                self._left(probes)
                raise
            else:
                self._succeeded(probes)
                return answer
            await asyncio.sleep(wait)

    async def _relay(self, query: Query, show: Show, patience: float) -> Answer:
        tries = _Tries(patience)
        while True:
            first = _First(self, self._enter(tries), show)
            try:
                answer = await relay(self.model, query, first)
                if not first.begun and (wait := first.begin()) is not None:
                    await wait
                return answer
            except ModelFailed as error:
                pause = self._failed(error, first.probes, tries, begun=first.begun)
            except BaseException:
                self._left(first.probes)
                raise
            await asyncio.sleep(pause)

    def _enter(self, tries: _Tries) -> tuple[bool, bool]:
        try:
            of_provider = self.provider.enter()
            try:
                return of_provider, self.breaker.enter()
            except ModelFailed:
                self.provider.left(of_provider)
                raise
        except ModelFailed as resting:
            raise tries.last or resting from None

    def _succeeded(self, probes: tuple[bool, bool]) -> None:
        self.provider.succeeded(probes[0])
        self.breaker.succeeded(probes[1])

    def _left(self, probes: tuple[bool, bool]) -> None:
        self.provider.left(probes[0])
        self.breaker.left(probes[1])

    def _failed(self, error: ModelFailed, probes: tuple[bool, bool], tries: _Tries, *, begun: bool = False) -> float:
        """Note a failure, and how long to wait for the next try; where there is none, the error is raised."""
        if isinstance(error, Declined) or error.kind == "unsent":
            self._left(probes)
            raise error
        if error.upstream is not None and error.upstream < 500 and error.upstream not in _PASSING | ACCOUNT:
            self._succeeded(probes)  # which has read the request and found fault with it
            raise error
        self._count(error, probes)
        if error.upstream in ACCOUNT:
            self.refused += 1
            raise refused(self.card.name, error) from error
        wait = None if begun else self._wait(error, tries)
        if wait is None:
            raise error
        tries.made += 1
        tries.last = error
        self.retries += 1
        if (calling := CALLING.get()) is not None:
            calling.retries.append(Retry(time.time_ns(), error, wait))
        return wait

    def _count(self, error: ModelFailed, probes: tuple[bool, bool]) -> None:
        why = f"HTTP {error.upstream}" if error.upstream else _WHY.get(error.kind, "a failure")
        self.breaker.failed(probes[1], why, error)
        if error.kind == "connect" or error.upstream == 401:
            self.provider.failed(probes[0], why, surely=error.upstream == 401)
        else:
            # Which says nothing of the provider's other models.
            self.provider.left(probes[0])

    def _wait(self, error: ModelFailed, tries: _Tries) -> float | None:
        """Seconds until the next try, or None when there is none to be made."""
        known = self.settings
        passing = error.upstream is None or error.upstream in _PASSING or error.upstream >= 500
        again = error.kind in _BROKEN or (error.kind == "status" and passing)
        if not (again or (error.kind == "late" and known.retry_timeouts)) or tries.made >= known.retries:
            return None
        if self.breaker.state != CLOSED or self.provider.state != CLOSED:
            return None
        wait = random.random() * known.first_wait_seconds * 2**tries.made  # noqa: S311 - spreads load, hides nothing
        if error.retry_after is not None:
            if error.retry_after > tries.patience:
                return None
            wait += error.retry_after
        late = time.monotonic() - tries.began + wait > known.budget_seconds
        return None if late else wait


def refused(model: str, error: ModelFailed) -> ProviderRefused:
    """The error that a client is told when a provider refuses our key or account; the log has its words."""
    _log.error("ALERT: the provider of %s refuses the gateway's key or account: %s", model, error)
    return ProviderRefused(
        f"the provider of {model} refuses the gateway's own key or account (HTTP {error.upstream}), "
        "which is for the gateway's operator to mend; the gateway's log has the provider's words",
        upstream=error.upstream,
        kind="status",
    )


_WHY = {
    "connect": "no connection",
    "lost": "a lost connection",
    "garbage": "answers that were none",
    "late": "no answer in time",
}


@dataclass(frozen=True, slots=True)
class _Patient:
    """A reliable model that waits for as long as its budget allows."""

    of: Reliable

    @property
    def card(self) -> ModelCard:
        return self.of.card

    async def complete(self, query: Query) -> Answer:
        return await self.of._complete(query, self.of.settings.budget_seconds)

    def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        return drawn(self, query)

    async def relay(self, query: Query, show: Show) -> Answer:
        return await self.of._relay(query, show, self.of.settings.budget_seconds)

    async def ready(self) -> str | None:
        return await self.of.ready()

    async def close(self) -> None:
        await self.of.close()


def patient(models: Mapping[str, Model], last: str) -> Mapping[str, Model]:
    """The same models, of which the ``last`` to be asked waits for longer, since nobody stands behind it."""
    model = models[last]
    return ChainMap({last: model.patient}, models) if isinstance(model, Reliable) else models  # type: ignore[arg-type]


def states(models: Mapping[str, Model]) -> dict[str, str]:
    """By breaker, of a model or of a provider: "closed", "half-open" or "open"."""
    found = [model for model in models.values() if isinstance(model, Reliable)]
    return {breaker.name: breaker.state for model in found for breaker in (model.provider, model.breaker)}


def metric_lines(models: Mapping[str, Model]) -> Iterator[str]:
    """Breakers, retries and refused keys in Prometheus' text format."""
    found = {name: model for name, model in models.items() if isinstance(model, Reliable)}
    if not found:
        return
    yield "# HELP waypost_breaker_state Circuit breakers of models and providers: 0 closed, 1 half-open, 2 open."
    yield "# TYPE waypost_breaker_state gauge"
    for name, state in sorted(states(found).items()):
        yield f'waypost_breaker_state{{of="{name}"}} {0 if state == CLOSED else 1 if state == HALF_OPEN else 2}'
    yield "# HELP waypost_retries_total Tries of a model after the first."
    yield "# TYPE waypost_retries_total counter"
    yield from (f'waypost_retries_total{{model="{name}"}} {model.retries}' for name, model in found.items())
    yield "# HELP waypost_provider_auth_failures_total Refusals of the gateway's key or account."
    yield "# TYPE waypost_provider_auth_failures_total counter"
    yield from (
        f'waypost_provider_auth_failures_total{{model="{name}"}} {model.refused}' for name, model in found.items()
    )
