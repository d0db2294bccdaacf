"""Models by a few numbers each, prompts by what they ask of these: a new model needs only its own few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import costs_with, measured
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.linear import fit_heads
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, ModelCard, Prediction

_FOLLOWS = 0.25  # the deviation of how much a model follows what is easy and hard for the mean model, which is 1
_LEVEL = 0.1  # the deviation of what a model may be better or worse by everywhere, beyond its abilities


@dataclass
class Descriptor:
    """Describes each model by its abilities, and each prompt by its difficulty and by what tells models apart on it.

    As in item response theory, ``quality = −difficulty(prompt) + discrimination(prompt) · ability(model)``.  Both are
    linear in the prompt's vector and surface; they are found in closed form: a ridge regression for each model, the
    mean of these as the (negative) difficulty, and the ``rank`` directions in which the models' predictions differ
    most, scaled so that abilities have mean 0 and variance 1 over the models.  A model's abilities are then a ridge
    regression of its own outcomes on these few numbers, drawn to the mean model: with few outcomes it is expected to
    be like the others, and what it is better at shows first where models mostly differ.  Two further numbers say how
    much it follows what is hard for the others at all, and what it is better or worse by everywhere.

    `with_model` does the last step for a new model, so that some 50 outcomes teach its profile and not only its mean.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(400)
    >>> router = Descriptor().fit(table)
    >>> router.models[router.predict(["What is 17 plus 26?"]).quality_NM.argmax()]
    'maths-expert'
    >>> fewer = Descriptor().fit(table.only(("tiny", "maths-expert")))
    >>> fewer.with_model(ModelCard("large"), table.select(range(50))).models
    ('tiny', 'maths-expert', 'large')

    Source: Zhuang et al. 2024, EmbedLLM, arXiv 2410.02223 (a matrix factorisation of correctness, whose model vectors
    serve several tasks); Song et al. 2025, IRT-Router, arXiv 2506.01048, P = sigmoid(a·theta − b) with a and b from
    the query's embedding.  Where we differ: both train networks by gradient descent on questions that all models
    answered, ours is the linear case with squared error and no sigmoid, in closed form, cells may be missing, and the
    descriptor of a new model has a prior (the papers fit theirs without one, or from a text about the model).
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface"
    learns: ClassVar[str] = "supervised"
    independent_heads: ClassVar[bool] = False  # what tells models apart is found from all of them
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"rank": (2, 5, 10)}

    rank: int = 5
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    # L = 1 + rank columns: the mean model, then what tells models apart.
    center_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    scale_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    heads_DL: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    bias_L: Floats = field(default_factory=lambda: np.empty(0), init=False)
    # R = rank + 2 numbers a model: its abilities, how much it follows the mean model, and its level.
    ability_MR: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    unsure_MRR: Floats = field(default_factory=lambda: np.empty((0, 0, 0)), init=False)
    noise: float = field(default=0.0, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Find what tells the models apart, then each model's place in it."""
        table = targets(outcomes)
        m, dim = len(table.models), self.encoder.dim
        quality_NM, x_ND = table.values_NK[:, :m], features(self.encoder, table.prompts)
        found = fit_heads(x_ND, quality_NM, table.weight_N, dim=dim, alpha=None)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.center_D, self.scale_D = found.center_D, found.scale_D
        weight_M = table.weight_N @ ~np.isnan(quality_NM)
        self._tell_apart(found.heads_DK.astype(np.float64), found.bias_K, weight_M, found.gram_DD / weight_M.max())
        variance = np.average(np.square(np.nan_to_num(found.sigma_K, nan=0.5)), weights=weight_M)
        self.noise = max(float(variance), 1e-4)  # scores that are all equal have none, and no precision is endless
        base_N, z_NR = self._asked(x_ND)
        self.ability_MR, self.unsure_MRR = np.zeros((m, z_NR.shape[1])), np.zeros((m, *z_NR.shape[1:] * 2))
        for k, quality_N in enumerate(quality_NM.T):
            known_N = ~np.isnan(quality_N)
            self.ability_MR[k], self.unsure_MRR[k] = self._described(
                z_NR[known_N], (quality_N - base_N)[known_N], table.weight_N[known_N]
            )
        # Errors of the ridge that was left out at each row, which these abilities come from.
        left_out_RM = np.tile(np.nan_to_num(found.sigma_K, nan=0.5), (20, 1))
        self.doubt = Doubt.fitted(
            x_ND / self.scale_D, left_out_RM, table.weight_N, alpha=float(np.median(found.alpha_K))
        )
        self.costs = Costs.fitted(x_ND, table, dim=dim)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Difficulty, discrimination times ability, and the costs."""
        check_prompts(self.models, prompts)
        x_ND = features(self.encoder, prompts)
        base_N, z_NR = self._asked(x_ND)
        # The doubt about the prompt, which all models share, and that about the model's own numbers.
        own_NM = np.einsum("nr,mrs,ns->nm", z_NR, self.unsure_MRR, z_NR)
        spread_NM = np.sqrt(np.square(self.doubt(x_ND / self.scale_D)) + np.maximum(own_NM, 0))
        quality_NM = base_N[:, None] + z_NR @ self.ability_MR.T
        return prediction(self.models, np.hstack([quality_NM, self.costs(x_ND)]), spread_NM)

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """A new router that also knows ``card.name``, described by its rows in a table; some 50 suffice.

        What is expected of the other models stays as it is.

        Raises:
            BadInput: the model is known already, or the table has no outcomes of it.
        """
        check_prompts(self.models, ())
        rows = measured(card, outcomes, self.models)
        x_AD = features(self.encoder, rows.prompts)
        base_A, z_AR = self._asked(x_AD)
        off_A = rows.values_A3[:, 0] - base_A
        ability_R, unsure_RR = self._described(z_AR, off_A, rows.weight_A)
        squares = rows.weight_A @ np.square(off_A - z_AR @ ability_R)
        new = copy(self)
        new.models = (*self.models, card.name)
        new.ability_MR = np.vstack([self.ability_MR, ability_R])
        new.unsure_MRR = np.concatenate([self.unsure_MRR, unsure_RR[None]])
        sigma = np.sqrt((squares + 0.25) / (rows.weight_A.sum() + 1))
        new.doubt = replace(self.doubt, sigma_M=np.append(self.doubt.sigma_M, sigma))
        new.costs = costs_with(self.costs, x_AD, rows, dim=self.encoder.dim)
        return new

    def _tell_apart(self, heads_DM: Floats, bias_M: Floats, weight_M: Floats, gram_DD: Floats) -> None:
        """Principal components of the models' predictions over the prompts, models weighed by their rows."""
        share_M = np.where(np.isnan(bias_M), 0, weight_M) / weight_M.sum()
        mean_D, mean = heads_DM @ share_M, float(share_M @ np.nan_to_num(bias_M))
        apart_DM = (heads_DM - mean_D[:, None]) * np.sqrt(share_M)
        apart_M = (np.nan_to_num(bias_M) - mean) * np.sqrt(share_M)
        # How alike two models' deviations from the mean are, over the prompts.
        _, vectors_MM = np.linalg.eigh(np.outer(apart_M, apart_M) + apart_DM.T @ gram_DD @ apart_DM)
        largest_Mr = vectors_MM[:, ::-1][:, : min(self.rank, len(bias_M) - 1)]
        self.heads_DL = np.column_stack([mean_D, apart_DM @ largest_Mr])
        self.bias_L = np.append(mean, apart_M @ largest_Mr)

    def _asked(self, x_ND: Floats) -> tuple[Floats, Floats]:
        """What the mean model is expected to do, (N,), and what tells models apart there, (N, R)."""
        known_NL = (x_ND - self.center_D) / self.scale_D @ self.heads_DL + self.bias_L
        # An expert of one thing does not follow: what is easy for all others is as hard for it as all else.
        follows_N = _FOLLOWS * (known_NL[:, 0] - self.bias_L[0])
        return known_NL[:, 0], np.column_stack([known_NL[:, 1:], follows_N, np.full(len(x_ND), _LEVEL)])

    def _described(self, z_AR: Floats, off_A: Floats, weight_A: Floats) -> tuple[Floats, Floats]:
        """Posterior mean and covariance of a model's numbers, whose prior is N(0, I)."""
        precision_RR = (z_AR * weight_A[:, None]).T @ z_AR / self.noise + np.eye(z_AR.shape[1])
        unsure_RR = np.asarray(np.linalg.inv(precision_RR), dtype=np.float64)
        return unsure_RR @ (z_AR.T @ (weight_A * off_A)) / self.noise, unsure_RR

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"rank": 1}]
