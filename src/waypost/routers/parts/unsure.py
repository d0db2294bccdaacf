"""Below which probability of its category a prompt is better sent to a generalist: chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from waypost.outcomes import Outcomes
from waypost.routers.domain import Domain
from waypost.routers.parts.groups import group_means
from waypost.routers.parts.targets import Targets
from waypost.types import Floats

_FOLDS = 3
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.4)  # of the training prompts, sent to the generalist: what is tried


def held_out(make: Callable[[], Domain], fitted: Domain, outcomes: Outcomes) -> Floats:
    """Probabilities (N, G) of the domains of ``fitted``, by classifiers that have not seen the prompt."""
    odds_NG, fold_N = fitted.probabilities(outcomes.prompts), _folds(outcomes.prompts)
    # A classifier looks at prompts and groups alone, and a fold may lack every score of a model.
    nothing_NM = np.full(outcomes.quality_NM.shape, np.nan)
    unscored = replace(
        outcomes, quality_NM=np.zeros_like(nothing_NM), usd_NM=nothing_NM, seconds_NM=nothing_NM, recorded=None
    )
    for fold in range(_FOLDS):
        seen = np.flatnonzero(fold_N != fold)
        if len({outcomes.groups[n] for n in seen if outcomes.weight_N[n] > 0}) < 2:
            continue  # too few rows to tell: the classifier that has seen them stands in
        found = make().fit(unscored.select(seen))
        rows = np.flatnonzero(fold_N == fold)
        odds_NG[rows] = 0
        columns = np.searchsorted(fitted.domains, found.domains)
        odds_NG[np.ix_(rows, columns)] = found.probabilities([outcomes.prompts[n] for n in rows])
    return odds_NG


def threshold(table: Targets, group_N: NDArray[np.intp], odds_NG: Floats, prior: float) -> float:
    """The threshold that earned most on held-out prompts with every model at hand; of equals the least used.

    The generalist, like each group's expert, is the model that did best on the other folds' prompts.
    """
    sure_N, guess_N, fold_N = odds_NG.max(axis=1), odds_NG.argmax(axis=1), _folds(table.prompts)
    m, unsure = len(table.models), odds_NG.shape[1]
    expert_NC = np.empty((len(sure_N), unsure + 1), dtype=np.intp)
    for fold in range(_FOLDS):
        rest_N = fold_N != fold
        rest = (table.values_NK[rest_N, :m], table.weight_N[rest_N], group_N[rest_N])
        means_CM, _ = group_means(*rest, groups=unsure + 1, prior=prior)  # the last is without rows
        expert_NC[~rest_N] = np.nan_to_num(means_CM, nan=-1).argmax(axis=1)
    rows = np.arange(len(sure_N))
    thresholds = [float(np.quantile(sure_N, share)) if share else 0.0 for share in _SHARES]
    earned = []
    for least in thresholds:
        got_N = table.values_NK[rows, expert_NC[rows, np.where(sure_N < least, unsure, guess_N)]]
        known_N = ~np.isnan(got_N) & (table.weight_N > 0)
        earned.append(np.average(got_N[known_N], weights=table.weight_N[known_N]) if known_N.any() else 0.0)
    return thresholds[int(np.argmax(np.round(earned, 12)))]


def _folds(prompts: Sequence[str]) -> NDArray[np.intp]:
    """The fold of each row; all rows of one prompt are in one."""
    return np.asarray(np.unique(np.array(prompts, dtype=object), return_inverse=True)[1] % _FOLDS)
