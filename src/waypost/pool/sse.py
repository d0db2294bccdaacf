"""Server-sent events out of bytes that may be cut anywhere.

Reference: the "event stream" section of the HTML living standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from waypost.errors import ModelFailed

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_LIMIT = 16 << 20  # bytes of one event: more is not a chat


class Event(NamedTuple):
    """One event; ``data`` holds its data lines joined by newlines."""

    name: str
    data: str


class EventParser:
    r"""Give it bytes as they arrive; it yields each event as soon as its last byte is there.

    >>> parser = EventParser()
    >>> pieces = b": hello\r\ndata: caf\xc3", b"\xa9\r\ndata: 2\r\n\r", b"\n"
    >>> [list(parser.feed(piece)) for piece in pieces]
    [[], [], [Event(name='message', data='café\n2')]]
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that these bytes complete.

        Raises:
            ModelFailed: one event grows beyond 16 MB.
        """
        if not self._started and len(self._rest) + len(chunk) >= len(_BOM):
            chunk, self._rest, self._started = (self._rest + chunk).removeprefix(_BOM), b"", True
        self._rest += chunk
        # A carriage return at the end may be the first half of a line end.
        whole = len(self._rest) - self._rest.endswith(b"\r")
        *lines, rest = _LINE_END.split(self._rest[:whole])
        self._rest = rest + self._rest[whole:]
        if len(self._rest) + sum(map(len, self._data)) > _LIMIT:
            raise ModelFailed("the model's server sent one event of more than 16 MB")
        for line in lines:
            if event := self._line(line.decode("utf-8", "replace")):
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None  # comments, ids and retry times mean nothing here
