"""One linear head per model for quality and one each for its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.features import features, single_features
from waypost.routers.parts.linear import features_of, fit_heads, unscaled
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, Prediction


@dataclass
class Ridge:
    """Ridge regression from the prompt's vector and surface to each model's quality, USD and seconds.

    ``alpha`` is the penalty; None picks one per head by leave-one-out error, in closed form (the PRESS statistic of
    Allen 1974; Golub, Heath & Wahba 1979).  A head sees only the prompts on which its model was measured, and no
    other head.  The spread is the head's standard error at the prompt: sigma * sqrt(x' (X'WX + alpha I)^-1 x).

    >>> from waypost.outcomes import example_table
    >>> router = Ridge().fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface"
    learns: ClassVar[str] = "supervised"
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"alpha": (1.0, 10.0, 100.0)}

    alpha: float | None = None
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    center_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    scale_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    heads_DK: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    bias_K: Floats = field(default_factory=lambda: np.empty(0), init=False)
    roots_DD: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    sigma_M: Floats = field(default_factory=lambda: np.empty(0), init=False)

    def __post_init__(self) -> None:
        if self.alpha is not None and self.alpha <= 0:
            raise ValueError(f"alpha must be above 0 (or None to choose it), got {self.alpha}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit all heads."""
        table = targets(outcomes)
        m = len(table.models)
        features_ND = features_of(table.prompts, partial(features, self.encoder))
        fit = fit_heads(features_ND, table.values_NK, table.weight_N, dim=self.encoder.dim, alpha=self.alpha)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        for folded in ("_heads", "_roots"):
            vars(self).pop(folded, None)
        self.center_D, self.scale_D, self.heads_DK, self.bias_K = fit[:4]
        self.sigma_M = fit.sigma_K[:m]
        values_D, vectors_DD = np.linalg.eigh(fit.gram_DD)
        typical_alpha = float(np.median(fit.alpha_K[:m]))
        self.roots_DD = (vectors_DD / np.sqrt(np.maximum(values_D, 0) + typical_alpha)).astype(np.float32)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """One matrix product for all models, and one for the doubt."""
        x_ND, values_NK = self._values(prompts)
        roots_DD, shift_D = self._roots
        rooted_ND = x_ND @ roots_DD + shift_D
        spread_NM = np.sqrt(np.vecdot(rooted_ND, rooted_ND))[:, None] * self.sigma_M
        return prediction(self.models, values_NK, spread_NM)

    def expect(self, prompts: Sequence[str]) -> Prediction:
        """`predict` without the spread, which takes most of its memory."""
        return prediction(self.models, self._values(prompts)[1], None)

    def _values(self, prompts: Sequence[str]) -> tuple[NDArray[np.float32], Floats]:
        """Features as they come, and the heads' estimates."""
        check_prompts(self.models, prompts)
        x_ND = single_features(self.encoder, prompts)
        heads_DK, shift_K = self._heads
        return x_ND, x_ND.dot(heads_DK) + shift_K

    @cached_property
    def _heads(self) -> tuple[NDArray[np.float32], Floats]:
        heads_DK, shift_K = unscaled(self.center_D, self.scale_D, self.heads_DK)
        return heads_DK, shift_K + self.bias_K

    @cached_property
    def _roots(self) -> tuple[NDArray[np.float32], Floats]:
        return unscaled(self.center_D, self.scale_D, self.roots_DD)

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"alpha": 10.0}]
