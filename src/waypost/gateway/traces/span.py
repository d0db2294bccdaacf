"""A span that has ended, as it waits to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Value = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, Value | None]


class Event(NamedTuple):
    """Something that happened within a span, at a time in Unix nanoseconds."""

    name: str
    at: int
    attributes: Attributes


class Span(NamedTuple):
    """One span; ids are in hex, times in Unix nanoseconds.  An attribute that is None is not known, and left out.

    ``serves`` tells the span of a request from that of a call, ``remote`` a parent of the client's from one of ours;
    ``common`` are attributes that it shares with other spans.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    serves: bool
    remote: bool
    start: int
    end: int
    failed: bool
    common: Attributes
    attributes: Attributes
    events: tuple[Event, ...] = ()
