"""The cheapest model for every prompt: the other end of the trade-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from waypost.outcomes import Outcomes
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.types import Floats, ModelCard, Prediction

_TYPICAL_TOKENS = (200, 200)


@dataclass
class Cheapest:
    """Expects the same quality of every model, so that an objective's tie-break takes the least cost.

    >>> from waypost.outcomes import example_table
    >>> expected = Cheapest().fit(example_table()).predict(["anything"])
    >>> expected.models[expected.usd_NM.argmin()], expected.quality_NM.tolist()
    ('tiny', [[0.5, 0.5, 0.5]])
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prices"
    learns: ClassVar[str] = "means"

    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    costs_K: Floats = field(default_factory=lambda: np.empty(0), init=False)

    def fit(self, outcomes: Outcomes) -> Self:
        """Take each model's mean USD and seconds."""
        table = targets(outcomes)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.costs_K = column_means(table.values_NK, table.weight_N)[len(table.models) :]
        return self

    @classmethod
    def from_cards(cls, cards: Mapping[str, ModelCard]) -> Self:
        """Without a table: the cost of a typical call (200 tokens in, 200 out) at each card's price.

        >>> Cheapest.from_cards({"a": ModelCard("a", 1.0, 1.0)}).predict(["Hi"]).usd_NM.round(6).tolist()
        [[0.0004]]
        """
        router = cls()
        router.models = tuple(cards)
        usd = [np.nan if (u := card.usd(*_TYPICAL_TOKENS)) is None else u for card in cards.values()]
        router.costs_K = np.array([*usd, *np.full(len(usd), np.nan)])
        return router

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """The same row for every prompt."""
        check_prompts(self.models, prompts)
        n, m = len(prompts), len(self.models)
        values_K = np.concatenate([np.full(m, 0.5), self.costs_K])
        return prediction(self.models, np.tile(values_K, (n, 1)), np.full((n, m), 0.5))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}]
