"""Which trace a request belongs to, as W3C Trace Context has it: the headers ``traceparent`` and ``tracestate``."""

from __future__ import annotations

import re
from typing import NamedTuple

from waypost.gateway.wire import Headers

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_KEY = rb"[a-z0-9][a-z0-9_*/@-]{0,255}"
_MEMBER = re.compile(
    rb"[ \t]*(" + _KEY + rb")=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])[ \t]*"
)
_MOST_MEMBERS = 32
_MOST_STATE = 512
_SAMPLED = 1


class Context(NamedTuple):
    """A span of somebody else's: the trace, itself, whether the trace is kept, and what others say of it."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""


def context_of(headers: Headers) -> Context | None:
    """The client's span; None where it names none, or not in the form that the standard asks for.

    >>> context_of([(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]).sampled
    True
    >>> context_of([(b"traceparent", b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01")]) is None
    True
    """
    parents = [value for name, value in headers if name == b"traceparent"]
    if len(parents) != 1:
        return None
    found = _PARENT.fullmatch(parents[0])
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # Version ff is none, and only a later version than ours may say more.
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    state = _state([value for name, value in headers if name == b"tracestate"])
    return Context(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED), state)


def header_lines(trace_id: str, span_id: str, *, sampled: bool, state: str = "") -> bytes:
    r"""The lines that pass a span on in the head of a request.

    >>> header_lines("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    b'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n'
    """
    told = f"tracestate: {state}\r\n" if state else ""
    return f"traceparent: 00-{trace_id}-{span_id}-{'01' if sampled else '00'}\r\n{told}".encode("ascii")


def _state(values: list[bytes]) -> str:
    """The list of all headers together, or nothing if any of it is not of the standard's form."""
    joined = b",".join(values)
    if not joined or len(joined) > _MOST_STATE:
        return ""
    members: dict[bytes, bytes] = {}
    for member in joined.split(b","):
        if not member.strip(b" \t"):
            continue
        found = _MEMBER.fullmatch(member)
        if found is None or found[1] in members:
            return ""
        members[found[1]] = found[2]
    if len(members) > _MOST_MEMBERS:
        return ""
    return ",".join(f"{key.decode()}={value.decode()}" for key, value in members.items())
