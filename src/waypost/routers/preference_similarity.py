"""Strengths of the models at a prompt: Bradley-Terry over known battles, those on similar prompts counting more."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts import preferences
from waypost.routers.parts.added import costs_with
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.features import features
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, ModelCard, Prediction

_FOLDS = 5
_QUERIES = 2000  # held-out prompts on which standings are compared with qualities
_NUMBERS = 4_000_000  # of a block's largest array


@dataclass
class PreferenceSimilarity:
    """Similarity-weighted ranking (RouteLLM, Ong et al. 2024, arXiv 2406.18665, section 4.2, "SW ranking").

    Two models that were measured on one prompt fought a battle: the better score won, equal ones tied.  At a new
    prompt, each known battle weighs 10 · 10^(cos / max cos) by the cosine of its prompt with the new one, and the
    Bradley-Terry model of greatest weighted likelihood gives each model a strength, and each pair a probability that
    one beats the other (`beats`).  A model's quality is its mean plus a slope times how much more often than usual it
    is expected to beat the others; the slope comes from prompts held out in five folds.

    ``sharpness`` multiplies the exponent: 1 is the paper's, at which the nearest battle weighs at most some ten times
    what an unrelated one does; more is closer to nearest neighbours.  ``prior`` is the weight, in rows, of a tie that
    every pair is given.

    The paper solves a logistic regression over all battles for every prompt.  Its solution depends on the battles
    only through the weight that each model won and that each pair met, so we sum these (a product with the rows)
    and take Newton steps on as many unknowns as there are models: the same strengths, in milliseconds.  We keep every
    model where the paper merges its 64 into ten tiers, and the paper has no prior (an unbeaten model has no finite
    strength then).  With two models and prior near 0 the probability is the paper's 1 / (1 + 10^(-(R_s - R_w)/400)).

    Raises:
        ValueError: ``sharpness`` or ``prior`` is not above 0.

    >>> from waypost.outcomes import example_table
    >>> router = PreferenceSimilarity(sharpness=5.0).fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "preference"
    independent_heads: ClassVar[bool] = False  # a strength is one among the others
    grid: ClassVar[dict[str, tuple[object, ...]]] = {"sharpness": (1.0, 3.0, 10.0)}

    sharpness: float = 1.0
    prior: float = 1.0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    # Rows in the order of the sets of models that were measured together.
    vectors_ND: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    weight_N: Floats = field(default_factory=lambda: np.empty(0), init=False)
    won_NM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    first_P: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), init=False)
    known_PM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    # Rows of models that came later: which of them, and the others that it met there.
    late_vectors_LD: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    late_model_L: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), init=False)
    late_weight_L: Floats = field(default_factory=lambda: np.empty(0), init=False)
    late_won_L: Floats = field(default_factory=lambda: np.empty(0), init=False)
    late_met_LM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    scale: preferences.Scale = field(default_factory=preferences.Scale, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        for name in ("sharpness", "prior"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Keep the battles, and learn what a standing means for quality."""
        table = targets(outcomes)
        m = len(table.models)
        quality_NM = table.values_NK[:, :m]
        self.models, self.trained_on = table.models, outcomes.fingerprint
        features_ND = features(self.encoder, table.prompts)
        self.costs = Costs.fitted(features_ND, table, dim=self.encoder.dim)
        self.known_PM, set_N = np.unique((~np.isnan(quality_NM)).astype(np.float64), axis=0, return_inverse=True)
        order_N = np.argsort(set_N, kind="stable")
        self.first_P = np.searchsorted(set_N[order_N], np.arange(len(self.known_PM)))
        self.vectors_ND = features_ND[order_N, : self.encoder.dim].astype(np.float32)
        self.weight_N = table.weight_N[order_N] / table.weight_N.mean()
        self.won_NM = preferences.wins(quality_NM[order_N])
        self.late_model_L, self.late_weight_L, self.late_won_L = np.empty(0, np.intp), np.empty(0), np.empty(0)
        self.late_met_LM = np.empty((0, m))
        self.late_vectors_LD = np.empty((0, self.encoder.dim), np.float32)
        fold_N = preferences.folds(table.prompts, _FOLDS)[order_N]
        # Newton steps of many models cost more than the battles, so fewer prompts are asked then.
        step = -(-len(fold_N) // max(50, min(_QUERIES, 10**9 // m**3)))
        held_N = np.zeros(len(fold_N), dtype=bool)
        held_N[np.argsort(order_N)[::step]] = True
        standing_NM = np.full(quality_NM.shape, np.nan)
        rows = np.flatnonzero(held_N)
        standing_NM[rows] = self._standing(self.vectors_ND[rows], fold_N, fold_N[rows])[0]
        self.scale = preferences.Scale.fitted(standing_NM, quality_NM[order_N], self.weight_N, fold_N, held_N)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Weigh the battles by similarity, and read the qualities off the models' strengths."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        standing_NM, battles_NM = self._standing(features_ND[:, : self.encoder.dim].astype(np.float32))
        values_NK = np.hstack([self.scale(standing_NM), self.costs(features_ND)])
        return prediction(self.models, values_NK, self.scale.doubt(battles_NM))

    def beats(self, prompts: Sequence[str]) -> Floats:
        """The probability that the model of each row beats that of each column, (N, M, M)."""
        check_prompts(self.models, prompts)
        return preferences.beats(self._strengths(self.encoder.encode(prompts))[0])

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """This router with one more model, of the rows where it met others; theirs stay as they are."""
        place = len(self.models)
        met = preferences.Met.of(card.name, self.models[: self.won_NM.shape[1]], outcomes, known=self.models)
        router = copy(self)
        router.models = (*self.models, card.name)
        vectors_nD = self.encoder.encode(met.prompts)
        for name, rows in (
            ("late_vectors_LD", vectors_nD), ("late_model_L", np.full(len(vectors_nD), place)),
            ("late_won_L", met.won_n), ("late_met_LM", met.others_nM), ("late_weight_L", met.weight_n),
        ):  # fmt: skip
            setattr(router, name, np.concatenate([getattr(self, name), rows]))
        standing_nM, _ = router._standing(vectors_nD)
        router.scale = self.scale.with_model(standing_nM[:, -1], met.quality_n, met.weight_n)
        router.costs = costs_with(self.costs, features(self.encoder, met.prompts), met.rows, dim=self.encoder.dim)
        return router

    def _standing(self, vectors_ND: NDArray[np.float32], *apart: NDArray[np.intp]) -> tuple[Floats, Floats]:
        strength_NM, battles_NM = self._strengths(vectors_ND, *apart)
        return preferences.standing(strength_NM, self.won_NM.shape[1]), battles_NM

    def _strengths(self, vectors_ND: NDArray[np.float32], *apart: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Strengths of all models at each vector, and how many battles they come to; both (N, M).

        ``apart`` holds a fold for each row and one for each vector, which does not see the rows of its own fold.
        """
        m = self.won_NM.shape[1]
        found_NM, battles_NM = np.empty((2, len(vectors_ND), len(self.models)))
        step = min(64, max(1, _NUMBERS // max(len(self.vectors_ND), self.known_PM.size, m * m)))
        for start in range(0, len(vectors_ND), step):
            block = slice(start, start + step)
            seen_BN = self.weight_N[None] * (apart[0] != apart[1][block, None] if apart else 1.0)
            seen_BN = np.where(seen_BN.any(axis=1, keepdims=True), seen_BN, self.weight_N)  # all are of one fold
            weight_BN = self._weights(vectors_ND[block], self.vectors_ND, seen_BN)
            met_BMM, found_BM, battles_NM[block, :m] = self._sums(weight_BN)
            found_NM[block, :m] = preferences.strengths(found_BM, met_BMM, self.prior)
            for late in range(m, len(self.models)):
                rows = self.late_model_L == late
                weight_Bn = self._weights(vectors_ND[block], self.late_vectors_LD[rows], self.late_weight_L[None, rows])
                found_NM[block, late] = preferences.strength_among(
                    weight_Bn @ self.late_won_L[rows],
                    weight_Bn @ self.late_met_LM[rows],
                    found_NM[block, :m],
                    self.prior,
                )
                battles_NM[block, late] = _effective(weight_Bn.sum(axis=1), np.square(weight_Bn).sum(axis=1))
        return found_NM, battles_NM

    def _weights(self, vectors_BD: NDArray[np.float32], rows_ND: NDArray[np.float32], seen_BN: Floats) -> Floats:
        """The weight of each row at each vector, as much in all as the rows that are seen."""
        cosine_BN = np.where(seen_BN > 0, vectors_BD @ rows_ND.T, -1).astype(np.float64)
        most_B1 = cosine_BN.max(axis=1, keepdims=True)
        # Where nothing is alike (a text without any token) all rows count the same.
        power_BN = cosine_BN / np.where(most_B1 > 1e-6, most_B1, np.inf)
        weight_BN = np.exp(np.log(10) * self.sharpness * (power_BN - power_BN.max(axis=1, keepdims=True))) * seen_BN
        return np.asarray(weight_BN * (seen_BN.sum(axis=1, keepdims=True) / weight_BN.sum(axis=1, keepdims=True)))

    def _sums(self, weight_BN: Floats) -> tuple[Floats, Floats, Floats]:
        """Weights of the battles of each pair (B, M, M), of those won and their number (B, M)."""
        weight_BP, square_BP = (np.add.reduceat(w_BN, self.first_P, axis=1) for w_BN in (weight_BN, weight_BN**2))
        met_BMM = np.swapaxes(weight_BP[:, :, None] * self.known_PM, 1, 2) @ self.known_PM
        return met_BMM, weight_BN @ self.won_NM, _effective(weight_BP @ self.known_PM, square_BP @ self.known_PM)

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"sharpness": 5.0}]


def _effective(sum_BM: Floats, square_BM: Floats) -> Floats:
    """The number of equal weights whose mean is as certain."""
    return np.asarray(np.square(sum_BM) / np.maximum(square_BM, 1e-12))
