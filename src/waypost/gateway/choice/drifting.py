"""Watches whether live traffic still looks like what its trade-off was calibrated on."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from waypost.objective import Objective
from waypost.outcomes.drift import LEAST, Drift, Reference, Traffic, drifted
from waypost.types import Decision

Row = tuple[str, Mapping[str, float], int, int]

_log = logging.getLogger(__name__)

_WINDOW = 1000  # the latest prompts, of which each look takes all
_EVERY = 100  # prompts between two looks
# It looks again and again, so that each look must be surer than a single one: a thousand looks raise one false alarm.
_LEVEL = 0.001


@dataclass(slots=True)
class Drifting:
    """Keeps the latest 1,000 decisions of a calibrated trade-off, and looks at them after every 100.

    A decision costs a hash of the prompt, by which copies are told, and one append; the look is made in a thread.
    """

    reference: Reference
    objective: Objective
    _watch: _Watch = field(default_factory=lambda: _Watch())

    @property
    def seen(self) -> int:
        """How many decisions the next look takes."""
        return len(self._watch.recent)

    @property
    def latest(self) -> Drift | None:
        """What the last look found."""
        return self._watch.latest

    def of(self, objective: Objective) -> Self:
        """The same watch, for decisions by an equal objective of another reading of the config."""
        return replace(self, objective=objective)

    def put(self, decision: Decision, objective: Objective | None, prompt: str) -> None:
        """Count a decision if it was made by the calibrated trade-off and no other; the text is not kept."""
        if objective is not self.objective:
            return
        watch = self._watch
        watch.recent.append((decision.model, decision.quality, len(prompt), hash(prompt)))
        watch.since += 1
        looking = watch.look is not None and not watch.look.done()
        if watch.since >= _EVERY and len(watch.recent) >= LEAST and not looking:
            watch.since = 0
            rows = list(watch.recent)
            watch.look = asyncio.get_running_loop().run_in_executor(None, _looked, self.reference, rows)
            watch.look.add_done_callback(watch.told)


@dataclass(slots=True)
class _Watch:
    """What was seen, which readings of the config share: a look that is under way is told in the newest one too."""

    latest: Drift | None = None
    recent: deque[Row] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    since: int = 0
    look: asyncio.Future[Drift] | None = None

    def told(self, look: asyncio.Future[Drift]) -> None:
        """A look has ended."""
        if look.cancelled():
            return
        if (error := look.exception()) is not None:
            _log.error("drift could not be told", exc_info=error)
            return
        before, self.latest = self.latest, look.result()
        was, is_ = (each is not None and each.verdict == "drifted" for each in (before, self.latest))
        if is_ and not was:
            _log.warning(
                "traffic has %s: what the calibration promises may no longer hold; collect outcomes of such prompts "
                "and calibrate again",
                self.latest,
            )
        elif was and not is_:
            _log.info("traffic looks again like what was calibrated on: %s", self.latest)


def _looked(reference: Reference, rows: list[Row]) -> Drift:
    choices, qualities, lengths, same = zip(*rows, strict=True)
    models = sorted({model for quality in qualities for model in quality})
    quality_NM = np.array([[quality.get(model, np.nan) for model in models] for quality in qualities])
    return drifted(reference, Traffic.of(choices, quality_NM, lengths, same), _LEVEL)
