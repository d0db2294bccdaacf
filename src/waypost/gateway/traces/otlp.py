"""Spans in the bytes of OpenTelemetry's protocol, version 1; the numbers are those of its fields.

By hand, since messages made of objects take several times as long, and it is the requests' processor that they take.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from waypost import __version__
from waypost.gateway.traces.span import Attributes, Event, Span, Value

# The conventions by which the spans are written.
_SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
_SERVER, _CLIENT = 2, 3
_ERROR = 2
_SAMPLED = 0x001
_REMOTE = 0x100 | 0x200  # that it is known whether the parent is somewhere else, and that it is
_LOCAL = 0x100
_TOO_LARGE = 1 << 63
_LONG = 100
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # how a field is written


def encoded(spans: Sequence[Span], service: str) -> bytes:
    """The message that delivers spans of a service."""
    resource: Attributes = {
        "service.name": service,
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "waypost",
        "telemetry.sdk.version": __version__,
    }
    scope = _text(1, "waypost.gateway") + _text(2, __version__)
    scoped = [_part(1, scope), *(_part(2, _span(span)) for span in spans), _text(3, _SCHEMA)]
    parts = [_part(1, b"".join(_pairs(1, resource))), _part(2, b"".join(scoped)), _text(3, _SCHEMA)]
    return _part(1, b"".join(parts))


def _span(span: Span) -> bytes:
    return b"".join(
        (
            _part(1, bytes.fromhex(span.trace_id)),
            _part(2, bytes.fromhex(span.span_id)),
            _text(3, span.state),
            _part(4, bytes.fromhex(span.parent_id)),
            _text(5, span.name),
            _number(6, _SERVER if span.serves else _CLIENT),
            _time(7, span.start),
            _time(8, max(span.start, span.end)),
            *_pairs(9, span.common),
            *_pairs(9, span.attributes),
            *(_part(11, _event(event)) for event in span.events),
            _part(15, _number(3, _ERROR)) if span.failed else b"",
            _tag(16, _FIXED32) + struct.pack("<I", _SAMPLED | (_REMOTE if span.remote else _LOCAL)),
        )
    )


def _event(event: Event) -> bytes:
    return _time(1, event.at) + _text(2, event.name) + b"".join(_pairs(3, event.attributes))


def _pairs(field: int, attributes: Attributes) -> Iterable[bytes]:
    for name, value in attributes.items():
        if value is not None:
            long = isinstance(value, str) and len(value) > _LONG
            yield _pair.__wrapped__(field, name, value) if long else _pair(field, name, value)


# Most values come again and again; typed, since 1 and True are equal.
@lru_cache(4096, typed=True)
def _pair(field: int, name: str, value: Value) -> bytes:
    return _part(field, _text(1, name) + _part(2, _value(value)))


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return _number(2, int(value))
    if isinstance(value, int) and abs(value) < _TOO_LARGE:
        return _number(3, value)
    if isinstance(value, float):
        return _tag(4, _FIXED64) + struct.pack("<d", value)
    if isinstance(value, tuple):
        return _part(5, b"".join(_part(1, _value(one)) for one in value))
    # What came from elsewhere may be a number that no integer there can hold.
    return _text(1, str(value))


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode(errors="replace"))  # it may hold half a character


def _part(field: int, body: bytes) -> bytes:
    return _tag(field, _BYTES) + _varint(len(body)) + body


def _number(field: int, number: int) -> bytes:
    return _tag(field, _VARINT) + _varint(number % (1 << 64))


def _time(field: int, nanoseconds: int) -> bytes:
    return _tag(field, _FIXED64) + struct.pack("<Q", nanoseconds)


@lru_cache(256)
def _tag(field: int, written: int) -> bytes:
    return _varint(field << 3 | written)


@lru_cache(4096)
def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth set."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
