"""What is audited: a fitted router with its trade-off, as a function from prompts to models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput, UnknownModel
from waypost.objective import Objective
from waypost.routers import Head
from waypost.types import ModelCard, Prediction

# What some prompt looks like, to learn from one prediction which models there are.
_ANY = "Hello"


@dataclass(frozen=True)
class Subject:
    """A fitted router (or a cascade's head) under audit.

    ``quality`` is each model's mean on the table; ``strong`` is the model that the others are weak beside, by default
    the best of them.  A cascade's head is audited for the model that is asked first, the cheapest it expects.

    Raises:
        UnknownModel: ``strong`` is not a model of the router.
        BadInput: the router chooses models of which no quality is known, or does not predict as a router does.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> table = example_table()
    >>> quality = {name: mean for name, (mean, _) in table.means().items()}
    >>> subject = Subject("ridge", make("ridge").fit(table), quality)
    >>> subject.strong, subject.chosen(["What is 17 plus 26?"])
    ('large', ['maths-expert'])
    """

    name: str
    made: Any
    quality: Mapping[str, float]
    cards: Mapping[str, ModelCard] | None = None
    objective: Objective = field(default_factory=Objective)
    designated: str | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.models if name not in self.quality]:
            raise BadInput(
                f"'{self.name}' chooses {unknown[0]!r}, which the table does not have; it has "
                f"{', '.join(self.quality)}; give the table that the router was trained on"
            )
        if self.designated is not None and self.designated not in self.models:
            raise UnknownModel(self.designated, self.models)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models that the router chooses from."""
        return self._predicted([_ANY]).models

    @property
    def strong(self) -> str:
        """The model that was designated, or the best on the table; of equals the first by name."""
        return self.designated or min(self.models, key=lambda name: (-self.quality[name], name))

    @property
    def weak_M(self) -> NDArray[np.bool_]:
        """Which models are weak: all but the designated one, or all of lower mean quality than the best."""
        if self.designated is not None:
            return np.array([name != self.designated for name in self.models])
        return np.array([self.quality[name] < self.quality[self.strong] for name in self.models])

    @property
    def blind(self) -> bool:
        """Whether the router says of itself that it does not look at the prompt."""
        return getattr(self.made, "looks_at", "") in ("nothing", "prices")

    @property
    def cascade(self) -> bool:
        """Whether it is the head of a cascade, which looks at answers before it goes on."""
        return isinstance(self.made, Head)

    def choose(self, prompts: Sequence[str]) -> NDArray[np.intp]:
        """The column in ``models`` of the model asked first for each prompt, (N,)."""
        if not len(prompts):
            return np.zeros(0, dtype=np.intp)
        prediction = self._predicted(prompts)
        return self._trade_off.choose_many(prediction, self._cards(prediction.models))

    def chosen(self, prompts: Sequence[str]) -> list[str]:
        """The names of the models asked first."""
        return [self.models[column] for column in self.choose(prompts)]

    def refitted(self, made: Any) -> Subject:
        """The same audit of another router."""
        return replace(self, made=made)

    @property
    def _trade_off(self) -> Objective:
        if self.cascade:  # it asks the cheapest first
            return replace(self.objective, quality=0.0, usd=1.0, seconds=0.0, risk=0.0, flags={})
        return self.objective

    def _cards(self, models: Sequence[str]) -> Mapping[str, ModelCard]:
        return self.cards or {name: ModelCard(name) for name in models}

    def _predicted(self, prompts: Sequence[str]) -> Prediction:
        prediction = self.made.predict(prompts)
        if not isinstance(prediction, Prediction):
            raise BadInput(f"'{self.name}' must predict a waypost.Prediction, got a {type(prediction).__name__}")
        shape = (len(prompts), len(prediction.models))
        if wrong := [np.shape(array) for array in prediction[1:] if np.shape(array) != shape]:
            raise BadInput(
                f"'{self.name}' predicted an array of shape {wrong[0]}, expected (prompts, models) = {shape}"
            )
        return prediction
