"""Facts that can be read off the surface of a text: length, digits, script, layout."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p

import numpy as np

from waypost.types import Floats

SURFACE = (
    "log_length",
    "log_words",
    "digit_share",
    "operator_share",
    "foreign_share",
    "upper_share",
    "log_lines",
    "is_question",
)
# What each byte of UTF-8 counts as; a character beyond ASCII is counted by its first byte.
_OTHER, _DIGIT, _OPERATOR, _FOREIGN, _UPPER, _SPACE, _LINE = range(7)
_KIND = bytearray(256)
for _kind, _those in (
    (_DIGIT, b"0123456789"),
    (_OPERATOR, b"+-*/=<>%^(){}[]"),
    (_FOREIGN, range(0xC0, 0x100)),
    (_UPPER, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    (_SPACE, b" "),
    (_LINE, b"\n"),
):
    for _byte in _those:
        _KIND[_byte] = _kind


def surface(texts: Sequence[str]) -> Floats:
    """One row of `SURFACE` a text: (N, 8); shares are of the characters, logs are log(1 + x).

    >>> surface(["2+2?"]).round(2).tolist()
    [[1.61, 0.69, 0.5, 0.25, 0.0, 0.0, 0.0, 1.0]]
    """
    return np.array([facts(text) for text in texts], dtype=np.float64).reshape(-1, len(SURFACE))


def facts(text: str) -> tuple[float, ...]:
    """`SURFACE` of one text."""
    if not text:
        return (0.0,) * len(SURFACE)
    n, count = len(text), text.encode(errors="replace").translate(_KIND).count
    return (
        log1p(n),
        log1p(count(_SPACE) + 1),
        count(_DIGIT) / n,
        count(_OPERATOR) / n,
        count(_FOREIGN) / n,
        count(_UPPER) / n,
        log1p(count(_LINE)),
        text.rstrip().endswith("?"),
    )
