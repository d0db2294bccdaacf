"""Plays a router that learns while it serves through a recorded table: it sees only what it chose, and late.

Regret is what a reference earned more, summed over the prompts so far; "earned" is the objective's own score of the
outcome (quality less weighted costs).  Shape suffixes: N prompts in the order of play, M models, R runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadTable
from waypost.evaluation.bootstrap import resample
from waypost.evaluation.logged import Logged
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import Online
from waypost.types import Floats, ModelCard, Prediction

_RIDGE = 1.0  # of the fixed linear policy: it is fitted in hindsight on what it is measured on, so little is enough


@dataclass(frozen=True, eq=False)
class Course:
    """One run: the model chosen for each prompt, the probabilities it was drawn by, and what it earned."""

    table: Outcomes
    chosen_N: NDArray[np.intp]
    propensity_NM: Floats
    earned_N: Floats

    def logged(self) -> Logged:
        """The run as a log, as `waypost.evaluation.off_policy` takes it."""
        rows = np.arange(len(self.table))
        return Logged(
            self.table.prompts,
            self.table.models,
            self.chosen_N,
            self.propensity_NM,
            self.table.quality_NM[rows, self.chosen_N],
            self.table.usd_NM[rows, self.chosen_N],
        )


class Curve(NamedTuple):
    """Mean cumulative regret after each prompt over several runs, and its 95 % interval."""

    mean_N: Floats
    low_N: Floats
    high_N: Floats


def play_online(
    router: Online,
    table: Outcomes,
    objective: Objective | None = None,
    *,
    delay: int = 0,
    seed: int = 0,
    cards: Mapping[str, ModelCard] | None = None,
) -> Course:
    """Serve the table's prompts in the order of its rows; an outcome comes after ``delay`` further prompts.

    ``router`` is fitted or cold, and stays as it is: a snapshot of it plays.  The table is `shuffled`, `by_group` or
    `swapped` first, to say what kind of traffic it is.

    Raises:
        BadTable: a cell is missing, so that what the router may choose has no outcome; or models differ.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import LinUCB
    >>> table = example_table(400)
    >>> course = play_online(LinUCB.from_cards({name: ModelCard(name) for name in table.models}), table)
    >>> bool(course.earned_N[200:].mean() > worth(table, Objective()).mean())
    True
    """
    objective = objective or Objective()
    cards = cards or {name: ModelCard(name) for name in table.models}
    worth_NM = worth(table, objective, cards)
    if router.models != table.models:
        raise BadTable(f"the router knows {', '.join(router.models)}, the table has {', '.join(table.models)}")
    router, rng = router.snapshot(), np.random.default_rng(seed)
    context_ND, n = router.context(table.prompts), len(table)
    chosen_N, propensity_NM = np.zeros(n, dtype=np.intp), np.zeros((n, len(table.models)))
    waiting: deque[int] = deque()
    for now, prompt in enumerate(table.prompts):
        while waiting and now - waiting[0] > delay:
            past = waiting.popleft()
            m = chosen_N[past]
            costs = (float(costs_NM[past, m]) for costs_NM in (table.usd_NM, table.seconds_NM))
            usd, seconds = (None if np.isnan(cost) else cost for cost in costs)
            quality, propensity = float(table.quality_NM[past, m]), float(propensity_NM[past, m])
            router.learn(context_ND[past], table.models[m], quality, propensity, usd, seconds)
        propensity_NM[now] = router.propensities([prompt], objective, cards, rng)[0]
        chosen_N[now] = rng.choice(len(table.models), p=propensity_NM[now])
        waiting.append(now)
    return Course(table, chosen_N, propensity_NM, worth_NM[np.arange(n), chosen_N])


def worth(table: Outcomes, objective: Objective, cards: Mapping[str, ModelCard] | None = None) -> Floats:
    """What each model earns on each prompt, (N, M): the objective's score of the true outcome.

    Raises:
        BadTable: a cell that counts is missing.
    """
    cards = cards or {name: ModelCard(name) for name in table.models}
    truth = Prediction(table.models, table.quality_NM, table.usd_NM, table.seconds_NM, np.zeros_like(table.quality_NM))
    missing_NM = np.isnan(table.quality_NM)
    worth_NM = objective.scores(truth, cards)
    if missing_NM.any() or not np.isfinite(worth_NM).all():
        n, m = np.argwhere(missing_NM | ~np.isfinite(worth_NM))[0]
        raise BadTable(
            f"prompt {n} ({table.prompts[n][:40]!r}) has no outcome of {table.models[m]!r} that the objective can "
            f"score; a replay may choose any model anywhere, so leave out such prompts (see `complete`)"
        )
    return worth_NM


def complete(table: Outcomes) -> Outcomes:
    """The prompts on which the quality of every model was measured, and its cost where any is known."""
    unknown_N = np.isnan(table.quality_NM).any(axis=1)
    if not np.isnan(table.usd_NM).all():
        unknown_N = unknown_N | np.isnan(table.usd_NM).any(axis=1)
    return table.select(np.flatnonzero(~unknown_N))


def shuffled(table: Outcomes, seed: int) -> Outcomes:
    """Traffic without drift: the rows in a random order."""
    return table.select(np.random.default_rng(seed).permutation(len(table)))


def by_group(table: Outcomes, seed: int) -> Outcomes:
    """Traffic whose topic changes: one group after the other, both groups and rows in a random order."""
    rng = np.random.default_rng(seed)
    names = sorted(set(table.groups))
    place = dict(zip(names, rng.permutation(len(names)), strict=True))
    return table.select(np.lexsort((rng.permutation(len(table)), [place[group] for group in table.groups])))


def swapped(table: Outcomes, one: str, other: str) -> Outcomes:
    """The same traffic, but from half-way on two models do what the other did: one got better, one worse."""
    half = len(table) // 2
    order = np.arange(len(table.models))
    a, b = table.models.index(one), table.models.index(other)
    order[[a, b]] = order[[b, a]]
    quality_NM, usd_NM, seconds_NM = (
        np.vstack([values_NM[:half], values_NM[half:, order]])
        for values_NM in (table.quality_NM, table.usd_NM, table.seconds_NM)
    )
    return replace(table, quality_NM=quality_NM, usd_NM=usd_NM, seconds_NM=seconds_NM, recorded=None)


def references(table: Outcomes, objective: Objective, context_ND: Floats) -> dict[str, Floats]:
    """What those earn that know the whole table: (N,) each.

    "best single" is the one model of the highest sum; "linear" the fixed policy of a ridge regression on the router's
    own context, fitted to all outcomes of all models in hindsight; "oracle" the best model of each prompt; "random"
    the mean of all models.
    """
    worth_NM, n = worth(table, objective), len(table)
    mean_M = worth_NM.mean(axis=0)
    gram_DD = context_ND.T @ context_ND + _RIDGE * np.eye(context_ND.shape[1])
    heads_DM = np.linalg.solve(gram_DD, context_ND.T @ (worth_NM - mean_M))
    linear_N = (context_ND @ heads_DM + mean_M).argmax(axis=1)
    return {
        "best single": worth_NM[:, mean_M.argmax()],
        "linear": worth_NM[np.arange(n), linear_N],
        "oracle": worth_NM.max(axis=1),
        "random": worth_NM.mean(axis=1),
    }


def regret(reference_N: Floats, earned_N: Floats) -> Floats:
    """Cumulative regret: how much more the reference has earned after each prompt, (N,)."""
    cumulative_N: Floats = np.cumsum(reference_N - earned_N)
    return cumulative_N


def curve(regrets_RN: Sequence[Floats], *, resamples: int = 1000, seed: int = 0) -> Curve:
    """The mean of several runs of equal length, and its interval: percentiles of the bootstrap over runs."""
    runs_RN = np.array(regrets_RN)
    drawn_BN = resample(runs_RN, resamples=resamples, seed=seed)
    low_N, high_N = np.quantile(drawn_BN, (0.025, 0.975), axis=0)
    return Curve(runs_RN.mean(axis=0), low_N, high_N)
