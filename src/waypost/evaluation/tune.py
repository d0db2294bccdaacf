"""Settings of a router, chosen by cross-validation within the training questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.evaluation.play import play
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.types import Floats, ModelCard

_FOLDS = 5


@dataclass(frozen=True)
class Trial:
    """What a router with some settings earned on questions that it was not fitted on.

    ``score`` is the mean of quality less what was paid at the objective's weights; ``lead`` how much more that is than
    with the first settings tried, and ``lead_error`` the standard error of the lead, questions paired.
    """

    settings: Mapping[str, Any]
    score: float
    lead: float
    lead_error: float


def candidates(grid: Mapping[str, Sequence[Any]], fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations of a grid with what is ``fixed``, the defaults (only what is fixed) first.

    >>> candidates({"k": (5, 10), "seed": (0, 1)}, {"seed": 3})
    [{'seed': 3}, {'seed': 3, 'k': 5}, {'seed': 3, 'k': 10}]
    """
    free = {name: values for name, values in grid.items() if name not in fixed}
    combined = [dict(zip(free, values, strict=True)) for values in product(*free.values())] if free else []
    return [dict(fixed), *({**fixed, **settings} for settings in combined)]


def tune(
    make: Callable[[Mapping[str, Any]], Any],
    tried: Sequence[Mapping[str, Any]],
    table: Outcomes,
    *,
    objective: Objective,
    cards: Mapping[str, ModelCard] | None = None,
    clusters_N: NDArray[np.intp] | None = None,
    folds: int = _FOLDS,
    seed: int = 0,
    trying: Callable[[int, Mapping[str, Any]], None] | None = None,
) -> list[Trial]:
    """Fit a router with each of some settings on all folds but one and play it on that one; best first.

    Questions of one of ``clusters_N``, such as duplicates, are in one fold.  Equal scores keep the order of ``tried``,
    so the defaults, which come first, stay unless something is better.  ``trying`` is told what comes next.

    Raises:
        BadInput: there are fewer questions than folds, or the objective has a budget, by which no question has a value.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> tried = candidates({"k": (1, 40)}, {})
    >>> best, *_ = tune(lambda settings: make("knn", **settings), tried, example_table(200), objective=Objective())
    >>> best.settings == {"k": 1}
    False
    """
    if objective.budget is not None:
        raise BadInput(
            "settings are compared by what a question is worth, which a budget does not say; give usd=… instead"
        )
    parts = list(_folds(len(table), folds, seed, clusters_N))
    earned = []
    for number, settings in enumerate(tried):
        if trying is not None:
            trying(number, settings)
        value_N = np.full(len(table), np.nan)
        for train_N, test_N in parts:
            made = make(settings).fit(table.select(train_N))
            value_N[test_N] = _values(made, table.select(test_N), objective, cards)
        earned.append(value_N)
    trials = [_trial(settings, value_N, earned[0]) for settings, value_N in zip(tried, earned, strict=True)]
    return sorted(trials, key=lambda trial: -trial.score)


def _folds(
    n: int, folds: int, seed: int, clusters_N: NDArray[np.intp] | None
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    kinds, kind_N = np.unique(np.arange(n) if clusters_N is None else clusters_N, return_inverse=True)
    if len(kinds) < folds:
        raise BadInput(f"{len(kinds)} different questions cannot be cut into {folds} folds; give a larger table")
    fold_N = (np.random.default_rng(seed).permutation(len(kinds)) % folds)[kind_N]
    for fold in range(folds):
        yield fold_N != fold, fold_N == fold


def _values(made: Any, table: Outcomes, objective: Objective, cards: Mapping[str, ModelCard] | None) -> Floats:
    """What each question was worth: quality less money and time at their weights, NaN where it was not measured."""
    earned = play(made, table, objective, cards)
    value_N = objective.quality * earned.quality_N
    for weight, paid_N in ((objective.usd, earned.usd_N), (objective.seconds, earned.seconds_N)):
        if weight:
            value_N = value_N - weight * paid_N
    return value_N


def _trial(settings: Mapping[str, Any], value_N: Floats, first_N: Floats) -> Trial:
    known_N = ~np.isnan(value_N) & ~np.isnan(first_N)
    lead_N = value_N[known_N] - first_N[known_N]
    error = float(lead_N.std(ddof=1) / np.sqrt(len(lead_N))) if len(lead_N) > 1 else float("nan")
    return Trial(settings, float(np.nanmean(value_N)), float(lead_N.mean()), error)
