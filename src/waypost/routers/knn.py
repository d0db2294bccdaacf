"""The outcomes of the most similar known prompts, nearer ones counting more."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import measured
from waypost.routers.parts.neighbours import EXACT, Added, Estimate, Ks, Memory, Vectors, others
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.routers.progress import report
from waypost.types import Encoder, Floats, ModelCard, Prediction

_CANDIDATES = (10, 20, 40, 80, 160, 320, 640)
_LARGE = 160  # the most of them in a table with an index, where looking up many takes the longest
_BLOCK = 64
_QUERIES = 20_000  # rows that are left out one by one to choose k
# A model measured on few of the neighbours leans on its overall mean as on this many rows.
_PRIOR = 1.0


@dataclass
class KNN:
    """Distance-weighted nearest neighbours by cosine (RouterBench, Hu et al. 2024; CARROT, Somerstep et al. 2025).

    A neighbour at distance d weighs 1 - (d / d_k)^2, the Epanechnikov kernel as wide as the k-th neighbour is far.
    ``k`` None picks the best of 10 … 640 (160 in a table with an index) by leave-one-out error on the training table,
    of which beyond 20,000 rows every second, third … is left out in turn.  The spread is the standard error of the
    weighted mean.

    Up to 5,000 rows all are looked through for every prompt; more are indexed by faiss (``pip install
    'waypost[index]'``), which finds nearly all of the nearest in less than a millisecond.  Without it the answers are
    exact, and take as long as the table is large.

    New models need no training: `with_model`, or fit again with their rows.  RouterBench's public code averages the
    five, ten or forty nearest alike; here nearer ones count more, and a mean is drawn to the model's overall mean as by
    one row, since few neighbours that agree are luck.

    Raises:
        ValueError: k is below 1.

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
    known: Memory = field(default_factory=Memory, init=False)
    added: Added = field(default_factory=Added, init=False)

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
        self.models, self.trained_on, self.added = table.models, outcomes.fingerprint, Added()
        self.known = Memory.of(self.encoder.encode(table.prompts), table.values_NK, table.weight_N)
        self.chosen_k = self.k or _choose_k(self.known)
        return self

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """A new router that also expects something of ``card.name``, from its own rows in a table; some 50 suffice.

        What it expects of the other models stays as it was.  The new model's neighbours are sought among its own rows,
        and their number is chosen on them, so where they say nothing its mean is expected.

        Raises:
            BadInput: the model is known already, or the table has no quality of it.
        """
        check_prompts(self.models, ())
        rows = measured(card, outcomes, self.models)
        vectors_AD, new = self.encoder.encode(rows.prompts), copy(self)
        new.added = self.added.joined(card.name, vectors_AD, rows, lambda memory: (_choose_k(memory),) * 3)
        new.models = (*self.models, card.name)
        return new

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Look up each prompt's neighbours."""
        return self._found(prompts, doubt=True)

    def expect(self, prompts: Sequence[str]) -> Prediction:
        """`predict` without the spread."""
        return self._found(prompts, doubt=False)

    def _found(self, prompts: Sequence[str], doubt: bool) -> Prediction:
        check_prompts(self.models, prompts)
        vectors_ND = self.encoder.encode(prompts)
        found = _looked_up(self.known, self.chosen_k, vectors_ND, doubt)
        return prediction(self.models, *self.added.beside(found, vectors_ND, partial(_alone, doubt=doubt)))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"k": 10}]


def _alone(own: Memory, ks: Ks, queries_ND: Vectors, doubt: bool) -> Estimate:
    """What one added model's own rows say."""
    return _looked_up(own, ks[0], queries_ND, doubt)


def _looked_up(known: Memory, k: int, queries_ND: Vectors, doubt: bool) -> Estimate:
    """Kernel means (N, 3M) and standard errors of quality (N, M), which are NaN without ``doubt``."""
    n, m = len(queries_ND), len(known.means_K) // 3
    if n <= _BLOCK:
        return _estimate(known, *known.near(queries_ND, k), doubt)
    values_NK, spread_NM = np.empty((n, 3 * m)), np.empty((n, m))
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        values_NK[block], spread_NM[block] = _estimate(known, *known.near(queries_ND[block], k), doubt)
    return values_NK, spread_NM


def _estimate(known: Memory, near_Bk: NDArray[np.intp], similarity_Bk: Vectors, doubt: bool) -> Estimate:
    """Kernel means (B, 3M) and standard errors of quality (B, M) from neighbours, nearest first."""
    means_K, m, k = known.means_K, len(known.means_K) // 3, near_Bk.shape[1]
    gap_Bk = 1 - similarity_Bk  # d^2 / 2 for unit vectors
    width_B1 = np.maximum(gap_Bk[:, -1:], 1e-6) * (1 + 1 / k)
    kernel_Bk = (1 - gap_Bk / width_B1) * known.weight_N.take(near_Bk)
    kernel_Bk /= np.maximum(kernel_Bk.max(axis=1, keepdims=True), 1e-12)
    sums_BkS = known.sums_NS.take(near_Bk, axis=0)
    sums_BS = _weighted(kernel_Bk, sums_BkS).astype(np.float64)
    total_BK = sums_BS[:, 3 * m : 6 * m] + _PRIOR
    mean_BK = (sums_BS[:, : 3 * m] + _PRIOR * means_K) / total_BK  # NaN where nothing is known, as the means are
    if not doubt:
        return mean_BK, np.full((len(mean_BK), m), np.nan)
    # The prior is one row of quality 0 or 1 drawn at the mean, so it adds its mean to the squares as well.
    second_BM = (sums_BS[:, 6 * m :] + _PRIOR * means_K[:m]) / total_BK[:, :m]
    rows_BM = _weighted(np.square(kernel_Bk), sums_BkS[:, :, 3 * m : 4 * m]) + _PRIOR
    error_BM = np.maximum(second_BM - np.square(mean_BK[:, :m]), 0) * rows_BM
    return mean_BK, np.sqrt(error_BM) / total_BK[:, :m]


def _choose_k(known: Memory) -> int:
    """The k of least leave-one-out error of each model's lead over the mean model, all that a choice depends on."""
    n, m = len(known.weight_N), len(known.means_K) // 3
    if n < 2:
        return 1  # there is no other row to learn from
    known_NM = known.sums_NS[:, 3 * m : 4 * m]
    lead_NM = _lead(known.sums_NS[:, :m], known_NM)
    most = min(n - 1, _CANDIDATES[-1] if n <= EXACT else _LARGE)
    candidates = [k for k in _CANDIDATES if k <= most] or [max(1, n - 1)]
    errors = np.zeros(len(candidates))
    queries = np.arange(0, n, -(-n // _QUERIES))
    for start in range(0, len(queries), _BLOCK):
        rows = queries[start : start + _BLOCK]
        report(start, len(queries), "choosing k")
        near_Bk, similarity_Bk = others(*known.near(known.vectors_ND[rows], candidates[-1] + 1), rows)
        for c, k in enumerate(candidates):
            mean_BK, _ = _estimate(known, near_Bk[:, :k], similarity_Bk[:, :k], doubt=False)
            expected_BM = _lead(mean_BK[:, :m], known_NM[rows])
            errors[c] += np.square(expected_BM - lead_NM[rows]).sum(axis=1) @ known.weight_N[rows]
    return candidates[int(errors.argmin())]


def _weighted(weight_Bk: Vectors, values_BkS: Vectors) -> Vectors:
    """Weighted sums of the neighbours' values, (B, S)."""
    return np.asarray((weight_Bk[:, None, :] @ values_BkS)[:, 0])


def _lead(quality_NM: Floats | Vectors, known_NM: Vectors) -> Floats:
    """Each model's quality less the mean of the models known for that prompt; 0 where missing.

    A model alone, which leads nobody, has its quality itself.
    """
    if known_NM.shape[1] == 1:
        return np.asarray(quality_NM * known_NM)
    mean_N1 = (quality_NM * known_NM).sum(axis=1, keepdims=True) / np.maximum(known_NM.sum(axis=1, keepdims=True), 1)
    return np.asarray((quality_NM - mean_N1) * known_NM)
