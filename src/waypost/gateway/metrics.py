"""A few numbers about the gateway, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from waypost.gateway.learning import Learning
from waypost.outcomes.drift import Drift


@dataclass(slots=True)
class Metrics:
    """Chat requests by status and by the model that served them ("-" where none did), and those under way.

    >>> metrics = Metrics()
    >>> metrics.count(200, "small")
    >>> metrics.render(dropped=0, waiting=3).splitlines()[2]
    'waypost_requests_total{status="200",model="small"} 1'
    """

    in_flight: int = 0
    requests: Counter[tuple[int, str]] = field(default_factory=Counter)

    def count(self, status: int, model: str | None) -> None:
        """Count one request that has ended."""
        self.requests[status, model or "-"] += 1

    def render(
        self, *, dropped: int, waiting: int, drift: Drift | None = None, learning: Learning | None = None
    ) -> str:
        """The page at ``/metrics``."""
        lines = (*self._lines(dropped, waiting), *_drift_lines(drift), *_learning_lines(learning))
        return "".join(f"{line}\n" for line in lines)

    def _lines(self, dropped: int, waiting: int) -> Iterator[str]:
        yield "# HELP waypost_requests_total Chat requests by status (499: the client left) and serving model."
        yield "# TYPE waypost_requests_total counter"
        for (status, model), count in sorted(self.requests.items()):
            yield f'waypost_requests_total{{status="{status}",model="{model}"}} {count}'
        yield "# HELP waypost_requests_in_flight Chat requests under way."
        yield "# TYPE waypost_requests_in_flight gauge"
        yield f"waypost_requests_in_flight {self.in_flight}"
        yield "# HELP waypost_log_rows_dropped_total Rows that the store could not take."
        yield "# TYPE waypost_log_rows_dropped_total counter"
        yield f"waypost_log_rows_dropped_total {dropped}"
        yield "# HELP waypost_log_queue_length Rows that wait to be written."
        yield "# TYPE waypost_log_queue_length gauge"
        yield f"waypost_log_queue_length {waiting}"


def _drift_lines(drift: Drift | None) -> Iterator[str]:
    if drift is None:
        return
    yield "# HELP waypost_drifted Whether the latest traffic has drifted from the calibration."
    yield "# TYPE waypost_drifted gauge"
    yield f"waypost_drifted {int(drift.verdict == 'drifted')}"
    yield "# HELP waypost_drift_psi Population stability index of the latest traffic, by feature; 0.1 is a shift."
    yield "# TYPE waypost_drift_psi gauge"
    for shift in sorted(drift.shifts, key=lambda shift: shift.feature):
        yield f'waypost_drift_psi{{feature="{shift.feature}"}} {shift.psi:.4f}'


def _learning_lines(learning: Learning | None) -> Iterator[str]:
    if learning is None:
        return
    yield "# HELP waypost_outcomes_learned_total Feedback that the router has learnt from since the start."
    yield "# TYPE waypost_outcomes_learned_total counter"
    yield f"waypost_outcomes_learned_total {learning.learnt}"
    yield "# HELP waypost_decisions_pending Decisions that wait for feedback."
    yield "# TYPE waypost_decisions_pending gauge"
    yield f"waypost_decisions_pending {len(learning.pending)}"
