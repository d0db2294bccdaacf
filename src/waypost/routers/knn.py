"""The outcomes of the most similar known prompts, nearer ones counting more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers._targets import check_prompts, column_means, prediction, targets
from waypost.types import Encoder, Floats, Prediction

_CANDIDATES = (10, 20, 40, 80, 160, 320, 640)
_BLOCK = 64
_QUERIES = 20_000  # rows that are left out one by one to choose k
# A model measured on few of the neighbours leans on its overall mean as on this many rows.
_PRIOR = 1.0


@dataclass
class KNN:
    """Distance-weighted nearest neighbours by cosine (RouterBench, Hu et al. 2024; CARROT, Somerstep et al. 2025).

    A neighbour at distance d weighs 1 - (d / d_k)^2, the Epanechnikov kernel as wide as the k-th neighbour is far.
    ``k`` None picks the best of 10 … 640 by leave-one-out error on the training table, of which beyond 20,000
    rows every second, third … is left out in turn.  All vectors are kept and looked through for every prompt.
    The spread is the standard error of the weighted mean. New models need no training: fit again with their rows.

    >>> from waypost.outcomes import example_table
    >>> expected = KNN(k=20).fit(example_table()).predict(["What is 17 plus 26?"])
    >>> expected.models[expected.quality_NM[0].argmax()]
    'maths-expert'
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "similarity"

    k: int | None = None
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    chosen_k: int = field(default=0, init=False)
    vectors_ND: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    # Side by side, so that one product sums them all: targets (3M, 0 where missing), known (3M), quality squared (M).
    sums_NS: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    weight_N: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32), init=False)
    means_K: Floats = field(default_factory=lambda: np.empty(0), init=False)

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ValueError(f"k must be at least 1 (or None to choose it), got {self.k}")

    @property
    def independent_heads(self) -> bool:
        """Whether adding a model leaves the other predictions as they are; a chosen k depends on all models."""
        return self.k is not None

    def fit(self, outcomes: Outcomes) -> Self:
        """Keep the table's vectors and targets, and choose k."""
        table = targets(outcomes)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.vectors_ND = self.encoder.encode(table.prompts)
        known_NK = ~np.isnan(table.values_NK)
        values_NK = np.where(known_NK, table.values_NK, 0)
        squares_NM = np.square(values_NK[:, : len(table.models)])
        self.sums_NS = np.hstack([values_NK, known_NK, squares_NM]).astype(np.float32)
        self.weight_N = (table.weight_N / table.weight_N.mean()).astype(np.float32)
        self.means_K = column_means(table.values_NK, table.weight_N)
        self.chosen_k = self.k or self._choose_k()
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Look up each prompt's neighbours."""
        check_prompts(self.models, prompts)
        n, m = len(prompts), len(self.models)
        vectors_ND = self.encoder.encode(prompts)
        values_NK, spread_NM = np.empty((n, 3 * m)), np.empty((n, m))
        for start in range(0, n, _BLOCK):
            block = slice(start, start + _BLOCK)
            values_NK[block], spread_NM[block] = self._estimate(vectors_ND[block] @ self.vectors_ND.T, self.chosen_k)
        return prediction(self.models, values_NK, spread_NM)

    def _estimate(self, similarity_BN: NDArray[np.float32], k: int) -> tuple[Floats, Floats]:
        """Kernel means (B, 3M) and standard errors of quality (B, M)."""
        m = len(self.models)
        k = min(k, similarity_BN.shape[1])
        near_Bk = np.argpartition(similarity_BN, -k, axis=1)[:, -k:]
        gap_Bk = 1 - np.take_along_axis(similarity_BN, near_Bk, axis=1)  # d^2 / 2 for unit vectors
        width_B1 = np.maximum(gap_Bk.max(axis=1, keepdims=True), 1e-6) * (1 + 1 / k)
        kernel_Bk = (1 - gap_Bk / width_B1) * self.weight_N[near_Bk]
        kernel_Bk /= np.maximum(kernel_Bk.max(axis=1, keepdims=True), 1e-12)
        sums_BkS = self.sums_NS[near_Bk]
        sums_BS = _weighted(kernel_Bk, sums_BkS).astype(np.float64)
        values_BK, total_BK, squares_BM = np.split(sums_BS, (3 * m, 6 * m), axis=1)
        mean_BK = (values_BK + _PRIOR * np.nan_to_num(self.means_K)) / (total_BK + _PRIOR)
        mean_BK[:, np.isnan(self.means_K)] = np.nan
        # The prior is one row of quality 0 or 1 drawn at the mean, so it adds its mean to the squares as well.
        second_BM = (squares_BM + _PRIOR * self.means_K[:m]) / (total_BK[:, :m] + _PRIOR)
        rows_BM = _weighted(np.square(kernel_Bk), sums_BkS[:, :, 3 * m : 4 * m]) + _PRIOR
        error_BM = np.maximum(second_BM - np.square(mean_BK[:, :m]), 0) * rows_BM
        return mean_BK, np.sqrt(error_BM) / (total_BK[:, :m] + _PRIOR)

    def _choose_k(self) -> int:
        """The k of least leave-one-out error of each model's lead over the mean model, all that a choice depends on."""
        n, m = len(self.vectors_ND), len(self.models)
        known_NM = self.sums_NS[:, 3 * m : 4 * m]
        lead_NM = _lead(self.sums_NS[:, :m], known_NM)
        candidates = [k for k in _CANDIDATES if k < n] or [max(1, n - 1)]
        errors = np.zeros(len(candidates))
        queries = np.arange(0, n, -(-n // _QUERIES))
        for start in range(0, len(queries), _BLOCK):
            rows = queries[start : start + _BLOCK]
            similarity_BN = self.vectors_ND[rows] @ self.vectors_ND.T
            similarity_BN[np.arange(len(rows)), rows] = -1  # as far away as a vector can be
            for c, k in enumerate(candidates):
                expected_BM = _lead(self._estimate(similarity_BN, k)[0][:, :m], known_NM[rows])
                errors[c] += np.square(expected_BM - lead_NM[rows]).sum(axis=1) @ self.weight_N[rows]
        return candidates[int(errors.argmin())]

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"k": 10}]


def _weighted(weight_Bk: NDArray[np.float32], values_BkS: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums of the neighbours' values, (B, S)."""
    return np.asarray((weight_Bk[:, None, :] @ values_BkS)[:, 0])


def _lead(quality_NM: Floats | NDArray[np.float32], known_NM: NDArray[np.float32]) -> Floats:
    """Each model's quality less the mean of the models known for that prompt; 0 where missing."""
    mean_N1 = (quality_NM * known_NM).sum(axis=1, keepdims=True) / np.maximum(known_NM.sum(axis=1, keepdims=True), 1)
    return np.asarray((quality_NM - mean_N1) * known_NM)
