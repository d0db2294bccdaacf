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

    ``score`` is the mean of quality less what was paid at the objective's weights, over the ``n`` questions where the
    choice was measured; ``lead`` how much more that is than with the first settings tried, on the questions where both
    choices were, and ``lead_error`` its standard error.
    """

    settings: Mapping[str, Any]
    score: float
    n: int
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

    Questions of one of ``clusters_N``, such as duplicates, are in one fold.  Best is who leads the first most, question
    by question; equal leads keep the order of ``tried``, so the defaults, which come first, stay unless something is
    better.  A model without a score in some fold, or outside it, is left out there.  ``trying`` is told what is next.

    Raises:
        BadInput: there are fewer questions than folds, or hardly any model is measured often enough to be in each, or
            the objective has a budget, by which no question has a value.

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
    parts = list(_folds(table, folds, seed, clusters_N))
    earned = []
    for number, settings in enumerate(tried):
        if trying is not None:
            trying(number, settings)
        value_N = np.full(len(table), np.nan)
        for part, test_N in parts:
            made = make(settings).fit(part.select(~test_N))
            value_N[test_N] = _values(made, part.select(test_N), objective, cards)
        earned.append(value_N)
    rows = zip(tried, earned, strict=True)
    trials = [_trial(settings, value_N, earned[0], table.weight_N) for settings, value_N in rows]
    return sorted(trials, key=lambda trial: -trial.lead)


def _folds(
    table: Outcomes, folds: int, seed: int, clusters_N: NDArray[np.intp] | None
) -> Iterator[tuple[Outcomes, NDArray[np.bool_]]]:
    """The rows of each fold, with the table of the models that are measured both in it and outside it."""
    kinds, kind_N = np.unique(np.arange(len(table)) if clusters_N is None else clusters_N, return_inverse=True)
    if len(kinds) < folds:
        raise BadInput(f"{len(kinds)} different questions cannot be cut into {folds} folds; give a larger table")
    fold_N = (np.random.default_rng(seed).permutation(len(kinds)) % folds)[kind_N]
    known_NM = ~np.isnan(table.quality_NM) & (table.weight_N > 0)[:, None]
    for fold in range(folds):
        test_N = fold_N == fold
        both_M = known_NM[test_N].any(axis=0) & known_NM[~test_N].any(axis=0)
        models = tuple(name for name, both in zip(table.models, both_M, strict=True) if both)
        if len(models) < 2:
            raise BadInput(f"only {', '.join(models) or 'no model'} is measured in and outside of fold {fold + 1} of "
                           f"{folds}; --tune needs two models with more rows than that")  # fmt: skip
        yield table if len(models) == len(table.models) else table.only(models), test_N


def _values(made: Any, table: Outcomes, objective: Objective, cards: Mapping[str, ModelCard] | None) -> Floats:
    """What each question was worth: quality less money and time at their weights, NaN where it was not measured."""
    earned = play(made, table, objective, cards)
    value_N = objective.quality * earned.quality_N
    for weight, paid_N in ((objective.usd, earned.usd_N), (objective.seconds, earned.seconds_N)):
        if weight:
            value_N = value_N - weight * paid_N
    return value_N


def _trial(settings: Mapping[str, Any], value_N: Floats, first_N: Floats, weight_N: Floats) -> Trial:
    known_N = ~np.isnan(value_N) & (weight_N > 0)
    both_N = known_N & ~np.isnan(first_N)
    share_N = weight_N[both_N] / weight_N[both_N].sum()
    ahead_N = value_N[both_N] - first_N[both_N]
    lead = float(share_N @ ahead_N)
    error = float(np.sqrt(np.square(share_N * (ahead_N - lead)).sum()))
    score = float(np.average(value_N[known_N], weights=weight_N[known_N]))
    return Trial(settings, score, int(known_N.sum()), lead, error)
