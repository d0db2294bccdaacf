"""A classifier of domains times what each model is known to do in each domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.features import features
from waypost.routers.parts.groups import group_means
from waypost.routers.parts.linear import features_of
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, Prediction

_ROWS = 65_536  # from which the classifier and the clusters learn, and which are encoded at once


@dataclass
class Domain:
    """Multinomial logistic regression over the table's groups, then each group's shrunken mean (MoDEM, Simonds 2024).

    A group's mean leans on the model's overall mean as on ``prior`` further rows, so that small groups do not
    shout. ``c`` is the classifier's inverse penalty. A table without groups is given ``clusters`` of its own by
    k-means on the vectors (seed 0).  The paper sends each domain to one fixed expert and has no costs: USD and seconds
    are those of the shared cost head.  The spread joins the error of the means with the doubt between domains.
    Of a table beyond 65,536 rows the classifier and the clusters see every second, third … of each group; the means
    are those of all rows.

    >>> from waypost.outcomes import example_table
    >>> router = Domain().fit(example_table())
    >>> router.domain(["What is 17 plus 26?", "Fix the bug in the method garden."])
    ['maths', 'code']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "supervised"
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"c": (1.0, 30.0), "prior": (5.0, 20.0, 80.0)}

    c: float = 30.0
    prior: float = 20.0
    clusters: int = 8
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    domains: tuple[str, ...] = field(default=(), init=False)
    center_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    scale_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    weights_DG: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    bias_G: Floats = field(default_factory=lambda: np.empty(0), init=False)
    means_GM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    errors_GM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        for name in ("c", "prior", "clusters"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit the classifier and the table of means."""
        from sklearn.linear_model import LogisticRegression

        table = targets(outcomes)
        names, group_N = np.unique(self._groups(table.groups, table.prompts), return_inverse=True)
        rows = _few(group_N)
        every_ND = features_of(table.prompts, partial(features, self.encoder))
        self.costs = Costs.fitted(every_ND, table, dim=self.encoder.dim)
        if isinstance(every_ND, np.ndarray):
            features_ND = every_ND[rows]
        else:
            features_ND = features(self.encoder, [table.prompts[n] for n in rows])
        self.center_D = table.weight_N[rows] @ features_ND / table.weight_N[rows].sum()
        self.scale_D = np.ones_like(self.center_D)
        self.scale_D[self.encoder.dim :] = 16 * np.maximum(features_ND[:, self.encoder.dim :].std(axis=0), 1e-9)
        weight_N = table.weight_N / table.weight_N.mean()
        features_ND -= self.center_D
        features_ND /= self.scale_D
        model = LogisticRegression(C=self.c, max_iter=1000)
        model.fit(features_ND, group_N[rows], sample_weight=weight_N[rows])
        coef_GD, bias_G = model.coef_, model.intercept_
        if len(names) == 2:  # scikit-learn keeps one row for two classes
            coef_GD, bias_G = np.vstack([-coef_GD, coef_GD]) / 2, np.array([-bias_G[0], bias_G[0]]) / 2
        self.domains = tuple(map(str, names))
        self.weights_DG, self.bias_G = coef_GD.T.astype(np.float32), bias_G
        self.models, self.trained_on = table.models, outcomes.fingerprint
        quality_NM = table.values_NK[:, : len(table.models)]
        self.means_GM, self.errors_GM = group_means(quality_NM, weight_N, group_N, groups=len(names), prior=self.prior)
        return self

    def _groups(self, groups: Sequence[str], prompts: Sequence[str]) -> NDArray[np.object_]:
        if len(set(groups)) >= 2:
            return np.array(groups, dtype=object)
        from sklearn.cluster import KMeans

        vectors_ND = self.encoder.encode([prompts[n] for n in _few(np.zeros(len(prompts), dtype=np.intp))]).astype(
            np.float64
        )
        clusters = min(self.clusters, len(np.unique(vectors_ND, axis=0)))
        if clusters < 2:
            raise BadInput("the domain router needs prompts of at least two kinds; all of the table's are alike")
        means = KMeans(clusters, n_init=4, random_state=0).fit(vectors_ND)
        blocks = (prompts[start : start + _ROWS] for start in range(0, len(prompts), _ROWS))
        labels = np.concatenate([means.predict(self.encoder.encode(block).astype(np.float64)) for block in blocks])
        return np.array([f"cluster-{label}" for label in labels], dtype=object)

    def probabilities(self, prompts: Sequence[str]) -> Floats:
        """Probability of each of ``domains`` for each prompt, (N, G)."""
        check_prompts(self.models, prompts)
        return self._probabilities(features(self.encoder, prompts))

    def _probabilities(self, features_ND: Floats) -> Floats:
        logits_NG = ((features_ND - self.center_D) / self.scale_D) @ self.weights_DG + self.bias_G
        odds_NG = np.exp(logits_NG - logits_NG.max(axis=1, keepdims=True))
        return np.asarray(odds_NG / odds_NG.sum(axis=1, keepdims=True))

    def domain(self, prompts: Sequence[str]) -> list[str]:
        """The likeliest domain of each prompt."""
        return [self.domains[g] for g in self.probabilities(prompts).argmax(axis=1)]

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Mix the domains' means by their probability."""
        share_NG, values_NK = self._values(prompts)
        mean_NM = values_NK[:, : len(self.models)]
        second_NM = share_NG @ (np.square(self.means_GM) + np.square(self.errors_GM))
        spread_NM = np.sqrt(np.maximum(second_NM - np.square(mean_NM), 0))
        return prediction(self.models, values_NK, spread_NM)

    def expect(self, prompts: Sequence[str]) -> Prediction:
        """`predict` without the spread."""
        return prediction(self.models, self._values(prompts)[1], None)

    def _values(self, prompts: Sequence[str]) -> tuple[Floats, Floats]:
        """The domains' probabilities, and what they make of their means."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        share_NG = self._probabilities(features_ND)
        return share_NG, np.hstack([share_NG @ self.means_GM, self.costs(features_ND)])

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"c": 1.0, "prior": 5.0}]


def _few(group_N: NDArray[np.intp]) -> NDArray[np.intp]:
    """All rows, or of a large table every second, third … of each group, so that no group is left out."""
    step = -(-len(group_N) // _ROWS)
    return np.sort(np.concatenate([np.flatnonzero(group_N == g)[::step] for g in range(group_N.max() + 1)]))
