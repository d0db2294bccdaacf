"""What one request wants of the cache: ``x-waypost-cache`` and HTTP's own ``Cache-Control``."""

from __future__ import annotations

import math
from typing import NamedTuple

from waypost.errors import BadRequest, WaypostError, nearest, shown
from waypost.gateway.wire import Headers

HEADER = b"x-waypost-cache"


class NotKept(WaypostError):
    """The request wants an answer out of the cache only, and there is none."""

    status = 504  # as RFC 9111 has it for only-if-cached
    code = "not_cached"
    in_vain = True

    def __init__(self) -> None:
        super().__init__(
            "no answer to this request is kept, and it asks for a kept one only; "
            "leave out 'x-waypost-cache: only' (or 'Cache-Control: only-if-cached') to ask a model"
        )


class Control(NamedTuple):
    """Whether a request may be answered from the cache, may fill it, and may be answered otherwise.

    ``max_age`` is the age in seconds from which on a kept answer is too old.
    """

    read: bool = True
    write: bool = True
    only: bool = False
    max_age: float = math.inf


_DEFAULT = Control()
_WISHES = {
    "on": _DEFAULT,
    "off": Control(read=False, write=False),
    "refresh": Control(read=False),
    "only": Control(only=True),
}
_DIRECTIVES = {"no-store": "off", "no-cache": "refresh", "only-if-cached": "only"}


def control(headers: Headers) -> Control:
    """What the headers of a request say; ours has the last word over HTTP's.

    Raises:
        BadRequest: ``x-waypost-cache`` is none of on, off, refresh, only.

    >>> control([(b"cache-control", b"no-cache")])
    Control(read=False, write=True, only=False, max_age=inf)
    >>> control([(b"x-waypost-cache", b"off")])
    Control(read=False, write=False, only=False, max_age=inf)
    """
    said: list[str] = []  # a list may come in several lines
    for name, value in headers:
        if name == HEADER:
            word = value.decode("latin-1").strip().lower()
            if word not in _WISHES:
                allowed = ", ".join(_WISHES)
                raise BadRequest(
                    HEADER.decode(), f"must be one of {allowed}; got '{shown(word)}'.{nearest(word, _WISHES)}"
                )
            return _WISHES[word]
        if name == b"cache-control":
            said.append(value.decode("latin-1").lower())
    return _http(",".join(said)) if said else _DEFAULT


def _http(value: str) -> Control:
    """HTTP's directives; those that say nothing to us are passed over, as the standard wants it."""
    directives = [part.strip() for part in value.split(",")]
    for directive, wish in _DIRECTIVES.items():
        if directive in directives:
            return _WISHES[wish]
    for directive in directives:
        name, _, number = directive.partition("=")
        if name == "max-age" and number.isdecimal():
            return Control(max_age=float(number))
    return _DEFAULT
