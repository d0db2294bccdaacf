"""From requests to spans: which requests are traced, and what is handed on when they have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypost.gateway.exchange import Exchange
from waypost.gateway.traces.context import context_of
from waypost.gateway.traces.sender import Sender
from waypost.gateway.traces.spans import Place, refused, spans_of
from waypost.gateway.traces.trace import Trace, new_id
from waypost.gateway.wire import Headers
from waypost.store import Decided

_HALF = 1 << 64


@dataclass(frozen=True, slots=True)
class Tracer:
    """Traces requests: those whose client does, and of the others a share of ``sample``.

    ``places`` say where the models are; with ``keep_text`` spans hold prompts and answers.
    """

    sender: Sender
    sample: float
    places: Mapping[str, Place]
    keep_text: bool = False

    def begin(self, headers: Headers) -> Trace:
        """The trace of a request that begins now."""
        parent = context_of(headers)
        if parent is not None:
            return Trace(parent.trace_id, new_id(8), parent.sampled, parent)
        trace_id = new_id(16)
        # By the id, and not by a dice: whoever sees it can tell, and draws the same.
        return Trace(trace_id, new_id(8), int(trace_id[16:], 16) < self.sample * _HALF)

    def refused(self, trace: Trace, path: str, status: int, code: str) -> None:
        """A request has come to no decision."""
        if trace.kept:
            self.sender.put(refused(trace, path, status, code))

    def ended(self, trace: Trace, exchange: Exchange, row: Decided) -> None:
        """A request has ended."""
        if trace.kept:
            for span in spans_of(trace, exchange, row, self.places, keep_text=self.keep_text):
                self.sender.put(span)
