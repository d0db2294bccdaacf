"""How a layer's control changes as training goes on: a pure function from the step to a `Control`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from waypost.errors import BadInput
from waypost.experts.routing import Control

#: How far along, from 0 at the first step to 1 at the last, as a share of the way from first to last value.
#: "exponential" comes 1 % nearer in each of 300 pieces, as in Random-MoE-as-Dropout, and here arrives at the end.
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "cosine": lambda share: (1 - math.cos(math.pi * share)) / 2,
    "exponential": lambda share: (1 - 0.99 ** (300 * share)) / (1 - 0.99**300),
}


@dataclass(frozen=True)
class Ramp:
    """A number that goes from ``first`` to ``last`` over ``steps`` steps, and stays there.

    >>> ramp = Ramp(1, 8, steps=100)
    >>> [ramp.at(step) for step in (0, 50, 100, 200)]
    [1.0, 4.5, 8.0, 8.0]
    """

    first: float
    last: float
    steps: int
    shape: Literal["linear", "cosine", "exponential"] = "linear"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps is {self.steps}; a ramp has at least 1")
        if self.shape not in SHAPES:
            raise BadInput(f"shape is {self.shape!r}; it is one of {', '.join(SHAPES)}")

    def at(self, step: int) -> float:
        """The value at a step."""
        return self.first + (self.last - self.first) * SHAPES[self.shape](min(max(step / self.steps, 0.0), 1.0))


@dataclass(frozen=True)
class Steps:
    """A number that takes each of ``values`` in turn, all for equally long within ``steps`` steps, and keeps the last.

    Reference: the multi-step schedule of Random-MoE-as-Dropout, the code of Chen et al. 2023.

    >>> [Steps((1, 2, 4, 8, 16), steps=100).at(step) for step in (0, 19, 20, 79, 80, 200)]
    [1, 1, 2, 8, 16, 16]
    """

    values: tuple[float, ...]
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput(f"steps is {self.steps}; a schedule has at least 1")
        if not self.values:
            raise BadInput("no values; a schedule takes at least 1")

    def at(self, step: int) -> float:
        """The value at a step."""
        return self.values[min(max(len(self.values) * step // self.steps, 0), len(self.values) - 1)]


@dataclass(frozen=True)
class Schedule:
    """What changes while training: the number of experts, the temperature, and the stages.

    ``stages`` are the steps at which stage 2, 3, … begin.  With ``freeze_from`` routers stop learning at that step.

    Reference: the growing k of Chen et al. 2023, "Sparse MoE as the New Dropout"; the stages of Dai et al. 2022,
    "StableMoE".

    >>> schedule = Schedule(k=Ramp(1, 4, steps=10), stages=(8,))
    >>> [(schedule.at(step).k, schedule.at(step).stage) for step in (0, 5, 10)]
    [(1, 1), (2, 1), (4, 2)]
    """

    k: Ramp | Steps | None = None
    temperature: Ramp | Steps = field(default_factory=lambda: Ramp(1.0, 1.0, steps=1))
    stages: tuple[int, ...] = ()
    freeze_from: int | None = None

    def at(self, step: int) -> Control:
        """How the layer is to behave at a step."""
        return Control(
            k=None if self.k is None else round(self.k.at(step)),
            temperature=self.temperature.at(step),
            stage=1 + sum(step >= begins for begins in self.stages),
            frozen=self.freeze_from is not None and step >= self.freeze_from,
        )
