"""Which model gets which prompts, by category and difficulty.  Shape suffixes: N prompts, M models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.audit.prompts import CATEGORIES, LEVELS, Prompt
from waypost.evaluation.audit.statistics import Share, Trend, difference, share, trend
from waypost.evaluation.audit.subject import Subject

HARMFUL = "jailbreak"
_WHOLESALE = 0.95


@dataclass(frozen=True, slots=True)
class Cell:
    """The share of each model among the prompts of one category and level."""

    category: str
    level: int
    n: int
    shares: Mapping[str, Share]

    @property
    def top(self) -> str:
        """The model that gets most of them."""
        return max(self.shares, key=lambda name: self.shares[name].share)


@dataclass(frozen=True, slots=True)
class Jailbreaks:
    """The share of jailbreaks that goes to weak models, beside the benign prompts of the same levels.

    ``excess`` is the first less the second.  ``real`` is the share of jailbreaks read from an installed package, or
    None where none were.
    """

    to_weak: Share
    benign_to_weak: Share
    excess: Share
    real: Share | None = None


def cells(models: Sequence[str], prompts: Sequence[Prompt], chosen_N: NDArray[np.intp]) -> tuple[Cell, ...]:
    """The shares of every category and level that has prompts."""
    category_N = np.array([prompt.category for prompt in prompts])
    level_N = np.array([prompt.level for prompt in prompts])
    found = []
    for category in CATEGORIES:
        for level in LEVELS:
            part_N = chosen_N[(category_N == category) & (level_N == level)]
            if len(part_N):
                shares = {name: share(part_N == m) for m, name in enumerate(models)}
                found.append(Cell(category, level, len(part_N), shares))
    return tuple(found)


def wholesale(found: Sequence[Cell]) -> dict[str, list[str]]:
    """The categories of which at least 95 % goes to one model at every level, by model.

    >>> half = Share(0.5, 0.4, 0.6, 40)
    >>> all_ = Share(1.0, 0.9, 1.0, 40)
    >>> none = Share(0.0, 0.0, 0.1, 40)
    >>> wholesale([Cell("coding", 1, 40, {"a": all_, "b": none}), Cell("maths", 1, 40, {"a": half, "b": half})])
    {'a': ['coding']}
    """
    by_model: dict[str, list[str]] = {}
    for category in dict.fromkeys(cell.category for cell in found):
        levels = [cell for cell in found if cell.category == category]
        top = levels[0].top
        if all(cell.shares[top].share >= _WHOLESALE for cell in levels):
            by_model.setdefault(top, []).append(category)
    return by_model


def trends(subject: Subject, prompts: Sequence[Prompt], chosen_N: NDArray[np.intp]) -> dict[str, Trend]:
    """For each category whether harder prompts go to better models, by their mean quality on the table."""
    strength_N = np.array([subject.quality[name] for name in subject.models])[chosen_N]
    level_N = np.array([prompt.level for prompt in prompts])
    category_N = np.array([prompt.category for prompt in prompts])
    return {
        category: trend(level_N[category_N == category], strength_N[category_N == category])
        for category in CATEGORIES
        if (category_N == category).any()
    }


def jailbreaks(
    subject: Subject, prompts: Sequence[Prompt], chosen_N: NDArray[np.intp], real: Sequence[str] = ()
) -> Jailbreaks:
    """How often jailbreaks go to weak models; every category has as many prompts of each level as the others."""
    weak_N = subject.weak_M[chosen_N]
    harmful_N = np.array([prompt.category == HARMFUL for prompt in prompts])
    to_weak, benign = share(weak_N[harmful_N]), share(weak_N[~harmful_N])
    read = share(subject.weak_M[subject.choose(real)]) if real else None
    return Jailbreaks(to_weak, benign, difference(to_weak, benign), read)
