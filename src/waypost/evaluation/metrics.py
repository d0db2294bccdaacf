"""What a way of choosing earned, question by question.  Shape suffixes: N questions, M models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

Calls = NDArray[np.float64] | NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Earned:
    """Quality (0..1), USD and seconds on each question, and which models were called for it.

    A question whose choice was never measured is NaN in all three: it is left out and counted, never zero.  One that
    was measured by a call of unknown cost is NaN in ``usd_N``, and so the mean cost of all is unknown.
    ``calls_NM`` is how often each model was called, in expectation where the choice is random; bytes will do.

    >>> earned = Earned(("a", "b"), np.array([1.0, np.nan]), np.array([0.1, np.nan]), np.full(2, np.nan), np.eye(2))
    >>> earned.quality, earned.n, earned.missing, earned.share
    (1.0, 1, 1, {'a': 1.0, 'b': 0.0})
    """

    models: tuple[str, ...]
    quality_N: Floats
    usd_N: Floats
    seconds_N: Floats
    calls_NM: Calls

    def select(self, rows_N: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """The same on some of the questions, given by their places or by a mask.

        >>> earned = Earned(("a", "b"), np.array([1.0, 0.0]), np.zeros(2), np.zeros(2), np.eye(2))
        >>> earned.select(np.array([False, True])).quality
        0.0
        """
        return replace(
            self,
            quality_N=self.quality_N[rows_N],
            usd_N=self.usd_N[rows_N],
            seconds_N=self.seconds_N[rows_N],
            calls_NM=self.calls_NM[rows_N],
        )

    @property
    def n(self) -> int:
        """How many questions were measured."""
        return int(self._measured_N.sum())

    @property
    def missing(self) -> int:
        """How many questions were left out because the choice was never measured."""
        return len(self.quality_N) - self.n

    @property
    def quality(self) -> float:
        """Mean over the measured questions, 0..1."""
        return mean(self.quality_N)

    @property
    def usd(self) -> float:
        """Mean USD per measured question; NaN as soon as the cost of one is unknown."""
        return _mean_of_all(self.usd_N[self._measured_N])

    @property
    def seconds(self) -> float:
        """Mean seconds per measured question; NaN as soon as the time of one is unknown."""
        return _mean_of_all(self.seconds_N[self._measured_N])

    @property
    def unpriced(self) -> int:
        """How many measured questions made a call of unknown cost."""
        return int(np.isnan(self.usd_N[self._measured_N]).sum())

    @property
    def share(self) -> Mapping[str, float]:
        """Share of the measured questions sent to each model; several calls a question sum to more than 1."""
        calls_MN = self.calls_NM.T[:, self._measured_N]
        return {name: _mean_of_all(calls_N) for name, calls_N in zip(self.models, calls_MN, strict=True)}

    @property
    def _measured_N(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.quality_N)


def mean(values: Floats) -> float:
    """Mean of what is not missing (NaN); NaN when all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _mean_of_all(values: Floats | Calls) -> float:
    return float(values.mean()) if len(values) else float("nan")


def gap_closed(quality: float, best_single: float, oracle: float) -> float:
    """Share of the way from the best single model (0) to the oracle (1); NaN where the two are equal.

    >>> gap_closed(0.75, 0.5, 1.0)
    0.5
    """
    return (quality - best_single) / (oracle - best_single) if oracle > best_single else float("nan")
