"""A linear support vector machine for each model's quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.regressors import per_model
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, Prediction


@dataclass
class SVM:
    """Support vector regression from the prompt's vector, one line a model (RouterBench, Hu et al. 2024, 2403.12031).

    A line is fitted so that few rows lie farther than ``epsilon`` from it, each counting by how far it does, against
    ``c`` times less of slope.  Distances that are not squared aim at the median: a model that is right in most of
    such prompts is expected to be right, and its odds are not told.  So it suits choosing better than weighing;
    ``squared`` aims at the mean.  scikit-learn's ``LinearSVR`` does the work, with its own defaults as in the paper's
    public code; what is kept are the lines, and predictions equal its own, kept within 0..1.

    Differs: costs are predicted for each prompt (ridge heads), where the public code has prices per token; rows have
    weights; a model with fewer than 20 rows is expected to do as it does on average; the encoder is ours.  The spread
    is a linear head's standard error, with the errors on a tenth of the prompts that was held out.

    Raises:
        ValueError: c is not above 0, or epsilon is below 0.

    >>> from waypost.outcomes import example_table
    >>> router = SVM(squared=True).fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "supervised"
    grid: ClassVar[dict[str, tuple[object, ...]]] = {"squared": (False, True), "c": (0.1, 1.0)}

    c: float = 1.0
    epsilon: float = 0.0
    squared: bool = False
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    heads_DM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    bias_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    costs: Costs = field(default_factory=Costs, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)

    def __post_init__(self) -> None:
        if self.c <= 0:
            raise ValueError(f"c must be above 0, got {self.c}")
        if self.epsilon < 0:
            raise ValueError(f"epsilon must be at least 0, got {self.epsilon}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit a line for each model, and the costs."""
        table = targets(outcomes)
        dim = self.encoder.dim
        features_ND = features(self.encoder, table.prompts)
        x_ND = features_ND[:, :dim]
        lines, mean_M, error_RM = per_model(x_ND, table, self._regressor)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.heads_DM = np.column_stack([np.zeros(dim) if line is None else line.coef_ for line in lines])
        self.bias_M = np.array([mean_M[m] if line is None else line.intercept_[0] for m, line in enumerate(lines)])
        self.costs = Costs.fitted(features_ND, table, dim=dim)
        self.doubt = Doubt.fitted(x_ND, error_RM, table.weight_N)
        return self

    def _regressor(self) -> Any:
        from sklearn.svm import LinearSVR

        loss = "squared_epsilon_insensitive" if self.squared else "epsilon_insensitive"
        return LinearSVR(C=self.c, epsilon=self.epsilon, loss=loss, random_state=self.seed)

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """One matrix product for all lines."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        x_ND = features_ND[:, : self.encoder.dim]
        values_NK = np.hstack([x_ND @ self.heads_DM + self.bias_M, self.costs(features_ND)])
        return prediction(self.models, values_NK, self.doubt(x_ND))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"squared": True, "c": 0.3}]
