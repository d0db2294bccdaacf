"""What a question tells over what its domain tells, each by as much as there is evidence for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.features import features
from waypost.routers.parts.folded import Folded, Rows, folds_of
from waypost.routers.parts.kinds import Far, Kinds, Scale, cells_of, groups_of
from waypost.routers.parts.levels import Effects, effects
from waypost.routers.parts.targets import Targets, check_prompts, column_means, prediction, targets
from waypost.routers.parts.traits import traits
from waypost.types import Encoder, Floats, Prediction

_ALPHAS = tuple(10.0 ** np.arange(0.5, 4.1, 0.5))
_ROWS = 65_536  # from which kinds, residuals and costs are learned; overall and group means are those of all rows
_SHARE = 0.25  # a model that answered less than this share of the rows leans on its prior all the more


@dataclass
class Hierarchical:
    """Overall mean, then domain, then part of a domain, then question: each level corrects the one above it, shrunken.

    A prompt's domain (the table's group) is guessed by calibrated classifiers, of all that is seen of it and of its
    vector alone, so that a new form does not hide a known subject.  A domain's mean leans on the overall
    mean as far as domains are alike, and cells inside a domain, cut by k-means, lean on the domain in the same way
    (empirical Bayes).  What is left over is regressed on the prompt's vector, surface and form (ridge), direction by
    direction: what the models have in common first, then the principal directions of their differences.  A direction
    counts by its slope between what was predicted for rows that were left out and what they did, less ``evidence``
    standard errors of it, and never more than in full: without evidence the domain's mean stays exactly as it is.
    A prompt far from all that was seen, as far as left-out domains lie from the others, goes back to the overall mean.

    ``cell`` is how many rows a cell has at least (0: no cells), ``far`` the share of prompts of an unknown kind that
    is expected beforehand (0: all are known), ``folds`` the parts that are left out in turn.  The spread joins the
    doubts about the domain, its mean, and the residual.  Of a table beyond 65,536 rows the classifier, cells,
    residual and costs see every second, third … row of each group.

    >>> from waypost.outcomes import example_table
    >>> router = Hierarchical().fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']

    Raises ValueError for a setting out of range.

    Source: ours.  Empirical Bayes means: Efron & Morris 1975, with the variance between units of DerSimonian & Laird
    1986; shrinking directions by their left-out slope: Breiman & Friedman 1997 ("curds and whey").
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt text, prompt vector, surface"
    learns: ClassVar[str] = "supervised"
    independent_heads: ClassVar[bool] = False
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"evidence": (0.0, 2.0), "cell": (0, 150)}

    cell: int = 150
    evidence: float = 2.0
    far: float = 0.1
    folds: int = 5
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    scale: Scale = field(default_factory=Scale, init=False)
    kinds: Kinds = field(default_factory=Kinds, init=False)
    distance: Far = field(default_factory=Far, init=False)
    overall_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    between_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    means_CM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    errors_CM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    slopes_DM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    kept_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    doubt_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        if self.cell < 0 or self.evidence < 0:
            raise ValueError(f"cell and evidence must be 0 or more, got {self.cell} and {self.evidence}")
        if not 0 <= self.far < 1:
            raise ValueError(f"far must be a share from 0 to below 1, got {self.far}")
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, got {self.folds}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit the levels from above to below."""
        table = targets(outcomes)
        m = len(table.models)
        group_N = groups_of(table.groups)
        self.overall_M = column_means(table.values_NK[:, :m], table.weight_N)
        lead_NM = table.values_NK[:, :m] - self.overall_M
        level = self._effects(lead_NM, table.weight_N, group_N)
        lead_NM -= level.effect_UM[group_N]
        rows = _few(group_N, ~np.isnan(lead_NM))
        few = Targets(
            table.models, tuple(table.prompts[n] for n in rows), (), table.values_NK[rows], table.weight_N[rows]
        )
        raw_ND = self._features(few.prompts)
        self.scale = Scale.fitted(raw_ND, few.weight_N, dim=self.encoder.dim)
        folded = Folded(self.scale(raw_ND), few.weight_N, folds_of(few.prompts, self.folds))
        cell_N = self._fit_cells(folded.one_NX[:, 1:], lead_NM[rows], few.weight_N, group_N[rows], level)
        self.kinds, share_NC = Kinds.fitted(folded, cell_N, cells=len(self.means_CM), dim=self.encoder.dim)
        units_N = group_N[rows] if group_N.any() else cell_N
        self.distance = Far.fitted(folded, units_N, share=self.far)
        self._fit_residual(folded, few.values_NK[:, :m] - share_NC @ self.means_CM)
        self.costs = Costs.fitted(raw_ND, few, dim=self.encoder.dim)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        return self

    def _effects(self, lead_NM: Floats, weight_N: Floats, unit_N: Rows) -> Effects:
        return effects(lead_NM, weight_N, unit_N, units=int(unit_N.max()) + 1, evidence=self.evidence)

    def _fit_cells(self, x_ND: Floats, lead_NM: Floats, weight_N: Floats, group_N: Rows, level: Effects) -> Rows:
        """The cell of each row: a part of its group, or the group itself where no part differs from the rest of it."""
        cell_N, group_C = cells_of(x_ND, group_N, self.cell)
        inside = self._effects(lead_NM, weight_N, cell_N)
        if not inside.effect_UM.any():
            cell_N, group_C = group_N, np.arange(len(level.effect_UM))
            inside = Effects(*(np.zeros_like(part) for part in level))
        self.means_CM = self.overall_M + level.effect_UM[group_C] + inside.effect_UM
        self.errors_CM = np.hypot(level.error_UM[group_C], inside.error_UM)
        self.between_M = np.hypot(level.between_M, inside.between_M)
        return cell_N

    def _fit_residual(self, folded: Folded, left_NM: Floats) -> None:
        """Slopes of what the levels leave over, in directions that are shrunk one by one; missing cells say nothing."""
        known_NM = ~np.isnan(left_NM)
        share_M = folded.weight_N @ known_NM / folded.weight_N.sum()
        filled_NM = np.where(known_NM, left_NM, 0.0) / np.maximum(share_M, _SHARE)
        turn_MM = _turn(filled_NM, folded.weight_N)
        turned_NM = filled_NM @ turn_MM
        alpha_M = np.asarray(_ALPHAS)[folded.errors(turned_NM, _ALPHAS).argmin(axis=0)]
        unseen_NM, _ = folded.unseen(turned_NM, alpha_M)
        product_NM = folded.weight_N[:, None] * unseen_NM * turned_NM
        evidence_M = product_NM.sum(axis=0) - self.evidence * product_NM.std(axis=0) * np.sqrt(len(product_NM))
        self.kept_M = np.clip(evidence_M / np.maximum(folded.weight_N @ np.square(unseen_NM), 1e-12), 0, 1)
        slopes_DM, _ = folded.heads(turned_NM, alpha_M)
        self.slopes_DM = (slopes_DM * self.kept_M) @ turn_MM.T
        missed_M = np.square(turned_NM - unseen_NM).mean(axis=0) / folded.whole.weight
        self.doubt_M = np.sqrt(np.square(turn_MM * self.kept_M) @ missed_M)

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Mix the cells by their probability and add the residual; what is far leans on the overall mean."""
        check_prompts(self.models, prompts)
        raw_ND = self._features(prompts)
        x_ND = self.scale(raw_ND)
        share_NC, leverage_N = self.kinds(x_ND), self.distance.leverage(x_ND)
        far_N1 = self.distance(leverage_N)[:, None]
        prior_NM = share_NC @ self.means_CM
        own_NM = prior_NM + (x_ND - self.distance.center_D) @ self.slopes_DM
        known_NM = share_NC @ (np.square(self.means_CM) + np.square(self.errors_CM)) - np.square(prior_NM)
        variance_NM = (
            (1 - far_N1) * (np.maximum(known_NM, 0) + np.outer(leverage_N, np.square(self.doubt_M)))
            + far_N1 * np.square(self.between_M)
            + far_N1 * (1 - far_N1) * np.square(prior_NM - self.overall_M)
        )
        values_NK = np.hstack([far_N1 * self.overall_M + (1 - far_N1) * own_NM, self.costs(raw_ND)])
        return prediction(self.models, values_NK, np.sqrt(variance_NM))

    def _features(self, prompts: Sequence[str]) -> Floats:
        return np.hstack([features(self.encoder, prompts), traits(prompts)])

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"folds": 2}, {"cell": 0, "evidence": 0.0, "far": 0.0, "folds": 3}]


def _turn(values_NM: Floats, weight_N: Floats) -> Floats:
    """An orthonormal basis (M, M): what the models have in common, then the directions of their differences."""
    m = values_NM.shape[1]
    # The directions are looked for beside the constant one.  Among all, several may have no variance (two models that
    # are always equal, fewer rows than models), and which of these is the constant one could not be told.
    basis_MM, _ = np.linalg.qr(np.hstack([np.ones((m, 1)), np.eye(m)[:, 1:]]))
    apart_NM = values_NM @ basis_MM[:, 1:]
    _, vectors_MM = np.linalg.eigh((apart_NM * weight_N[:, None]).T @ apart_NM)
    return np.hstack([np.full((m, 1), m**-0.5), basis_MM[:, 1:] @ vectors_MM[:, ::-1]])


def _few(group_N: Rows, known_NM: NDArray[np.bool_]) -> Rows:
    """All rows, or of a large table every second, third … of each group and some of each model."""
    if len(group_N) <= _ROWS:
        return np.arange(len(group_N))
    step = -(-len(group_N) // _ROWS)
    chosen = [np.flatnonzero(group_N == group)[::step] for group in range(group_N.max() + 1)]
    for known_N in known_NM.T:
        rows = np.flatnonzero(known_N)
        chosen.append(rows[:: max(1, len(rows) // 200)])
    return np.unique(np.concatenate(chosen))
