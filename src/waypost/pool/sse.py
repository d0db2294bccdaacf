"""Server-sent events out of bytes that may be cut anywhere.

Reference: the "event stream" section of the HTML living standard.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from waypost.errors import ModelFailed

_LINE_END = re.compile(rb"\r\n|\n|\r")
# Atomic, lest the two bytes of one line end pass for two line ends.
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_BOM = b"\xef\xbb\xbf"
_LIMIT = 16 << 20  # bytes of one event: more is not a chat


class Event(NamedTuple):
    """One event; ``data`` holds its data lines joined by newlines.

    ``raw`` are its own bytes to the last, with what came before it and means nothing, such as comments.
    """

    name: str
    data: bytes
    raw: bytes


class EventParser:
    r"""Give it bytes as they arrive; it gives each event as soon as its last byte is there.

    >>> parser = EventParser()
    >>> [(event.data.decode(), event.raw) for event in parser.feed(b": hello\ndata: caf\xc3\xa9\ndata: 2\n\ndata: ")]
    [('café\n2', b': hello\ndata: caf\xc3\xa9\ndata: 2\n\n')]
    """

    def __init__(self) -> None:
        self._rest = b""
        self._unsaid = b""  # whole lines that made no event
        self._started = False
        self._ended = False
        self._between = False  # whether the last event ended with the last byte

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete.

        Raises:
            ModelFailed: one event grows beyond 16 MB.
        """
        # Nearly every read is one event of one line of data.
        plain = self._between and chunk.startswith(b"data: ") and b"\r" not in chunk
        if plain and chunk.find(b"\n") == len(chunk) - 2 and chunk.endswith(b"\n"):
            return [Event("message", chunk[6:-2], chunk)]
        # What was looked through once holds no end, unless it is cut in two there.
        begin, seen = 0, max(0, len(self._rest) - 3)
        self._rest += chunk
        if not self._started and not self._begin():
            return []
        found: list[Event] = []
        while end := _EVENT_END.search(self._rest, seen):
            # A carriage return at the end may be the first half of a line end.
            if end.end() == len(self._rest) and self._rest.endswith(b"\r") and not self._ended:
                break
            block = self._rest[begin : end.start()]
            raw = self._unsaid + self._rest[begin : end.end()]
            begin = seen = end.end()
            event = _event(block, raw)
            self._unsaid = b"" if event else raw
            if event:
                found.append(event)
        self._rest = self._rest[begin:]
        self._between = not self._rest and not self._unsaid
        if len(self._rest) + len(self._unsaid) > _LIMIT:
            raise ModelFailed("the model's server sent one event of more than 16 MB")
        return found

    def end(self) -> list[Event]:
        r"""The event that ends with the stream itself: now a carriage return is no half of a line end.

        >>> parser = EventParser()
        >>> list(parser.feed(b"data: 1\r\r")), [event.data for event in parser.end()]
        ([], [b'1'])
        """
        self._ended = True
        return self.feed(b"")

    def _begin(self) -> bool:
        """Drop a byte order mark; False while it cannot be told whether there is one."""
        if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
            return False
        self._rest = self._rest.removeprefix(_BOM)
        self._started = True
        return True


def _event(block: bytes, raw: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return Event("message", block[6:], raw)
    name, data = "", []
    for line in _LINE_END.split(block):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        # Comments, ids and retry times mean nothing here.
    return Event(name or "message", b"\n".join(data), raw) if data else None
