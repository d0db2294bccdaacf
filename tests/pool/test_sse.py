"""Server-sent events are the same wherever the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import ModelFailed
from waypost.pool.sse import Event, EventParser

STREAM = (
    "\ufeff: a comment\r\n"
    "event: first\r\ndata: naïve café 你好 🎈\r\ndata:second line\r\ndata\r\n\r\n"
    "id: 7\rretry: 10\rdata: three\r\r"
    "\n\n"
    "event: lonely\n\n"
    'data: {"a": "b: c"}\n\n'
    "data: never finished"
).encode()
EVENTS = [
    ("first", "naïve café 你好 🎈\nsecond line\n".encode()),
    ("message", b"three"),
    ("message", b'{"a": "b: c"}'),
]


def read(pieces) -> list[Event]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_cuts_change_nothing(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    events = read(STREAM[a:b] for a, b in pairwise(edges))
    assert [(event.name, event.data) for event in events] == EVENTS
    # Nothing is added, lost or moved, but for a line that was never finished and the mark of the byte order.
    sent = b"".join(event.raw for event in events)
    assert STREAM.removeprefix("\ufeff".encode()).startswith(sent)
    assert b"lonely" in events[-1].raw and events[-1].raw.endswith(b'{"a": "b: c"}\n\n')


def test_byte_by_byte():
    assert [(event.name, event.data) for event in read(bytes([byte]) for byte in STREAM)] == EVENTS


def test_an_event_is_given_with_its_last_byte_and_not_later():
    parser = EventParser()
    assert list(parser.feed(b"data: a\n")) == []
    assert list(parser.feed(b"\n")) == [Event("message", b"a", b"data: a\n\n")]


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_read_without_an_error(pieces):
    parser = EventParser()
    for piece in pieces:
        list(parser.feed(piece))


def test_an_endless_event_is_refused():
    parser = EventParser()
    with pytest.raises(ModelFailed, match="more than 16 MB"):
        for _ in range(20):
            list(parser.feed(b"data: " + b"x" * (1 << 20) + b"\n"))
