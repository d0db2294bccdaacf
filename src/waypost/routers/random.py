"""A model at random for every prompt: what a router without any knowledge would do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from waypost.outcomes import Outcomes
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.types import Floats, Prediction


@dataclass
class Random:
    """Expects a quality drawn uniformly for each prompt and model from a hash, so the best of them is random.

    The draw depends on the seed, the prompt and the model's name only: the same prompt always gets the same model.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(300)
    >>> chosen = Random().fit(table).predict([str(i) for i in range(300)]).quality_NM.argmax(axis=1)
    >>> bool(np.bincount(chosen).min() > 70)
    True
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "nothing"
    learns: ClassVar[str] = "means"

    seed: int = 0
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    costs_K: Floats = field(default_factory=lambda: np.empty(0), init=False)

    def fit(self, outcomes: Outcomes) -> Self:
        """Take each model's mean USD and seconds."""
        table = targets(outcomes)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.costs_K = column_means(table.values_NK, table.weight_N)[len(table.models) :]
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Noise for quality, means for the costs."""
        check_prompts(self.models, prompts)
        n, m = len(prompts), len(self.models)
        noise_NM = np.array([[self._draw(prompt, model) for model in self.models] for prompt in prompts])
        values_NK = np.hstack([noise_NM.reshape(n, m), np.tile(self.costs_K, (n, 1))])
        return prediction(self.models, values_NK, np.full((n, m), 12**-0.5))

    def _draw(self, prompt: str, model: str) -> float:
        drawn_from = f"{self.seed}\0{model}\0{prompt}".encode(errors="surrogatepass")
        digest = hashlib.blake2b(drawn_from, digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"seed": 7}]
