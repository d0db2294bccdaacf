"""A number with the questions behind it.  Shape suffix: N questions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats


class Counted(NamedTuple):
    """A measure over ``n`` questions, with ``missing`` left out because a part of it was never measured.

    >>> Counted(0.5, 10, 2).value
    0.5
    """

    value: float
    n: int
    missing: int


def ratio(top_N: Floats, bottom_N: Floats) -> Counted:
    """The sum of one over the sum of another, on the questions that have both; NaN over zero.

    >>> ratio(np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0, np.nan]))
    Counted(value=0.5, n=2, missing=1)
    """
    both_N = ~np.isnan(top_N + bottom_N)
    bottom = float(bottom_N[both_N].sum())
    value = float(top_N[both_N].sum()) / bottom if bottom > 0 else float("nan")
    return Counted(value, *counts(both_N))


def average(values_N: Floats) -> Counted:
    """The mean of what is not missing (NaN); NaN when all is.

    >>> average(np.array([1.0, 0.0, np.nan]))
    Counted(value=0.5, n=2, missing=1)
    """
    known_N = ~np.isnan(values_N)
    return Counted(float(values_N[known_N].mean()) if known_N.any() else float("nan"), *counts(known_N))


def counts(kept_N: NDArray[np.bool_]) -> tuple[int, int]:
    """How many questions are kept, and how many are not."""
    n = int(kept_N.sum())
    return n, len(kept_N) - n
