from __future__ import annotations

import pytest

from waypost.gateway.traces.context import context_of, header_lines

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def of(parent: str, *states: str):
    return context_of([(b"traceparent", parent.encode()), *((b"tracestate", state.encode()) for state in states)])


def test_the_parent_is_read():
    assert of(f"00-{TRACE}-{SPAN}-01", "vendor=a:b, other@vendor=x") == (
        TRACE,
        SPAN,
        True,
        "vendor=a:b,other@vendor=x",
    )
    assert of(f"00-{TRACE}-{SPAN}-00") == (TRACE, SPAN, False, "")
    assert of(f"00-{TRACE}-{SPAN}-03").sampled and not of(f"00-{TRACE}-{SPAN}-02").sampled


def test_a_later_version_may_say_more():
    assert of(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like").sampled
    assert of(f"cc-{TRACE}-{SPAN}-01").trace_id == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-01\r\nx-evil: 1",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_not_of_the_form_is_no_parent(parent):
    assert of(parent) is None


def test_two_parents_are_none():
    one = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
    assert context_of([one, one]) is None
    assert context_of([]) is None


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        (("a=1", "b=2"), "a=1,b=2"),
        (("a=1,,b=2 ",), "a=1,b=2"),
        (("A=1",), ""),
        (("a=1,a=2",), ""),
        (("a",), ""),
        (("a=",), ""),
        (("a=1\r\nx: y",), ""),
        (("a=x=y",), ""),
        ((",".join(f"k{i}=1" for i in range(33)),), ""),
        (("a=" + "x" * 256, "b=" + "x" * 256), ""),
    ],
)
def test_the_state_is_passed_on_whole_or_not_at_all(states, kept):
    context = of(f"00-{TRACE}-{SPAN}-01", *states)
    assert context.state == kept
    lines = header_lines(TRACE, SPAN, sampled=False, state=kept)
    assert lines.count(b"\r\n") == (2 if kept else 1) and lines.endswith(b"\r\n")
