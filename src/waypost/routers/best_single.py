"""The best model on average, for every prompt: the line that a router must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from waypost.outcomes import Outcomes
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.types import Floats, Prediction


@dataclass
class BestSingle:
    """Expects of each model its mean over the training table, whatever the prompt.

    >>> from waypost.outcomes import example_table
    >>> router = BestSingle().fit(example_table())
    >>> best = router.predict(["anything"]).quality_NM.argmax()
    >>> router.models[best]
    'large'
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "nothing"
    learns: ClassVar[str] = "means"

    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    means_K: Floats = field(default_factory=lambda: np.empty(0), init=False)
    spread_M: Floats = field(default_factory=lambda: np.empty(0), init=False)

    def fit(self, outcomes: Outcomes) -> Self:
        """Take the weighted means of the measured cells."""
        table = targets(outcomes)
        m = len(table.models)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.means_K = column_means(table.values_NK, table.weight_N)
        quality_NM = table.values_NK[:, :m]
        count_M = (~np.isnan(quality_NM)).sum(axis=0)
        variance_M = column_means((quality_NM - self.means_K[:m]) ** 2, table.weight_N)
        self.spread_M = np.sqrt(variance_M / count_M)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """The same row for every prompt."""
        check_prompts(self.models, prompts)
        n = len(prompts)
        return prediction(self.models, np.tile(self.means_K, (n, 1)), np.tile(self.spread_M, (n, 1)))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}]
