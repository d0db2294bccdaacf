"""Preferences between models, made of a table of scores: who wins, how strong that makes a model, and its quality.

Routers that learn from preferences share these steps.  Shape suffixes: N prompts, B prompts of a block, M models.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import Measured
from waypost.routers.parts.targets import targets
from waypost.types import Floats

_CELLS = 4_000_000  # pairs of models that are compared at once
_PRIOR = 4.0  # rows of the models' common mean on which a model's own mean and error lean


def wins(quality_NM: Floats) -> Floats:
    """How many of the models measured on the same prompt each one beats, a tie counting half; 0 where missing.

    >>> wins(np.array([[1.0, 0.0, 1.0], [0.5, np.nan, 0.2]])).tolist()
    [[1.5, 0.0, 1.5], [1.0, 0.0, 0.0]]
    """
    won_NM = np.empty(quality_NM.shape)
    step = max(1, _CELLS // quality_NM.shape[1] ** 2)
    for start in range(0, len(quality_NM), step):
        block_BM = quality_NM[start : start + step]
        known_BMM = ~np.isnan(block_BM[:, :, None] - block_BM[:, None])
        beats_BMM = np.sign(np.nan_to_num(block_BM)[:, :, None] - np.nan_to_num(block_BM)[:, None])
        # A model's tie with itself is no battle.
        won_NM[start : start + step] = ((beats_BMM + 1) / 2 * known_BMM).sum(axis=2) - 0.5 * ~np.isnan(block_BM)
    return won_NM


def strengths(won_BM: Floats, met_BMM: Floats, prior: float) -> Floats:
    """Bradley-Terry strengths of greatest likelihood, with mean 0: P(a beats b) = sigmoid(strength a - strength b).

    ``won_BM`` is the weight of the battles that each model won, ties half; ``met_BMM`` that of the battles of each pair
    (its diagonal is not looked at).  These are sufficient, so the fit costs a few Newton steps on M unknowns whatever
    the number of battles.  ``prior`` is the weight of a tie that every pair is given: without it, a model that always
    wins has no finite strength.
    """
    m = won_BM.shape[1]
    met_BMM = (met_BMM + prior) * (1 - np.eye(m))
    won_BM = won_BM + prior * (m - 1) / 2
    strength_BM = np.zeros(won_BM.shape)
    for _ in range(200):
        chance_BMM = beats(strength_BM)
        slope_BM = won_BM - (met_BMM * chance_BMM).sum(axis=2)
        curve_BMM = -met_BMM * chance_BMM * (1 - chance_BMM)
        total_BM = -curve_BMM.sum(axis=2)
        # Strengths are defined up to a constant; this term fixes it and changes no step, since slopes sum to 0.
        curve_BMM += total_BM.mean(axis=1)[:, None, None] / m
        curve_BMM[:, np.arange(m), np.arange(m)] += total_BM
        step_BM = np.linalg.solve(curve_BMM, slope_BM[:, :, None])[:, :, 0]
        # A full step from afar overshoots where the likelihood is flat.
        longest_B1 = np.abs(step_BM).max(axis=1, keepdims=True)
        strength_BM += step_BM / np.maximum(longest_B1, 1)
        if not len(step_BM) or longest_B1.max() < 1e-9:
            break
    return np.asarray(strength_BM - strength_BM.mean(axis=1, keepdims=True))


def strength_among(won_B: Floats, met_BM: Floats, strength_BM: Floats, prior: float) -> Floats:
    """The Bradley-Terry strength of one more model, those of the others being given; by bisection."""
    won_B = won_B + prior * strength_BM.shape[1] / 2
    low_B, high_B = strength_BM.min(axis=1) - 40, strength_BM.max(axis=1) + 40
    for _ in range(60):
        middle_B = (low_B + high_B) / 2
        expected_B = ((met_BM + prior) * sigmoid(middle_B[:, None] - strength_BM)).sum(axis=1)
        low_B, high_B = np.where(expected_B < won_B, middle_B, low_B), np.where(expected_B < won_B, high_B, middle_B)
    return np.asarray((low_B + high_B) / 2)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def beats(strength_NM: Floats) -> Floats:
    """The probability that the model of each row beats that of each column, (N, M, M); 1/2 against itself."""
    return sigmoid(strength_NM[:, :, None] - strength_NM[:, None])


def standing(strength_NM: Floats, field_size: int) -> Floats:
    """The mean probability of each model to beat another of the first ``field_size``, (N, M).

    >>> standing(np.array([[np.log(3), 0.0]]), 2).round(2).tolist()
    [[0.75, 0.25]]
    """
    n, m = strength_NM.shape
    found_NM = np.empty((n, m))
    step = max(1, _CELLS // m**2)
    own_M = np.arange(m) < field_size
    for start in range(0, n, step):
        chance_BMM = beats(strength_NM[start : start + step])[:, :, :field_size]
        found_NM[start : start + step] = (chance_BMM.sum(axis=2) - 0.5 * own_M) / np.maximum(field_size - own_M, 1)
    return found_NM


def folds(prompts: tuple[str, ...], count: int) -> NDArray[np.intp]:
    """A fold for each prompt of a table in canonical order, equal prompts in one."""
    new_N = np.array([n == 0 or prompt != prompts[n - 1] for n, prompt in enumerate(prompts)])
    return np.asarray((new_N.cumsum() - 1) % count)


class Met(NamedTuple):
    """What a new model did on some prompts, and which of the known ones it met there."""

    rows: Measured
    won_n: Floats  # of the others there, ties half
    others_nM: Floats  # 1 where it met the model, else 0
    beaten_nM: Floats  # 1 where it won, 1/2 where it tied, else 0

    @property
    def prompts(self) -> tuple[str, ...]:
        """Where it met others."""
        return self.rows.prompts

    @property
    def quality_n(self) -> Floats:
        """Its own."""
        return self.rows.values_A3[:, 0]

    @property
    def weight_n(self) -> Floats:
        """How much each prompt counts, 1 on average."""
        return np.asarray(self.rows.weight_A / self.rows.weight_A.mean())

    @classmethod
    def of(cls, name: str, models: tuple[str, ...], outcomes: Outcomes, *, known: tuple[str, ...] = ()) -> Self:
        """The rows of a table that count and in which the new model and one of ``models`` were measured.

        ``known`` are further models whose name is taken, but who are not met.

        Raises:
            BadInput: the name is taken, or there is no such row.
        """
        if name in (*models, *known):
            raise BadInput(f"this router knows a model '{name}' already; train it again to learn more of it")
        there = [model for model in outcomes.models if model in models]
        stranger = BadInput(f"'{name}' was never measured on a prompt with one of {', '.join(models)}; collect some")
        if not there:
            raise stranger
        table = targets(outcomes.only((name, *there)))
        m = len(table.models)
        quality_nM = np.full((len(table.prompts), len(models)), np.nan)
        quality_nM[:, [models.index(model) for model in table.models[1:]]] = table.values_NK[:, 1:m]
        ahead_nM = table.values_NK[:, :1] - quality_nM
        rows = np.flatnonzero(~np.isnan(ahead_nM).all(axis=1) & (table.weight_N > 0))
        if not len(rows):
            raise stranger
        beaten_nM = np.nan_to_num((np.sign(ahead_nM[rows]) + 1) / 2)
        return cls(
            Measured(tuple(table.prompts[n] for n in rows), table.values_NK[rows, ::m], table.weight_N[rows]),
            beaten_nM.sum(axis=1),
            (~np.isnan(ahead_nM[rows])).astype(np.float64),
            beaten_nM,
        )


@dataclass
class Scale:
    """From standings to qualities: a model's mean, and one slope for all models on what its standing is above usual.

    The slope is that of held-out prompts (least squares, never below 0).  It is one for all, and so between two models
    the order by quality is the order by the probability to win, for any offset.
    """

    mean_M: Floats = field(default_factory=lambda: np.empty(0))
    usual_M: Floats = field(default_factory=lambda: np.empty(0))
    sigma_M: Floats = field(default_factory=lambda: np.empty(0))
    rows_M: Floats = field(default_factory=lambda: np.empty(0))
    slope: float = 0.0

    @classmethod
    def fitted(
        cls,
        standing_NM: Floats,
        quality_NM: Floats,
        weight_N: Floats,
        fold_N: NDArray[np.intp],
        held_N: NDArray[np.bool_],
    ) -> Self:
        """A scale of all prompts' qualities and of the standings at those held out, in folds.

        Standings and qualities are taken less their fold's mean: the fold's own rows are missing in what its standings
        were learnt from, so that a fold of good luck is expected to have bad.
        """
        rows_M, mean_M = _means(quality_NM, weight_N)
        above = below = 0.0
        for f in np.unique(fold_N[held_N]):
            rows = np.flatnonzero((fold_N == f) & held_N)
            weight_nM = weight_N[rows, None] * ~np.isnan(quality_NM[rows])
            x_nM, y_nM = (_centred(part_NM[rows], weight_nM) for part_NM in (standing_NM, quality_NM))
            above += float((weight_nM * x_nM * y_nM).sum())
            below += float((weight_nM * x_nM * x_nM).sum())
        slope = max(0.0, above / below) if below > 1e-12 else 0.0
        usual_M = np.average(standing_NM[held_N], axis=0, weights=weight_N[held_N] + 1e-12)
        off_NM = quality_NM - (mean_M + slope * (standing_NM - usual_M))
        off_NM[~held_N] = np.nan
        _, square_M = _means(np.square(off_NM), weight_N)
        return cls(mean_M, usual_M, np.sqrt(square_M), rows_M, slope)

    def __call__(self, standing_NM: Floats) -> Floats:
        """The qualities to expect, not yet kept within 0 and 1."""
        return self.mean_M + self.slope * (standing_NM - self.usual_M)

    def doubt(self, battles_NM: Floats) -> Floats:
        """One standard deviation of the expected quality, where a standing was learnt from so many battles (N, M)."""
        # An outcome of a battle, between 0 and 1, deviates by at most a half.
        return np.hypot(self.sigma_M / np.sqrt(self.rows_M + 1), self.slope * 0.5 / np.sqrt(battles_NM + 1))

    def with_model(self, standing_n: Floats, quality_n: Floats, weight_n: Floats) -> Self:
        """The scale with one more model, of some prompts where it was measured; the others' parts stay."""
        n = len(quality_n)
        weight_n = weight_n / weight_n.mean()
        usual = float(weight_n @ standing_n) / n
        mean = (weight_n @ quality_n + _PRIOR * self.mean_M.mean()) / (n + _PRIOR)
        off_n = quality_n - (mean + self.slope * (standing_n - usual))
        square = (weight_n @ np.square(off_n) + _PRIOR * np.square(self.sigma_M).mean()) / (n + _PRIOR)
        return replace(
            self,
            mean_M=np.append(self.mean_M, mean),
            usual_M=np.append(self.usual_M, usual),
            sigma_M=np.append(self.sigma_M, np.sqrt(square)),
            rows_M=np.append(self.rows_M, float(n)),
        )


def _means(values_NM: Floats, weight_N: Floats) -> tuple[Floats, Floats]:
    """Known rows and mean of each model, which leans a little on the mean of all."""
    weight_NM = weight_N[:, None] * ~np.isnan(values_NM) / max(weight_N.mean(), 1e-12)
    rows_M, sum_M = weight_NM.sum(axis=0), (weight_NM * np.nan_to_num(values_NM)).sum(axis=0)
    common = sum_M.sum() / max(rows_M.sum(), 1e-12)
    return rows_M, (sum_M + _PRIOR * common) / (rows_M + _PRIOR)


def _centred(values_nM: Floats, weight_nM: Floats) -> Floats:
    mean_M = (weight_nM * np.nan_to_num(values_nM)).sum(axis=0) / np.maximum(weight_nM.sum(axis=0), 1e-12)
    return np.asarray(np.nan_to_num(values_nM - mean_M))
