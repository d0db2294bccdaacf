"""The known prompts nearest to a prompt, exactly or through an index; and models that were added later.

Up to 5,000 rows every row is looked at, which is exact and takes a fraction of a millisecond.  A larger table gets an
index when it is fitted where faiss is installed (``pip install 'waypost[index]'``): an inverted file (Jégou, Douze &
Schmid 2011) cuts the rows into about 2 sqrt(N) cells by k-means, and a prompt looks into the 24 cells nearest to it (32
of a million rows).  It keeps a byte a dimension, so a cosine is off by some 0.001; the vectors themselves are not
touched, in which to look up hundreds of rows would take longer than the search.  Without faiss, at fitting or where a
saved router is loaded, every row is looked at: exact, and slower with every row.

Shape suffixes: N known rows, D dimensions, B queries, k neighbours, A rows of added models, S sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from waypost.routers.parts.added import Measured
from waypost.routers.parts.targets import column_means
from waypost.types import Floats

EXACT = 5_000  # rows up to which there is no index
_PROBED = 24  # cells that are looked into, or one in 64 where that is more
_SAMPLE = 40  # rows a cell that k-means learns from
_COSINES = 2**22  # at once
_STEPS = np.float32(1e6)  # in which cosines are told apart
_ROWS = 2**40  # more than any table has

Vectors = NDArray[np.float32]
Ks = Sequence[int]  # of neighbours, for quality, USD and seconds
Estimate = tuple[Floats, Floats]  # values (N, 3M), and spread of quality (N, M)


@dataclass
class Neighbours:
    """Unit vectors, to find the nearest of them by cosine."""

    vectors_ND: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    index_B: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    @classmethod
    def fitted(cls, vectors_ND: Vectors) -> Self:
        """Keep the vectors, and index them if they are many; the same vectors give the same index."""
        return cls(vectors_ND, _indexed(vectors_ND) if len(vectors_ND) > EXACT else np.empty(0, np.uint8))

    def near(self, queries_BD: Vectors, k: int) -> tuple[NDArray[np.intp], Vectors]:
        """The k nearest rows of each query, nearest first, and their cosines; all rows where there are fewer."""
        k = min(k, len(self.vectors_ND))
        step = max(1, _COSINES // max(len(self.vectors_ND), 1))
        blocks = [queries_BD[start : start + step] for start in range(0, max(len(queries_BD), 1), step)]
        ids, similarities = zip(*(self._near(block_BD, k) for block_BD in blocks), strict=True)
        return (ids[0], similarities[0]) if len(ids) == 1 else (np.vstack(ids), np.vstack(similarities))

    def _near(self, queries_BD: Vectors, k: int) -> tuple[NDArray[np.intp], Vectors]:
        if self._index is None and len(queries_BD) == 1:
            return self._nearest(queries_BD, k)
        if self._index is None or not len(queries_BD):
            ids_Bk, similarity_Bk = self._exact(queries_BD, k)
        else:
            # One by one: of many at once faiss multiplies in another order, and might look into another cell.
            found = [self._index.search(queries_BD[b : b + 1], k) for b in range(len(queries_BD))]
            similarity_Bk, ids_Bk = found[0] if len(found) == 1 else map(np.vstack, zip(*found, strict=True))
            np.minimum(similarity_Bk, 1, out=similarity_Bk)
            if ids_Bk.min() < 0:  # some query's cells hold fewer than k rows
                few_B = (ids_Bk < 0).any(axis=1)
                ids_Bk[few_B], similarity_Bk[few_B] = self._exact(queries_BD[few_B], k)
        rows_B1 = np.arange(len(ids_Bk))[:, None]
        order_Bk = np.argsort(-_keys(similarity_Bk, ids_Bk), axis=1)
        return ids_Bk[rows_B1, order_Bk], similarity_Bk[rows_B1, order_Bk]

    def _exact(self, queries_BD: Vectors, k: int) -> tuple[NDArray[np.intp], Vectors]:
        similarity_BN = queries_BD @ self.vectors_ND.T
        keys_BN = _keys(similarity_BN, np.arange(len(self.vectors_ND)))
        ids_Bk = np.argpartition(keys_BN, -k, axis=1)[:, -k:]
        return ids_Bk, similarity_BN[np.arange(len(ids_Bk))[:, None], ids_Bk]

    def _nearest(self, query_1D: Vectors, k: int) -> tuple[NDArray[np.intp], Vectors]:
        """What sorting by `_keys` gives, for one query, of whose keys only those of the nearest are sorted."""
        similarity_N = (query_1D @ self.vectors_ND.T)[0]
        steps_N = np.rint(similarity_N * _STEPS)
        least = np.partition(steps_N, len(steps_N) - k)[len(steps_N) - k]
        (near_n,) = (steps_N >= least).nonzero()  # as many as are wanted, and those that tie with the last of them
        ids_k = near_n[(-steps_N[near_n]).argsort(kind="stable")[:k]]
        return ids_k[None], similarity_N[ids_k][None]

    @cached_property
    def _index(self) -> Any:
        """The index, read on first use, or None: a small table, or no faiss here."""
        faiss = _faiss() if len(self.index_B) else None
        if faiss is None:
            return None
        index = faiss.deserialize_index(self.index_B)
        index.nprobe = max(_PROBED, index.nlist // 64)
        return index


def _keys(similarity_BN: Vectors, ids_N: NDArray[np.intp]) -> NDArray[np.int64]:
    """Larger where nearer.

    Equal cosines, as of equal prompts, go by the order of the rows, whatever a product's last digits are.
    """
    return np.asarray(np.rint(similarity_BN * _STEPS).astype(np.int64) * _ROWS - ids_N)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def _indexed(vectors_ND: Vectors) -> NDArray[np.uint8]:
    """The bytes of an index of one byte a dimension, or none without faiss."""
    faiss = _faiss()
    if faiss is None:
        return np.empty(0, np.uint8)
    n, d = vectors_ND.shape
    cells = 2 ** round(np.log2(2 * np.sqrt(n)))
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(d), d, cells, kind, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = _SAMPLE, 1
    index.cp.spherical = True
    index.train(vectors_ND)
    index.add(vectors_ND)
    return np.asarray(faiss.serialize_index(index))


@dataclass
class Memory:
    """What is known of which prompts: a table with its vectors.

    Sums stand side by side, so that one product makes them all: values (0 where missing, K = 3M), whether they are
    known (K), and quality squared (M).
    """

    neighbours: Neighbours = field(default_factory=Neighbours)
    sums_NS: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    weight_N: Vectors = field(default_factory=lambda: np.empty(0, np.float32))
    means_K: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, vectors_ND: Vectors, values_NK: Floats, weight_N: Floats) -> Self:
        """Keep a table whose values are the quality of each model, then USD, then seconds; NaN where missing."""
        known_NK = ~np.isnan(values_NK)
        filled_NK = np.where(known_NK, values_NK, 0)
        squares_NM = np.square(filled_NK[:, : values_NK.shape[1] // 3])
        return cls(
            Neighbours.fitted(vectors_ND),
            np.hstack([filled_NK, known_NK, squares_NM]).astype(np.float32),
            (weight_N / max(weight_N.mean(), 1e-12)).astype(np.float32),
            column_means(values_NK, weight_N),
        )

    @property
    def vectors_ND(self) -> Vectors:
        """Where the known prompts lie."""
        return self.neighbours.vectors_ND

    def near(self, queries_BD: Vectors, k: int) -> tuple[NDArray[np.intp], Vectors]:
        """The k nearest rows of each query, nearest first, and their cosines."""
        return self.neighbours.near(queries_BD, k)

    def total(self, ids_Bk: NDArray[np.intp], keep_Bk: NDArray[np.bool_] | bool = True) -> Floats:
        """Weighted sums of some neighbours' rows, (B, S)."""
        weight_Bk = self.weight_N[ids_Bk] * keep_Bk
        return np.asarray((weight_Bk[:, None, :] @ self.sums_NS[ids_Bk])[:, 0], dtype=np.float64)

    def means(self, total_BS: Floats) -> Floats:
        """The means (B, K) that sums stand for: of the known cells, or overall where there is none."""
        values_BK, known_BK, _ = np.split(total_BS, (len(self.means_K), 2 * len(self.means_K)), axis=1)
        return np.where(known_BK > 0, values_BK / np.where(known_BK > 0, known_BK, 1), self.means_K)


@dataclass
class Added:
    """Models that a fitted router was given later, each with the rows on which it was measured.

    Their rows are kept apart, so that what is expected of the other models stays as it was, to the last digit.
    """

    models: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()  # three of each model: at how many neighbours it looks for quality, USD and seconds
    vectors_AD: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    values_A3: Floats = field(default_factory=lambda: np.empty((0, 3)))  # quality, USD, seconds; NaN where missing
    weight_A: Floats = field(default_factory=lambda: np.empty(0))
    model_A: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @cached_property
    def memories(self) -> tuple[Memory, ...]:
        """What is known of each of them, made once: of many rows it takes an index."""
        mine = [self.model_A == model for model in range(len(self.models))]
        return tuple(Memory.of(self.vectors_AD[own_A], self.values_A3[own_A], self.weight_A[own_A]) for own_A in mine)

    def joined(self, name: str, vectors_AD: Vectors, rows: Measured, choose: Callable[[Memory], Ks]) -> Self:
        """The same with one model more, which looks at as many of its rows as ``choose`` says."""
        memory = Memory.of(vectors_AD, rows.values_A3, rows.weight_A)
        joined = replace(
            self,
            models=(*self.models, name),
            ks=(*self.ks, *choose(memory)),
            vectors_AD=np.vstack([self.vectors_AD.reshape(-1, vectors_AD.shape[1]), vectors_AD]),
            values_A3=np.vstack([self.values_A3, rows.values_A3]),
            weight_A=np.append(self.weight_A, rows.weight_A),
            model_A=np.append(self.model_A, np.full(len(rows.weight_A), len(self.models))),
        )
        joined.memories = (*self.memories, memory)
        return joined

    def beside(
        self, table: Estimate, queries_ND: Vectors, look_up: Callable[[Memory, Ks, Vectors], Estimate]
    ) -> Estimate:
        """The estimates for the models of the table, and those of the added ones after them."""
        if not self.models:
            return table
        n = len(queries_ND)
        ks = [self.ks[start : start + 3] for start in range(0, len(self.ks), 3)]
        found = [table, *(look_up(memory, k3, queries_ND) for memory, k3 in zip(self.memories, ks, strict=True))]
        values_N3M = np.concatenate([values_NK.reshape(n, 3, -1) for values_NK, _ in found], axis=2)
        return values_N3M.reshape(n, -1), np.hstack([spread_NM for _, spread_NM in found])


def others(
    ids_Bk: NDArray[np.intp], similarity_Bk: Vectors, rows_B: NDArray[np.intp]
) -> tuple[NDArray[np.intp], Vectors]:
    """Neighbours without each query's own row; where that is not among them, without the farthest."""
    keep_Bk = ids_Bk != rows_B[:, None]
    keep_Bk[keep_Bk.all(axis=1), -1] = False
    shape = len(ids_Bk), ids_Bk.shape[1] - 1
    return ids_Bk[keep_Bk].reshape(shape), similarity_Bk[keep_Bk].reshape(shape)
