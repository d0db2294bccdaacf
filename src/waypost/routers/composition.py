"""Category first, then the category's expert, of the experts that fit into memory together."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.domain import Domain
from waypost.routers.parts.added import costs_with, measured
from waypost.routers.parts.features import features
from waypost.routers.parts.groups import group_means
from waypost.routers.parts.program import kept_models
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.routers.parts.unsure import held_out, threshold
from waypost.types import Encoder, Floats, ModelCard, Prediction

UNSURE = "(unsure)"
_BELOW = 1e-6  # what a model out of memory is expected to do worse than its category's expert, at the least


@dataclass
class Composition:
    """Sends a category's prompts to one expert, which an integer program has picked under a memory budget.

    Which model is best for one prompt is noisy; which is best for a *category* is not.  So a classifier guesses the
    category (the embedded `Domain`), and a program picks the models to keep so that categories, weighed by how common
    they are, get the best experts that fit together (`parts.program`).  Prompts of which the classifier is unsure are a
    category of their own, whose means are those of all prompts, so that its expert is the best generalist
    of those that are kept: that is the robust form.

    ``budget`` is the memory that there is, ``sizes`` what each model takes of it (`sizes_of` makes them of cards);
    without sizes every model takes 1, and without a budget all are kept.  What room is left is filled by the best
    models overall.  ``unsure``: below which probability of the likeliest category a prompt goes to the generalist; None
    picks the threshold by cross-validation, 0 never does.  ``c``, ``prior`` and ``clusters`` are those of `Domain`.
    `planned` makes a plan for another budget, and `with_model` for one more model, without training.

    The expected quality is the category's mean.  A model that is not kept is expected to do just less than the
    category's expert where its mean says more, so that with quality alone the objective's choice is the program's map;
    where money has a weight too, ``Objective(allowed=router.resident)`` keeps the choice within memory.

    Raises (fit): BadInput when a model has no size, or none fits into the budget.

    >>> from waypost.outcomes import example_table
    >>> router = Composition(budget=2.0).fit(example_table(300))
    >>> router.resident, router.plan()["maths"]
    (('maths-expert', 'large'), 'maths-expert')
    >>> router.planned(1.0).resident
    ('large',)

    Source: Composition of Experts (Jain et al. 2024, arXiv 2412.01868).  Quality is the mean of the outcomes and not
    a judge's win rate, the classifier is linear, and the generalist is not named beforehand.
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "supervised"
    independent_heads: ClassVar[bool] = False  # another model changes which are kept, and when the generalist pays
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"c": (3.0, 30.0), "unsure": (0.0, None)}

    budget: float | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)  # model's name to a number, in the budget's unit
    unsure: float | None = None
    c: float = 30.0
    prior: float = 20.0
    clusters: int = 8
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    router: Domain = field(default_factory=Domain, init=False)
    threshold: float = field(default=0.0, init=False)
    resident: tuple[str, ...] = field(default=(), init=False)
    # One row a category (C), and the last for prompts of which the classifier is unsure.
    share_C: Floats = field(default_factory=lambda: np.empty(0), init=False)
    means_CM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.budget is not None and not self.budget > 0:
            raise ValueError(f"budget must be above 0 (or None to keep every model), got {self.budget}")
        if self.unsure is not None and not 0 <= self.unsure <= 1:
            raise ValueError(f"unsure must be a probability (or None to choose it), got {self.unsure}")
        for name, size in self.sizes.items():
            if isinstance(size, bool) or not isinstance(size, int | float) or not size > 0:
                raise ValueError(f"the size of '{name}' must be a number above 0, got {size!r}")

    @staticmethod
    def sizes_of(cards: Mapping[str, ModelCard], bytes_per_weight: float = 2.0) -> dict[str, float]:
        """The GB that the weights of each model take, of those whose card states the parameters.

        >>> Composition.sizes_of({"7b": ModelCard("7b", parameters=7.0)})
        {'7b': 14.0}
        """
        return {name: card.parameters * bytes_per_weight for name, card in cards.items() if card.parameters}

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit the classifier, choose the threshold, and plan."""
        order = sorted(range(len(outcomes)), key=lambda n: (outcomes.prompts[n], outcomes.ids[n]))
        ordered = outcomes.select(np.array(order, dtype=np.intp))
        table = targets(ordered)
        self.router = self._classifier().fit(ordered)
        # A table without groups has got clusters, and the classifier knows which prompt belongs to which.
        groups = table.groups if len(set(table.groups)) >= 2 else tuple(self.router.domain(table.prompts))
        group_N, n_groups = np.searchsorted(self.router.domains, groups), len(self.router.domains)
        category_N, self.threshold = group_N, 0.0
        if self.unsure != 0:
            odds_NG = held_out(self._classifier, self.router, replace(ordered, groups=groups))
            self.threshold = threshold(table, group_N, odds_NG, self.prior) if self.unsure is None else self.unsure
            category_N = np.where(odds_NG.max(axis=1) < self.threshold, n_groups, group_N)
        overall_M = column_means(table.values_NK[:, : len(table.models)], table.weight_N)
        self.means_CM = np.clip(np.vstack([self.router.means_GM, overall_M]), 0, 1)
        self.share_C = np.bincount(category_N, table.weight_N, n_groups + 1) / table.weight_N.sum()
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.resident = self._kept()
        return self

    def _classifier(self) -> Domain:
        return Domain(self.c, self.prior, self.clusters, self.encoder)

    def _kept(self) -> tuple[str, ...]:
        if self.budget is None:
            return self.models
        value_CM = self.share_C[:, None] * np.nan_to_num(self.means_CM)
        return kept_models(self.models, value_CM, self.sizes, self.budget)

    def planned(self, budget: float | None, sizes: Mapping[str, float] | None = None) -> Self:
        """The same router for another budget (and other sizes), without training.

        Raises:
            NotFitted: there is nothing to plan with yet.
            BadInput: a model has no size, or none fits.
            ValueError: a budget or a size that is not above 0.
        """
        check_prompts(self.models, ())
        made = copy.copy(self)
        made.budget, made.sizes = budget, self.sizes if sizes is None else sizes
        made._check()
        made.resident = made._kept()
        return made

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """This router with one more model, of the rows where it was measured, planned anew.

        Where models have sizes, its own is that of `sizes`, or what its card's parameters take.

        Raises:
            BadInput: the model is known already, or the table does not know it, or it has no size.
        """
        rows = measured(card, outcomes, self.models)
        guess_A = self.router.probabilities(rows.prompts).argmax(axis=1)
        quality_A1, groups = rows.values_A3[:, :1], len(self.router.domains)
        found = group_means(quality_A1, rows.weight_A, guess_A, groups=groups, prior=self.prior)
        features_AD, overall = features(self.encoder, rows.prompts), column_means(quality_A1, rows.weight_A)
        made, domain = copy.copy(self), copy.copy(self.router)
        made.router, made.models = domain, (*self.models, card.name)
        domain.models, domain.means_GM = made.models, np.hstack([domain.means_GM, found.means_GM])
        domain.errors_GM = np.hstack([domain.errors_GM, found.errors_GM])
        domain.costs = costs_with(domain.costs, features_AD, rows, dim=self.encoder.dim)
        made.means_CM = np.column_stack([self.means_CM, np.clip(np.append(found.means_GM, overall), 0, 1)])
        made.sizes = {**self.sizes_of({card.name: card}), **self.sizes} if self.sizes else {}
        made.resident = made._kept()
        return made

    def plan(self) -> dict[str, str]:
        """The expert of each category, and of the prompts of which the classifier is unsure."""
        check_prompts(self.models, ())
        best_C = np.nan_to_num(self._expected_CM(), nan=-1).argmax(axis=1)
        return dict(zip((*self.router.domains, UNSURE), (self.models[best] for best in best_C), strict=True))

    def _expected_CM(self) -> Floats:
        """Each category's means; those of models out of memory are kept just below the category's expert."""
        kept_M = np.isin(self.models, self.resident)
        expert_C1 = np.where(kept_M, np.nan_to_num(self.means_CM), 0).max(axis=1, keepdims=True)
        below_CM = np.clip(np.minimum(self.means_CM, expert_C1 - _BELOW), 0, 1)
        return np.where(kept_M, self.means_CM, below_CM)

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Look up the means of each prompt's category."""
        check_prompts(self.models, prompts)
        odds_NG = self.router.probabilities(prompts)
        category_N = np.where(odds_NG.max(axis=1) < self.threshold, odds_NG.shape[1], odds_NG.argmax(axis=1))
        mean_NM, means_GM, errors_GM = self.means_CM[category_N], self.means_CM[:-1], self.router.errors_GM
        # The mean square of what the category's mean is off by: the prompt may belong to another, and means err.
        square_NM = np.square(mean_NM) + odds_NG @ (np.square(means_GM) + np.square(errors_GM))
        square_NM -= 2 * mean_NM * (odds_NG @ means_GM)
        costs_NK = self.router.costs(features(self.encoder, prompts))
        values_NK = np.hstack([self._expected_CM()[category_N], costs_NK])
        return prediction(self.models, values_NK, np.sqrt(np.maximum(square_NM, 0)))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"budget": 2.0}, {"c": 3.0, "unsure": 0.0}]
