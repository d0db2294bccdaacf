"""A thread that delivers spans to a collector; whoever has a span leaves it here and goes on."""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from waypost.gateway.sections.traces import TraceSettings
from waypost.gateway.traces.otlp import encoded
from waypost.gateway.traces.span import Span

_log = logging.getLogger(__name__)

_MOST_WAITING = 8192
_BATCH = 512
_EACH_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_LAST_SECONDS = 3.0  # for what waits at the end
_TRIES = 3
_LINE_SECONDS = 60.0
_AGAIN = frozenset({429, 502, 503, 504})  # as OTLP has it


class Sender:
    """Keeps the latest 8192 spans that wait and sends them each second; what a dead collector costs is spans."""

    def __init__(self, settings: TraceSettings) -> None:
        self._settings = settings
        self._waiting: deque[Span] = deque(maxlen=_MOST_WAITING)
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ends_at: float | None = None
        self._line_at = -_LINE_SECONDS
        self.sent = 0
        self.lost = 0

    def open(self) -> None:
        """Begin to send."""
        if self._thread is None:
            # A daemon: a collector that does not answer must not keep the process from its end.
            self._thread = threading.Thread(target=self._run, name="waypost-traces", daemon=True)
            self._thread.start()

    def put(self, span: Span) -> None:
        """Leave a span; where too many wait the oldest is lost."""
        waiting = self._waiting
        if len(waiting) == _MOST_WAITING:
            self.lost += 1
        waiting.append(span)
        if len(waiting) == _BATCH:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, for three seconds at most."""
        self._ends_at = time.monotonic() + _LAST_SECONDS
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_LAST_SECONDS + 0.5)

    def _run(self) -> None:
        while self._ends_at is None:
            self._wake.wait(_EACH_SECONDS)
            self._wake.clear()
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self._waiting:
            if self._left() <= 0:
                self.lost += len(self._waiting)
                return
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                problem = self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - the outer edge of a thread; its words may quote a header
                problem = type(error).__name__
            if problem is None:
                self.sent += len(batch)
            else:
                self.lost += len(batch)
                self._tell(problem)

    def _deliver(self, batch: Sequence[Span]) -> str | None:
        """Send a batch, three times if that may help; returns why it was not taken."""
        body = encoded(batch, self._settings.service)
        problem = None
        for number in range(_TRIES):
            if number and (self._left() <= 0 or (self._ends_at is None and self._pause(number))):
                break
            try:
                status = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                problem = type(error).__name__
                continue
            if 200 <= status < 300:
                return None
            problem = f"HTTP {status}"
            if status not in _AGAIN:
                break
        return problem

    def _pause(self, seconds: float) -> bool:
        """Wait before another try; returns whether the end has come meanwhile."""
        until = time.monotonic() + seconds
        while self._ends_at is None and (left := until - time.monotonic()) > 0:
            self._wake.wait(left)
            if self._ends_at is None:
                self._wake.clear()
        return self._left() <= 0

    def _left(self) -> float:
        """Seconds that an answer may take."""
        return _ANSWER_SECONDS if self._ends_at is None else min(_ANSWER_SECONDS, self._ends_at - time.monotonic())

    def _post(self, body: bytes) -> int:
        parts = urlsplit(self._settings.endpoint)
        host, wait = parts.hostname or "", max(0.05, self._left())
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=wait, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=wait)
        headers = {name: value.reveal() for name, value in self._settings.headers.items()}
        try:
            connection.request(
                "POST",
                parts.path.rstrip("/").removesuffix("/v1/traces") + "/v1/traces",
                body,
                {**headers, "content-type": "application/x-protobuf", "user-agent": "waypost"},
            )
            answer = connection.getresponse()
            answer.read(65536)
            return answer.status
        finally:
            connection.close()

    def _tell(self, problem: str) -> None:
        now = time.monotonic()
        if now - self._line_at >= _LINE_SECONDS:
            self._line_at = now
            _log.error(
                "spans do not reach the collector (%s); %d are lost so far, and requests go on", problem, self.lost
            )
