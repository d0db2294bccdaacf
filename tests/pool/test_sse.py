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
    Event("first", "naïve café 你好 🎈\nsecond line\n"),
    Event("message", "three"),
    Event("message", '{"a": "b: c"}'),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_cuts_change_nothing(cuts):
    parser = EventParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = (STREAM[a:b] for a, b in pairwise(edges))
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


def test_byte_by_byte():
    parser = EventParser()
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EVENTS


def test_an_event_is_given_with_its_last_byte_and_not_later():
    parser = EventParser()
    assert list(parser.feed(b"data: a\n")) == []
    assert list(parser.feed(b"\n")) == [Event("message", "a")]


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
