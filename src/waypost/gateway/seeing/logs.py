"""Log lines: one for each thing that happened, for people or as JSON; a prompt or a key is in none of them."""

from __future__ import annotations

import logging
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

import orjson

from waypost.errors import WaypostError
from waypost.gateway.sections.logs import LogSettings
from waypost.store import Decided

_requests = logging.getLogger("waypost.requests")

_FRAMES = 5  # of a traceback, the innermost


def configure(settings: LogSettings, out: TextIO | None = None) -> None:
    """Let every logger of this process write its lines to ``out``, by default stderr."""
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # What the server says of itself `waypost serve` says better, and of a new store's tables there is nothing to say.
    for name in ("uvicorn", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


class TextLines(logging.Formatter):
    """A line for people: time, level, logger, message, and what went wrong, whatever line ends are in it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        parts = [_time(record), f"{record.levelname:<7}", record.name, record.getMessage()]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append("| " + _problem(record.exc_info[1]))
        return " ".join(" ".join(parts).splitlines())


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields of a request, and what went wrong."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _problem(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


@dataclass(frozen=True, slots=True)
class RequestLines:
    """A line for each request that has ended, or for those alone that failed."""

    only_errors: bool

    def ended(self, row: Decided, failure: WaypostError | None = None) -> None:
        """A request that was decided, and what the client was told in place of an answer."""
        if self.only_errors and row.status < 400:
            return
        fields = {
            "decision": row.id,
            "api": row.api,
            "status": row.status,
            "model": row.served,
            "ms": round(row.seconds * 1000, 1),
            "key": row.key,
            "usd": row.usd,
            "cache": row.cache,
            "code": failure.code if failure is not None else None,
            "attempts": ",".join(f"{attempt.model}={attempt.outcome}" for attempt in row.attempts),
        }
        self._say({name: value for name, value in fields.items() if value not in (None, "")})

    def refused(self, api: str, status: int, code: str) -> None:
        """A request that came to no decision."""
        self._say({"api": api, "status": status, "code": code})

    def _say(self, fields: dict[str, object]) -> None:
        message = "request " + " ".join(f"{name}={value}" for name, value in fields.items())
        _requests.info(message, extra={"fields": fields})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _problem(error: BaseException) -> str:
    """An error and where it was raised, without the values of any variable."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__}: {error} at {places}"
