"""Paired bootstrap over questions, or over clusters of them.

Shape suffixes: N questions, C clusters, K quantities, B resamples, S clusters of a block, R resamples of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from waypost.types import Floats

# How often each cluster of a block is drawn in each resample of a chunk is one matrix of half a megabyte: large enough
# for its product with the values to be fast, small enough to stay in the cache while it is made.
_BLOCK = 1024
_CHUNK = 64


def resample(
    values_NK: Floats | Sequence[Floats],
    *,
    clusters_N: NDArray[np.intp] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Floats:
    """The mean of each column in every resample of the questions, as (B, K).  A list of columns is not copied.

    Every resample draws the same questions for all columns, so whatever is computed from one row of the result (a
    difference, a ratio, a hull) is paired; the same seed draws the same for another matrix of as many questions too.
    ``clusters_N`` numbers what is drawn together: a cluster comes with all its questions, and a mean is the ratio of
    the sums over what was drawn.  A missing value (NaN) leaves its question out of that column only; a resample
    without any value of a column is NaN there.

    The draws are those of the plain bootstrap: how many of them fall on each block of clusters is multinomial, and
    within a block each is uniform.

    Raises:
        ValueError: no question, fewer than one resample, or clusters of another length.

    >>> means_BK = resample(np.array([[0.0, 1.0], [1.0, 2.0], [1.0, 2.0]]), resamples=500)
    >>> means_BK.shape, bool(np.allclose(means_BK[:, 1] - means_BK[:, 0], 1))
    ((500, 2), True)

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 8; for clusters Davison and
    Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
    """
    columns = list(values_NK.T) if isinstance(values_NK, np.ndarray) else list(values_NK)
    n = len(columns[0]) if columns else 0
    if n == 0 or resamples < 1:
        raise ValueError(f"a bootstrap needs a question and a resample, got {n} and {resamples}")
    if clusters_N is not None and len(clusters_N) != n:
        raise ValueError(f"clusters_N has {len(clusters_N)} entries, expected {n}, one for each question")
    masks, mask_K = _masks(columns)
    rng = np.random.default_rng(seed)
    sums_BK = np.zeros((resamples, len(columns)))
    counts_BU = np.zeros((resamples, len(masks)))
    blocks = list(_blocks(n, clusters_N))
    sizes = np.array([len(starts_S) for _, starts_S in blocks])
    drawn_B = rng.multinomial(sizes.sum(), sizes / sizes.sum(), size=resamples)
    # One thread: products this small gain nothing from more, and on busy cores the threads wait for each other.
    with threadpool_limits(1, "blas"):
        for (rows, starts_S), total_B in zip(blocks, drawn_B.T, strict=True):
            values_SK = np.add.reduceat(np.nan_to_num(_block(columns, rows)), starts_S)
            known_SU = np.add.reduceat(_block(masks, rows), starts_S)
            for start in range(0, resamples, _CHUNK):
                chunk = slice(start, start + _CHUNK)
                counts_RS = _counts(rng, total_B[chunk], len(starts_S))
                sums_BK[chunk] += counts_RS @ values_SK
                counts_BU[chunk] += counts_RS @ known_SU
    counts_BK = counts_BU[:, mask_K]
    means_BK: Floats = np.divide(sums_BK, counts_BK, out=np.full(sums_BK.shape, np.nan), where=counts_BK > 0)
    return means_BK


def interval(
    values_NK: Floats,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    clusters_N: NDArray[np.intp] | None = None,
) -> Floats:
    """Percentile interval of the mean of each column, as (K, 2); a column without any value has the interval NaN.

    Raises:
        ValueError: as `resample` does.

    >>> interval(np.array([[0.0, 1.0], [1.0, 1.0]]), resamples=200)
    array([[0., 1.],
           [1., 1.]])

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    return percentiles(resample(values_NK, clusters_N=clusters_N, resamples=resamples, seed=seed), level)


def percentiles(means_BK: Floats, level: float = 0.95) -> Floats:
    """The interval that holds the middle ``level`` of each column's resamples, as (K, 2).

    >>> percentiles(np.arange(101.0)[:, None], level=0.9)
    array([[ 5., 95.]])
    """
    tail = (1 - level) / 2
    return np.stack([_quantiles(column_B, (tail, 1 - tail)) for column_B in means_BK.T])


def chance_above(means_BK: Floats, bar: float = 0.0) -> Floats:
    """The share of each column's resamples above a bar, (K,), those on it counted as half.

    It is how often another draw of as many questions would come out above, if the world were as these questions say.

    >>> chance_above(np.array([[0.1, 0.0], [0.2, 0.0], [-0.1, 0.0]])).round(2).tolist()
    [0.67, 0.5]
    """
    known_K = (~np.isnan(means_BK)).sum(axis=0)
    above_K = (means_BK > bar).sum(axis=0) + (means_BK == bar).sum(axis=0) / 2
    share_K: Floats = np.divide(above_K, known_K, out=np.full(len(known_K), np.nan), where=known_K > 0)
    return share_K


def step_down(means_K: Floats, means_BK: Floats) -> Floats:
    """Two-sided p-values that each mean is zero, (K,), corrected for asking about all of them at once.

    With t = |mean| / s and, in resample b, t* = |mean* - mean| / s, where s is the standard deviation of the resampled
    means, the largest t is compared with the largest t* of all columns, the next with the largest t* of the columns
    that remain, and so on; p = (1 + #{max t* ≥ t}) / (1 + B), never less than the one before.  The chance of calling
    any true zero different is then at most the level (of few questions a little more: of 80 with 20 columns 9 % at the
    level of 5), and as columns are resampled together, routers that choose alike cost little.  A mean that is unknown
    (NaN) has no p-value and is not counted among the asked.

    >>> means_BK = np.random.default_rng(0).normal([0.5, 0.1], 0.1, size=(999, 2))
    >>> step_down(np.array([0.5, 0.1]), means_BK).round(3).tolist()
    [0.001, 0.323]

    Source: Romano and Wolf, Efficient computation of adjusted p-values for resampling-based stepdown multiple testing
    (Statistics and Probability Letters 113, 2016), algorithm 4.2 in absolute values, with one s for all resamples.
    """
    p_K = np.full(len(means_K), np.nan)
    asked = np.flatnonzero(~np.isnan(means_K))
    s_K = np.array([np.nanstd(means_BK[:, k]) for k in asked])
    t_K = _ratio(np.abs(means_K[asked]), s_K)
    order = np.argsort(t_K, kind="stable")
    asked, s_K, t_K = asked[order], s_K[order], t_K[order]
    count_K = np.ones(len(asked))
    for start in range(0, len(means_BK), _BLOCK):
        away_RK = np.nan_to_num(np.abs(means_BK[start : start + _BLOCK, asked] - means_K[asked]))
        # Column j: the largest t* of the columns whose t is no larger than the j-th.
        count_K += (np.maximum.accumulate(_ratio(away_RK, s_K), axis=1) >= t_K).sum(axis=0)
    p_K[asked] = np.maximum.accumulate(count_K[::-1])[::-1] / (1 + len(means_BK))
    return p_K


def holm(p_K: Floats) -> Floats:
    """The p-values corrected for all of them, where only they are at hand and not the resamples, (K,).

    The smallest is multiplied by K, the next by K - 1, and so on, never less than the one before and at most 1.  It is
    valid whatever the dependence, and so never more generous than `step_down` would be in a large sample.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).round(2).tolist()
    [0.03, 0.06, nan, 0.06]

    Source: Holm, A simple sequentially rejective multiple test procedure (Scandinavian Journal of Statistics 6, 1979).
    """
    corrected_K = np.full(len(p_K), np.nan)
    order = np.argsort(p_K)[: np.count_nonzero(~np.isnan(p_K))]
    scaled_K = p_K[order] * np.arange(len(order), 0, -1)
    corrected_K[order] = np.maximum.accumulate(scaled_K).clip(max=1)
    return corrected_K


def _ratio(away: Floats, s_K: Floats) -> Floats:
    """How many standard deviations; where there is no deviation, zero is none and all else infinitely many."""
    never = np.where(away > 0, np.inf, 0.0)
    ratio: Floats = np.divide(away, s_K, out=never, where=np.broadcast_to(s_K > 0, away.shape))
    return ratio


def _masks(columns: Sequence[Floats]) -> tuple[list[NDArray[np.bool_]], NDArray[np.intp]]:
    """The distinct masks (N,) of what is known, and which of them each column has, (K,): most tables have one."""
    masks = {b"": np.ones(len(columns[0]), dtype=bool)}
    keys = []
    for column_N in columns:
        known_N = ~np.isnan(column_N)
        keys.append(b"" if known_N.all() else np.packbits(known_N).tobytes())
        masks.setdefault(keys[-1], known_N)
    place = {key: u for u, key in enumerate(masks)}
    return list(masks.values()), np.array([place[key] for key in keys], dtype=np.intp)


def _block(columns: Sequence[NDArray[np.generic]], rows: slice | NDArray[np.intp]) -> Floats:
    """Some rows of the columns, side by side."""
    return np.column_stack([column_N[rows] for column_N in columns]).astype(np.float64)


def _blocks(n: int, clusters_N: NDArray[np.intp] | None) -> Iterator[tuple[slice | NDArray[np.intp], NDArray[np.intp]]]:
    """The questions of each block of clusters, and where each cluster begins among them."""
    if clusters_N is None:
        for start in range(0, n, _BLOCK):
            rows = slice(start, min(start + _BLOCK, n))
            yield rows, np.arange(rows.stop - rows.start)
        return
    _, first_C, of_N = np.unique(clusters_N, return_index=True, return_inverse=True)
    # In the order of their first questions, so that clusters of one question each draw as if there were none.
    rank_C = np.argsort(np.argsort(first_C))
    order_N = np.argsort(rank_C[of_N], kind="stable")
    starts_C = np.append(0, np.cumsum(np.bincount(rank_C[of_N])))
    for start in range(0, len(first_C), _BLOCK):
        edges = starts_C[start : start + _BLOCK + 1]
        yield order_N[edges[0] : edges[-1]], edges[:-1] - edges[0]


def _counts(rng: np.random.Generator, total_R: NDArray[np.intp], size: int) -> Floats:
    """How often each of ``size`` clusters is drawn when each resample makes its total of draws, (R, S)."""
    drawn = rng.integers(0, size, size=total_R.sum())
    drawn += np.repeat(np.arange(len(total_R)) * size, total_R)
    counts: NDArray[np.intp] = np.bincount(drawn, minlength=len(total_R) * size)
    return counts.reshape(len(total_R), size).astype(np.float64)


def _quantiles(means_B: Floats, at: tuple[float, float]) -> Floats:
    known_B = means_B[~np.isnan(means_B)]
    return np.quantile(known_B, at) if len(known_B) else np.full(2, np.nan)
