"""Facts that can be read off the surface of a text: length, digits, script, layout."""

from __future__ import annotations

from collections.abc import Sequence

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
_KIND = np.zeros(256, dtype=np.uint8)
_KIND[list(b"0123456789")] = _DIGIT
_KIND[list(b"+-*/=<>%^(){}[]")] = _OPERATOR
_KIND[0xC0:] = _FOREIGN
_KIND[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")] = _UPPER
_KIND[list(b" ")] = _SPACE
_KIND[list(b"\n")] = _LINE


def surface(texts: Sequence[str]) -> Floats:
    """One row of `SURFACE` a text: (N, 8); shares are of the characters, logs are log(1 + x).

    >>> surface(["2+2?"]).round(2).tolist()
    [[1.61, 0.69, 0.5, 0.25, 0.0, 0.0, 0.0, 1.0]]
    """
    rows = np.zeros((len(texts), len(SURFACE)))
    for row, text in zip(rows, texts, strict=True):
        if text:
            counts = np.bincount(_KIND[np.frombuffer(text.encode(errors="replace"), np.uint8)], minlength=7).tolist()
            row[0] = n = len(text)
            row[1] = counts[_SPACE] + 1
            row[2:6] = counts[_DIGIT] / n, counts[_OPERATOR] / n, counts[_FOREIGN] / n, counts[_UPPER] / n
            row[6] = counts[_LINE]
            row[7] = text.rstrip().endswith("?")
    rows[:, (0, 1, 6)] = np.log1p(rows[:, (0, 1, 6)])
    return rows
