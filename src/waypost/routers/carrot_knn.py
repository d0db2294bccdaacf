"""The plain mean of the nearest known prompts, with a number of them of its own for quality, money and time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import measured
from waypost.routers.parts.neighbours import Added, Estimate, Ks, Memory, Vectors
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.routers.progress import report
from waypost.types import Encoder, Floats, ModelCard, Prediction

_CANDIDATES = tuple(2**power for power in range(1, 10))
_FOLDS = 5
# A fifth of the nearest are in the query's own fold; so many are looked at that hardly ever fewer than 512 are left.
_LOOKED_AT = 720
_BLOCK = 64
_QUERIES = 20_000  # rows whose folds are left out to choose k


@dataclass
class CarrotKNN:
    """The kNN form of CARROT, a plug-in router that is minimax rate-optimal (Somerstep et al. 2025, arXiv 2502.03261).

    What a model does with a prompt is expected to be the plain mean of what it did with the ``k`` known prompts
    nearest by cosine: its quality, and its cost too, so that the objective weighs two predictions and not a
    prediction and a price.  That trade-off, argmax_m (1 - lambda) quality_m - lambda usd_m, is our `Objective` with
    weights 1 - lambda and lambda.  ``k`` None picks 2, 4 … 512 by five-fold cross-validated r2 on the training table,
    for quality, USD and seconds each by itself.  The spread is the standard error of the mean, with one row of doubt.

    Differs from the public code: no vectors are bought (ours are static); a missing cell, which the paper has not, is
    left out of the mean, and where a model was measured on none of the k its overall mean is expected; USD is
    predicted itself, not tokens times a price; rows of one prompt stand in one fold, since else they find each other,
    and folds are dealt in turn to sorted prompts, so that the order of rows changes nothing.  Beyond 20,000 rows k is
    chosen on every second, third …; beyond 5,000 the nearest are looked up by faiss (``pip install
    'waypost[index]'``), or without it exactly and slowly.

    Raises:
        ValueError: k is below 1.

    >>> from waypost.outcomes import example_table
    >>> router = CarrotKNN().fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?"])
    >>> expected.models[expected.quality_NM[0].argmax()], router.k_3.tolist()
    ('maths-expert', [32, 128, 128])
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "similarity"

    k: int | None = None
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    k_3: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64), init=False)  # quality, USD, seconds
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
        """Keep the table's vectors and targets, and choose how many neighbours to average."""
        table = targets(outcomes)
        self.models, self.trained_on, self.added = table.models, outcomes.fingerprint, Added()
        self.known = Memory.of(self.encoder.encode(table.prompts), table.values_NK, table.weight_N)
        self.k_3 = np.array((self.k,) * 3 if self.k else _chosen(self.known, _folds(table.prompts)))
        return self

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """A new router that also expects something of ``card.name``, from its own rows in a table; some 50 suffice.

        What it expects of the other models stays as it was.  The new model's neighbours are sought among its own rows.

        Raises:
            BadInput: the model is known already, or the table has no quality of it.
        """
        check_prompts(self.models, ())
        rows = measured(card, outcomes, self.models)
        vectors_AD, fold_N, new = self.encoder.encode(rows.prompts), _folds(rows.prompts), copy(self)

        def chosen(memory: Memory) -> Ks:
            return (self.k,) * 3 if self.k else _chosen(memory, fold_N)

        new.added = self.added.joined(card.name, vectors_AD, rows, chosen)
        new.models = (*self.models, card.name)
        return new

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Average each prompt's neighbours."""
        check_prompts(self.models, prompts)
        vectors_ND = self.encoder.encode(prompts)
        found = _looked_up(self.known, self.k_3.tolist(), vectors_ND)
        return prediction(self.models, *self.added.beside(found, vectors_ND, _looked_up))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"k": 16}]


def _folds(prompts: Sequence[str]) -> NDArray[np.intp]:
    """Equal prompts are in one."""
    return np.asarray(np.unique(np.array(prompts, dtype=object), return_inverse=True)[1] % _FOLDS)


def _looked_up(known: Memory, ks: Ks, queries_ND: Vectors) -> Estimate:
    """Means (N, 3M) and standard errors of quality (N, M)."""
    m = len(known.means_K) // 3
    means, errors = [], []
    for start in range(0, max(len(queries_ND), 1), _BLOCK):
        ids_Bk, _ = known.near(queries_ND[start : start + _BLOCK], max(ks))
        totals = {k: known.total(ids_Bk[:, :k]) for k in set(ks)}
        parts = [known.means(totals[k])[:, part * m : (part + 1) * m] for part, k in enumerate(ks)]
        means.append(np.hstack(parts))
        # As if one row more had been right or wrong at the overall mean: few that agree are not yet certain.
        quality_M, total_BS = known.means_K[:m], totals[ks[0]]
        rows_BM = total_BS[:, 3 * m : 4 * m] + 1
        mean_BM = (total_BS[:, :m] + quality_M) / rows_BM
        variance_BM = (total_BS[:, 6 * m :] + quality_M) / rows_BM - np.square(mean_BM)
        errors.append(np.sqrt(np.maximum(variance_BM, 0) / rows_BM))
    return np.vstack(means), np.vstack(errors)


def _chosen(known: Memory, fold_N: NDArray[np.intp]) -> tuple[int, ...]:
    """For quality, USD and seconds, the number of neighbours whose mean has the largest cross-validated r2."""
    n, k3 = len(fold_N), len(known.means_K)
    ks = [k for k in _CANDIDATES if k <= n - -(-n // _FOLDS)] or [1]
    queries = np.arange(0, n, -(-n // _QUERIES))
    errors_CNK = np.empty((len(ks), len(queries), k3))
    truth_NK = np.where(known.sums_NS[queries, k3 : 2 * k3] > 0, known.sums_NS[queries, :k3], np.nan)
    for start in range(0, len(queries), _BLOCK):
        block = slice(start, start + _BLOCK)
        rows_B = queries[block]
        report(start, len(queries), "choosing k")
        ids_BL, _ = known.near(known.vectors_ND[rows_B], _LOOKED_AT)
        keep_BL = fold_N[ids_BL] != fold_N[rows_B][:, None]
        others_BL = np.argsort(~keep_BL, axis=1, kind="stable")  # those of other folds first, still nearest first
        ids_BL, keep_BL = (np.take_along_axis(array, others_BL, axis=1) for array in (ids_BL, keep_BL))
        total_BS = np.zeros((len(rows_B), known.sums_NS.shape[1]))
        for c, (last, k) in enumerate(zip((0, *ks), ks, strict=False)):
            total_BS += known.total(ids_BL[:, last:k], keep_BL[:, last:k])
            errors_CNK[c, block] = np.square(known.means(total_BS) - truth_NK[block])
    fold_Q, weight_Q = fold_N[queries], known.weight_N[queries].astype(np.float64)
    folds = [fold_Q == fold for fold in np.unique(fold_Q)]
    r2_CK = np.mean([_r2(errors_CNK[:, fold], truth_NK[fold], weight_Q[fold]) for fold in folds], axis=0)
    return tuple(ks[int(part_CM.mean(axis=1).argmax())] for part_CM in np.split(r2_CK, 3, axis=1))


def _r2(errors_CNK: Floats, truth_NK: Floats, weight_N: Floats) -> Floats:
    """The share of each column's variance that is explained, (C, K); 0 where nothing varies or is known."""
    squares_K = np.nansum(np.square(truth_NK - column_means(truth_NK, weight_N)) * weight_N[:, None], axis=0)
    left_CK = np.nansum(errors_CNK * weight_N[:, None], axis=1)
    return np.where(squares_K > 0, 1 - left_CK / np.where(squares_K > 0, squares_K, 1), 0)
