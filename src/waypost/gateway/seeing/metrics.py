"""Numbers about the gateway for Prometheus; recording one request takes a few microseconds."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from waypost.gateway.choice.learning import Learning
from waypost.gateway.remote import Remote
from waypost.gateway.seeing.exposition import LONG, SHORT, Family, Histogram, Labels, counter, gauge, page
from waypost.outcomes.drift import Drift
from waypost.store import Attempt
from waypost.store.limits import BudgetSpent, LimitReached, Shared
from waypost.types import Answer

_NOBODY = "-"
_KINDS = ("in", "out", "cached", "written", "reasoning")
_MEMORY = Path("/proc/self/statm")
_STARTED = time.time()


def _long() -> Histogram:
    return Histogram(LONG)


@dataclass(slots=True)
class Metrics:
    """What happened to requests since the start.  A label is a word of ours or of the config, never a client's.

    >>> metrics = Metrics()
    >>> metrics.record("chat", 200, "small", seconds=0.2)
    >>> [line for line in metrics.render().splitlines() if line.startswith("waypost_requests_total")]
    ['waypost_requests_total{api="chat",status="200",model="small"} 1']
    """

    in_flight: int = 0
    requests: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    seconds: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(_long))
    first: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(_long))
    overhead: Histogram = field(default_factory=lambda: Histogram(SHORT))
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    usd: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    tokens: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * len(_KINDS)))
    fallbacks: int = 0
    limited: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0

    def record(
        self,
        api: str,
        status: int,
        model: str | None,
        *,
        seconds: float,
        first: float | None = None,
        overhead: float | None = None,
        attempts: Sequence[Attempt] = (),
        answer: Answer | None = None,
        limit: str | None = None,
    ) -> None:
        """Note a request that has ended: ``first`` is when its first byte left, ``overhead`` what was not waiting.

        ``answer`` is what a model gave for it; one out of the cache cost no tokens, so it is not passed.
        ``limit`` is the kind of limit by which there is no answer.
        """
        self.requests[api, status, model or _NOBODY] += 1
        self.seconds[api].observe(seconds)
        if first is not None:
            self.first[api].observe(first)
        if overhead is not None:
            self.overhead.observe(overhead)
        for attempt in attempts:
            self.calls[attempt.model, attempt.outcome] += 1
            usd = attempt.usd
            if usd is not None:
                self.usd[attempt.model] += usd
            elif attempt.outcome == "ok":
                self.unpriced += 1
        if len(attempts) > 1 and attempts[0].model != attempts[-1].model:
            self.fallbacks += 1
        if limit is not None:
            self.limited[limit] += 1
        if answer is not None:
            spent = self.tokens[answer.model]
            spent[0] += answer.tokens_in
            spent[1] += answer.tokens_out
            if answer.tokens_cached or answer.tokens_written or answer.tokens_reasoning:
                spent[2] += answer.tokens_cached
                spent[3] += answer.tokens_written
                spent[4] += answer.tokens_reasoning

    def refused(self, api: str, status: int, limit: str | None = None) -> None:
        """Note a request that came to no decision; ``limit`` is the kind of limit that it had reached."""
        self.requests[api, status, _NOBODY] += 1
        if limit is not None:
            self.limited[limit] += 1

    def render(self, more: Iterable[Family] = ()) -> str:
        """The page at ``/metrics``: what is counted here, what others say of themselves, and the process."""
        return page((*self._families(), *more, *_process()))

    def _families(self) -> Iterator[Family]:
        yield Family(
            "waypost_requests_total",
            "counter",
            "Requests by API, status (499: the client left) and the model that served (-: none).",
            {
                (("api", api), ("status", str(status)), ("model", model)): count
                for (api, status, model), count in self.requests.items()
            },
        )
        yield gauge("waypost_requests_in_flight", "Requests under way.", self.in_flight, "sum")
        yield Family(
            "waypost_request_seconds",
            "histogram",
            "Seconds from the request read to the last byte of its answer.",
            _labelled("api", self.seconds),
        )
        yield Family(
            "waypost_first_byte_seconds",
            "histogram",
            "Seconds from the request read to the first byte of its answer.",
            _labelled("api", self.first),
        )
        yield Family(
            "waypost_overhead_seconds",
            "histogram",
            "Seconds of a request that were not spent waiting for models.",
            {(): self.overhead},
        )
        yield Family(
            "waypost_calls_total",
            "counter",
            "Calls to models by what came of them: ok, declined, failed, cut.",
            {(("model", model), ("outcome", outcome)): count for (model, outcome), count in self.calls.items()},
        )
        yield counter("waypost_fallbacks_total", "Requests that went on to another model.", self.fallbacks)
        yield Family(
            "waypost_tokens_total",
            "counter",
            "Tokens by model; cached and written are parts of in, reasoning of out.",
            {
                (("model", model), ("kind", kind)): count
                for model, counts in self.tokens.items()
                for kind, count in zip(_KINDS, counts, strict=True)
            },
        )
        yield Family("waypost_usd_total", "counter", "US dollars by model.", _labelled("model", self.usd))
        yield counter("waypost_unpriced_calls_total", "Answers whose cost nobody knows.", self.unpriced)
        yield Family(
            "waypost_limited_total", "counter", "Requests refused by the limit that they had reached.",
            _labelled("limit", self.limited),
        )  # fmt: skip


def limit_of(error: BaseException | None) -> str | None:
    """The kind of limit that an error is about: requests, tokens, parallel, budget, or model (one of the model's own).

    >>> limit_of(LimitReached("team:research", "may use less", 1.0, limit="tokens")), limit_of(None)
    ('tokens', None)
    """
    if isinstance(error, BudgetSpent):
        return "budget"
    if isinstance(error, LimitReached):
        return "model" if error.scope.startswith("model:") else error.limit
    return None


def log_families(dropped: int, waiting: int) -> Iterator[Family]:
    """How the log of decisions is doing."""
    yield counter("waypost_log_rows_dropped_total", "Rows that the store could not take.", dropped)
    yield gauge("waypost_log_queue_length", "Rows that wait to be written.", waiting, "sum")


def limits_families(shared: Shared) -> Iterator[Family]:
    """How the Redis is doing on which limits are shared."""
    says = "Whether Redis answers, and limits are kept together; of several workers, whether it answers all."
    yield gauge("waypost_redis_up", says, int(shared.up), "least")
    says = "Ends of requests and calls that Redis was not told yet."
    yield gauge("waypost_redis_untold", says, shared.untold, "sum")


def trace_families(sent: int, lost: int) -> Iterator[Family]:
    """How spans are doing."""
    yield counter("waypost_spans_sent_total", "Spans that the collector has taken.", sent)
    yield counter("waypost_spans_lost_total", "Spans that it has not taken, or that were too many to wait.", lost)


def cache_families(looks: Counter[str]) -> Iterator[Family]:
    """How looks into the cache ended."""
    says = "Looks into the cache: exact and semantic hits, misses, and passed (the request was not to be answered so)."
    yield Family("waypost_cache_total", "counter", says, _labelled("result", looks))


def remote_families(remotes: Sequence[Remote]) -> Iterator[Family]:
    """How each Redis is doing in which answers are kept, or conversations remembered."""
    if remotes:
        says = "Whether the Redis of a section of the config answers; of several workers, whether it answers all."
        samples = _labelled("section", {remote.section: int(remote.available) for remote in remotes})
        yield Family("waypost_remote_up", "gauge", says, samples, "least")


def drift_families(drift: Drift) -> Iterator[Family]:
    """How far the latest traffic is from the calibration."""
    drifted = drift.verdict == "drifted"
    yield gauge("waypost_drifted", "Whether the latest traffic has drifted from the calibration.", int(drifted), "most")
    says = "Population stability index of the latest traffic, by feature; 0.1 is a shift."
    yield Family("waypost_drift_psi", "gauge", says, {(("feature", s.feature),): round(s.psi, 4) for s in drift.shifts})


def learning_families(learning: Learning) -> Iterator[Family]:
    """What a router that learns has learnt."""
    says = "Feedback that the router has learnt from since the start."
    yield counter("waypost_outcomes_learned_total", says, learning.learnt)
    yield gauge("waypost_decisions_pending", "Decisions that wait for feedback.", len(learning.pending), "sum")


def _labelled(name: str, values: Mapping[str, float | Histogram]) -> Mapping[Labels, float | Histogram]:
    return {((name, word),): value for word, value in values.items()}


def _process() -> Iterator[Family]:
    """What Prometheus' own clients say of their process, under the same names."""
    if _MEMORY.exists():
        resident = int(_MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        yield gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident, "sum")
    yield counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", time.process_time())
    says = "Start time of the process since unix epoch in seconds."
    yield gauge("process_start_time_seconds", says, _STARTED, "most")
