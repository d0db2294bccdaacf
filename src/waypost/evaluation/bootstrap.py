"""Paired bootstrap over questions.  Shape suffixes: N questions, K quantities, B resamples, R rows of a chunk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from waypost.types import Floats

# Enough for the matrix product to be fast, little enough (rows × questions × 8 bytes) to stay in cache.
_CELLS_A_CHUNK = 200_000


def interval(values_NK: Floats, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Floats:
    """Percentile interval of the mean of each column, as (K, 2).

    Every resample draws the same questions for all columns, so a column of differences is a paired test.  A missing
    value (NaN) leaves its question out of that column only; a column without any value has the interval NaN.

    Raises:
        ValueError: no question, or fewer than one resample.

    >>> interval(np.array([[0.0, 1.0], [1.0, 1.0]]), resamples=200)
    array([[0., 1.],
           [1., 1.]])

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    n = len(values_NK)
    if n == 0 or resamples < 1:
        raise ValueError(f"a bootstrap needs a question and a resample, got {n} and {resamples}")
    known_NK = ~np.isnan(values_NK)
    both_NK = np.hstack([np.where(known_NK, values_NK, 0.0), known_NK])
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS_A_CHUNK // n)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    # One thread: products this small gain nothing from more, and on busy cores the threads wait for each other.
    with threadpool_limits(1, "blas"):
        totals_BK = np.vstack([_counts(rng, size, n) @ both_NK for size in sizes])
    sums_BK, counts_BK = np.split(totals_BK, 2, axis=1)
    means_BK = np.divide(sums_BK, counts_BK, out=np.full(sums_BK.shape, np.nan), where=counts_BK > 0)
    tail = (1 - level) / 2
    return np.stack([_quantiles(column, (tail, 1 - tail)) for column in means_BK.T])


def _counts(rng: np.random.Generator, rows: int, n: int) -> Floats:
    """How often each of ``n`` questions is drawn in each resample: multinomial counts, (R, N)."""
    drawn = rng.integers(0, n, size=(rows, n))
    drawn += np.arange(rows)[:, None] * n
    counts: NDArray[np.intp] = np.bincount(drawn.ravel(), minlength=rows * n)
    return counts.reshape(rows, n).astype(np.float64)


def _quantiles(means_B: Floats, at: tuple[float, float]) -> Floats:
    known_B = means_B[~np.isnan(means_B)]
    return np.quantile(known_B, at) if len(known_B) else np.full(2, np.nan)
