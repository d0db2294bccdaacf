"""The expert whose pilot prompts a prompt resembles most: routing among embedding models, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput, UnknownModel
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import costs_with
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.features import features
from waypost.routers.parts.groups import group_means
from waypost.routers.parts.pilots import best_of, by_expert, centers, errors, pilots
from waypost.routers.parts.preferences import Met
from waypost.routers.parts.similarity_scale import SimilarityScale
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, ModelCard, Prediction

RULES = ("nearest", "mean")
_PRIOR = 20.0
_BELOW = 1e-6


@dataclass
class Retrieval:
    """Sends a query to the embedding expert that did best on the queries it resembles (RouterRetriever).

    The outcomes' models are embedding experts and the quality is what each query's ranking scored, such as nDCG@10 (any
    models with a score a prompt will do).  In each domain, the table's group, queries are sorted by the expert that
    did best on them; the mean vector of each such set is a *pilot* of that expert.  A new query goes by similarity
    (dot product) to the pilots: with ``rule`` "nearest" to the owner of the nearest one, with "mean" to the expert
    whose pilots are most similar on average.  Nothing is trained.  A table without groups is one domain.

    The pilot of a few odd queries lies as near as that of many usual ones; ``least`` leaves out pilots of less than
    this share of their domain's queries.  The paper keeps all, which is 0: where scores are noisy, such as right and
    wrong, its choice is then hardly better than chance.

    The expected quality is a logistic curve of the similarity: one slope for all experts, so that the order is the
    rule's, and a level for the domain whose prompts are nearest.  It is fitted on the table, each query left out of
    its own pilot.  An expert that was best nowhere is expected to do as it does in the domain, just below the best at
    most.  The spread is the root of the squared mean error and its variance, by domain and expert.

    `with_model` and `without_model` add and remove an expert; what is expected of the others stays, except that one
    without pilots stays below the best.

    Raises: ValueError when the rule is unknown, or ``least`` no share from 0 to 0.5.

    >>> from waypost.outcomes import example_table
    >>> router = Retrieval().fit(example_table(300))
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[best] for best in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    >>> router.without_model("large").models
    ('tiny', 'maths-expert')

    Source: RouterRetriever (Lee et al. 2025, arXiv 2409.02685).  The paper takes the highest mean similarity, its
    public code the nearest pilot; both are here.  The paper gives no quality, and of equal scores takes the first
    expert; we take the one that is better in the domain, and where an expert was not measured its mean in the domain.
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "similarity"
    independent_heads: ClassVar[bool] = False  # in a fit an expert takes queries from the others' pilots
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"rule": RULES, "least": (0.0, 0.2)}

    rule: str = "nearest"
    least: float = 0.2
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    domains: tuple[str, ...] = field(default=(), init=False)
    centers_GD: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    pilots_PD: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    owner_P: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), init=False)
    means_GM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    errors_GM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    scale: SimilarityScale = field(default_factory=SimilarityScale, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule must be {' or '.join(RULES)}, got {self.rule!r}")
        if not 0 <= self.least <= 0.5:
            raise ValueError(f"least must be a share from 0 to 0.5, got {self.least}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Make the pilots, and learn what a similarity means for quality."""
        table = targets(outcomes)
        m = len(table.models)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        features_ND = features(self.encoder, table.prompts)
        self.costs = Costs.fitted(features_ND, table, dim=self.encoder.dim)
        vectors_ND, weight_N = features_ND[:, : self.encoder.dim], table.weight_N / table.weight_N.mean()
        names, domain_N = np.unique(np.array(table.groups, dtype=object), return_inverse=True)
        self.domains, quality_NM = tuple(map(str, names)), table.values_NK[:, :m]
        self.means_GM, _ = group_means(quality_NM, weight_N, domain_N, groups=len(names), prior=_PRIOR)
        self.centers_GD, _ = centers(vectors_ND, weight_N, domain_N, len(names))
        best_N = best_of(quality_NM, np.nan_to_num(self.means_GM, nan=-1.0)[domain_N])
        self.pilots_PD, self.owner_P, similarity_NP = pilots(
            vectors_ND, weight_N, domain_N, best_N, models=m, least=self.least
        )
        near_N = self._domain(vectors_ND)
        similarity_NM = by_expert(similarity_NP, self.owner_P, m, self.rule)
        self.scale = SimilarityScale.fitted(similarity_NM, quality_NM, near_N, weight_N, domains=len(names))
        self.errors_GM = errors(quality_NM - self._quality(similarity_NM, near_N), near_N, len(names))
        return self

    def _domain(self, vectors_ND: Floats) -> NDArray[np.intp]:
        """The domain whose prompts are most similar on average."""
        return np.asarray((vectors_ND @ self.centers_GD.T).argmax(axis=1))

    def _similarity(self, vectors_ND: Floats) -> Floats:
        return by_expert(vectors_ND @ self.pilots_PD.T, self.owner_P, len(self.models), self.rule)

    def _quality(self, similarity_NM: Floats, domain_N: NDArray[np.intp]) -> Floats:
        """Expected of each expert; of one without a pilot what it does in the domain, below the best."""
        quality_NM = self.scale(similarity_NM, domain_N)
        below_N1 = np.nan_to_num(quality_NM).max(axis=1, keepdims=True) - _BELOW
        return np.where(np.isnan(quality_NM), np.minimum(self.means_GM[domain_N], below_N1), quality_NM)

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Compare each prompt with the pilots."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        vectors_ND = features_ND[:, : self.encoder.dim]
        domain_N = self._domain(vectors_ND)
        quality_NM = self._quality(self._similarity(vectors_ND), domain_N)
        return prediction(self.models, np.hstack([quality_NM, self.costs(features_ND)]), self.errors_GM[domain_N])

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """This router with one more expert, of the rows where it met others: those it won are its pilots.

        Raises:
            NotFitted: there is nothing to add to yet.
            BadInput: the name is taken, or the expert never met another.
        """
        check_prompts(self.models, ())
        met = Met.of(card.name, self.models, outcomes)
        features_nD = features(self.encoder, met.prompts)
        group_of = dict(zip(outcomes.prompts, outcomes.groups, strict=True))
        vectors_nD, weight_n = features_nD[:, : self.encoder.dim], met.weight_n
        lost_nM = (met.others_nM > 0) & (met.beaten_nM == 0)
        won = np.flatnonzero(~lost_nM.any(axis=1) & (met.beaten_nM == 1).any(axis=1))
        made = copy(self)
        made.models, made.costs = (
            (*self.models, card.name),
            costs_with(self.costs, features_nD, met.rows, dim=self.encoder.dim),
        )
        if len(won):
            names, pilot_n = np.unique([group_of[met.prompts[n]] for n in won], return_inverse=True)
            pilots_pD, _ = centers(vectors_nD[won], weight_n[won], pilot_n, len(names))
            made.pilots_PD = np.vstack([self.pilots_PD, pilots_pD])
            made.owner_P = np.append(self.owner_P, np.full(len(names), len(self.models)))
        domain_n = self._domain(vectors_nD)
        quality_n1 = met.quality_n[:, None]
        means_G1, _ = group_means(quality_n1, weight_n, domain_n, groups=len(self.domains), prior=_PRIOR)
        made.means_GM = np.hstack([self.means_GM, means_G1])
        quality_nM = made._quality(made._similarity(vectors_nD), domain_n)
        errors_G1 = errors(quality_n1 - quality_nM[:, -1:], domain_n, len(self.domains))
        made.errors_GM = np.hstack([self.errors_GM, errors_G1])
        return made

    def without_model(self, name: str) -> Self:
        """This router with one expert less.

        Raises:
            NotFitted: there is nothing to take from yet.
            UnknownModel: it has no such expert.
            BadInput: it is the last one that has a pilot.
        """
        check_prompts(self.models, ())
        if name not in self.models:
            raise UnknownModel(name, self.models)
        column, m = self.models.index(name), len(self.models)
        made, kept_P = copy(self), self.owner_P != column
        if not kept_P.any():
            raise BadInput(f"'{name}' is the only expert that was ever best; without it there is nothing to go by")
        made.models = tuple(model for model in self.models if model != name)
        made.pilots_PD, owner_P = self.pilots_PD[kept_P], self.owner_P[kept_P]
        made.owner_P = owner_P - (owner_P > column)
        made.means_GM, made.errors_GM = (np.delete(a_GM, column, axis=1) for a_GM in (self.means_GM, self.errors_GM))
        places = [column, m + column]
        heads_DK, bias_K = np.delete(self.costs.heads_DK, places, axis=1), np.delete(self.costs.bias_K, places)
        made.costs = replace(self.costs, heads_DK=heads_DK, bias_K=bias_K)
        return made

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"rule": "mean", "least": 0.0}]
