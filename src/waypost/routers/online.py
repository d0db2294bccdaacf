"""What a router that learns while it serves can do beside predicting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

import numpy as np

from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.types import Floats, ModelCard, Prediction, Query


@runtime_checkable
class Online(Protocol):
    """A router that explores and is told what came of it (`waypost.routers.LinUCB`, `waypost.routers.Thompson`).

    `predict` stays pure.  To serve: draw a model from `propensities`, log them, keep `context`, and when the outcome
    comes `learn` it; `update` does the last two where the prompt is still at hand.  All of it is thread-safe, and
    draws come from the caller's ``rng``, so the same seed and state give the same.
    """

    models: tuple[str, ...]

    def fit(self, outcomes: Outcomes) -> Self:
        """Start warm from a table."""
        ...

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What is expected of each model."""
        ...

    def explore(self, prompts: Sequence[str], rng: np.random.Generator | int = 0) -> Prediction:
        """What to believe for the sake of learning: optimistic or drawn."""
        ...

    def propensities(
        self,
        prompts: Sequence[str],
        objective: Objective,
        cards: Mapping[str, ModelCard],
        rng: np.random.Generator | int = 0,
        query: Query | None = None,
    ) -> Floats:
        """The probability with which each model is to be chosen, (N, M)."""
        ...

    def context(self, prompts: Sequence[str]) -> Floats:
        """What has to be kept of each prompt until its outcome comes, (N, D)."""
        ...

    def learn(
        self, context: Sequence[float] | Floats, model: str, quality: float, propensity: float = 1.0,
        usd: float | None = None, seconds: float | None = None,
    ) -> None:  # fmt: skip
        """The outcome of a model on a prompt with this context."""
        ...

    def update(
        self, prompt: str, model: str, quality: float, propensity: float = 1.0,
        usd: float | None = None, seconds: float | None = None,
    ) -> None:  # fmt: skip
        """The outcome of a model on this prompt."""
        ...

    def snapshot(self) -> Self:
        """A router that stays as this one is now, to be saved while others go on telling."""
        ...
