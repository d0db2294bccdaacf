"""A circuit breaker: what failed too often is left alone for a while, so that nobody waits for it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from waypost.errors import ModelFailed
from waypost.gateway.sections.reliability import BreakerSettings

_log = logging.getLogger(__name__)

CLOSED, HALF_OPEN, OPEN = "closed", "half-open", "open"


class Breaker:
    """Closed while calls succeed; open after failures; then half-open, where one call probes and the others wait.

    >>> now = 0.0
    >>> breaker = Breaker("large", BreakerSettings(failures=2, rest_seconds=10), clock=lambda: now)
    >>> for _ in range(2):
    ...     breaker.failed(breaker.enter(), "HTTP 500")
    >>> breaker.state
    'open'
    >>> breaker.enter()
    Traceback (most recent call last):
        ...
    waypost.errors.ModelFailed: large is resting after HTTP 500; next try in 10 s
    >>> now = 10.0
    >>> breaker.succeeded(breaker.enter())
    >>> breaker.state
    'closed'
    """

    def __init__(self, name: str, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.opened = 0  # how often
        self._settings = settings
        self._clock = clock
        # Two halves of the window: the one that fills, and the one before it.
        self._half = settings.window_seconds / 2
        self._turn = clock() + self._half
        self._good, self._bad = [0, 0], [0, 0]
        self._until: float | None = None  # when an open one may be probed; None: it is closed
        self._rest = settings.rest_seconds
        self._probing = False
        self._why = ""
        self._upstream: int | None = None

    @property
    def state(self) -> str:
        """One of "closed", "open" and "half-open"."""
        if self._until is None:
            return CLOSED
        return HALF_OPEN if self._probing or self._clock() >= self._until else OPEN

    def problem(self) -> str | None:
        """Why no call can be made now, in a sentence, or None."""
        if self._until is None or self.state == HALF_OPEN:
            return None
        return str(self._resting())

    def enter(self) -> bool:
        """Before a call: whether it is the probe; its end must be told by `succeeded`, `failed` or `left`.

        Raises:
            ModelFailed: the breaker is open; ``retry_after`` says for how long.
        """
        if self._until is None:
            return False
        if self._probing or self._clock() < self._until:
            raise self._resting()
        self._probing = True
        return True

    def succeeded(self, probe: bool) -> None:
        """A call gave an answer; that of the probe closes the breaker."""
        if probe:
            self._close()
        elif self._until is None:
            self._turned()
            self._good[0] += 1

    def failed(self, probe: bool, why: str, error: ModelFailed | None = None, *, surely: bool = False) -> None:
        """A call failed, by no fault of the client; its ``error`` may say when the provider wants the next.

        If the next call will ``surely`` fail too, there is nothing to count.
        """
        if probe:
            self._probing = False
            self._rest = min(self._rest * 2, self._settings.longest_rest_seconds)
            self._open(why, error)
        elif self._until is None:
            self._turned()
            self._bad[0] += 1
            bad = sum(self._bad)
            often = bad >= self._settings.failures and bad >= self._settings.share * (bad + sum(self._good))
            if often or surely:
                self._open(why, error)

    def left(self, probe: bool) -> None:
        """A call ended and says nothing of the model, as when the client left; another may probe."""
        if probe:
            self._probing = False

    def _open(self, why: str, error: ModelFailed | None) -> None:
        asked = error.retry_after if error is not None else None
        rest = min(max(self._rest, asked or 0.0), self._settings.longest_rest_seconds)
        if self._until is None:  # and not the probe has failed, of which there may be many
            _log.warning("%s rests for %.3g s after %s", self.name, rest, why)
        self._until, self._why = self._clock() + rest, why
        # Who is told to come later by a provider is told so by its breaker too, and not that something broke.
        self._upstream = 429 if error is not None and error.upstream == 429 else None
        self.opened += 1

    def _close(self) -> None:
        _log.warning("%s answers again", self.name)
        self._until, self._probing, self._rest = None, False, self._settings.rest_seconds
        self._good, self._bad = [0, 0], [0, 0]

    def _turned(self) -> None:
        """Forget what is older than the window."""
        now = self._clock()
        if now < self._turn:
            return
        lately = now < self._turn + self._half
        self._good = [0, self._good[0] if lately else 0]
        self._bad = [0, self._bad[0] if lately else 0]
        self._turn = now + self._half

    def _resting(self) -> ModelFailed:
        # Until the probe has ended nobody knows, but soon somebody will.
        wait = 1.0 if self._until is None or self._probing else max(self._until - self._clock(), 0.1)
        problem = f"{self.name} is resting after {self._why}; next try in {math.ceil(wait)} s"
        return ModelFailed(problem, upstream=self._upstream, retry_after=wait, kind="rest")
