"""Facts that can be read off the surface of a text: length, digits, script, layout."""

from __future__ import annotations

import re
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
_DIGIT = re.compile(r"\d")
_OPERATOR = re.compile(r"[-+*/=<>%^(){}\[\]]")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_UPPER = re.compile(r"[A-Z]")


def surface(texts: Sequence[str]) -> Floats:
    """One row of `SURFACE` a text: (N, 8); shares are of the characters, logs are log(1 + x).

    >>> surface(["2+2?"]).round(2).tolist()
    [[1.61, 0.69, 0.5, 0.25, 0.0, 0.0, 0.0, 1.0]]
    """
    rows = np.zeros((len(texts), len(SURFACE)))
    for row, text in zip(rows, texts, strict=True):
        n = len(text)
        if n:
            counts = [len(pattern.findall(text)) / n for pattern in (_DIGIT, _OPERATOR, _FOREIGN, _UPPER)]
            row[:] = (n, text.count(" ") + 1, *counts, text.count("\n"), text.rstrip().endswith("?"))
    rows[:, (0, 1, 6)] = np.log1p(rows[:, (0, 1, 6)])
    return rows
