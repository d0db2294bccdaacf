"""Routers and strategies over a recorded table: what each would have earned.  Suffixes: N questions, M models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from waypost.errors import BadInput, BadTable
from waypost.evaluation.baselines import chosen
from waypost.evaluation.metrics import Earned
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import Head, Router
from waypost.strategies import Cascade, Single, replay
from waypost.types import Answer, Call, ModelCard, Prediction, Query, Strategy

_BLOCK = 8192  # prompts


class _NotMeasured(Exception):
    """Ends the replay of one question: a strategy asked for a cell that the table does not have."""


def play(made: Any, table: Outcomes, objective: Objective, cards: Mapping[str, ModelCard] | None = None) -> Earned:
    """What a fitted router, a cascade's fitted head, or a strategy earns on a table.

    Without ``cards`` the models have only their names, so an objective's flags weigh nothing.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> train, test = example_table(400).split()
    >>> earned = play(make("domain").fit(train), test, Objective())
    >>> bool(earned.quality > 0.8), earned.missing
    (True, 0)
    """
    cards = cards or {name: ModelCard(name) for name in table.models}
    if isinstance(made, Head):
        made = Cascade(made, cards)
    if callable(getattr(made, "predict", None)):
        return play_router(made, table, objective, cards)
    return play_strategy(made, table, objective)


def play_router(router: Router, table: Outcomes, objective: Objective, cards: Mapping[str, ModelCard]) -> Earned:
    """Choose a model for every prompt at once, and take its cells.

    Where the table keeps answers and the chosen model declined, the next best is called as in service, and both
    calls are paid.

    Raises:
        BadInput: the prediction does not fit the table.
    """
    column_N = np.empty(len(table), dtype=np.intp)
    for rows, prediction in _predictions(router, table.prompts, table.models):
        column_M = np.array([table.models.index(name) for name in prediction.models])
        column_N[rows] = column_M[objective.choose_many(prediction, cards)]
    earned = chosen(table, column_N)
    declined = _declined(table, earned)
    return _replayed(Single(router, cards), table, objective, declined, earned) if declined else earned


def solved(router: Router, prompts: Sequence[str], objective: Objective, cards: Mapping[str, ModelCard]) -> Objective:
    """The objective with its budget turned into a weight by what a fitted router expects of some prompts.

    Raises:
        BadInput: the budget cannot be kept, or the prediction does not fit the models.
    """
    if objective.budget is None:
        return objective
    parts = [part for _, part in _predictions(router, prompts, tuple(cards))]
    arrays = (np.concatenate(part) for part in zip(*(part[1:] for part in parts), strict=True))
    return objective.solved(Prediction(parts[0].models, *arrays), cards)


def play_strategy(strategy: Strategy, table: Outcomes, objective: Objective) -> Earned:
    """Run a strategy on every prompt against the recorded answers; every call that it makes is paid.

    Raises:
        BadTable: the table keeps no answers.
    """
    if not table.keeps_answers:
        raise BadTable(f"strategy '{strategy.name}' looks at answers, and this table keeps none; make one that does")
    n, m = table.quality_NM.shape
    unknown_3N = np.full((3, n), np.nan)
    nothing = Earned(table.models, unknown_3N[0], unknown_3N[1], unknown_3N[2], np.zeros((n, m)))
    return _replayed(strategy, table, objective, range(n), nothing)


def _replayed(
    strategy: Strategy, table: Outcomes, objective: Objective, questions: Iterable[int], before: Earned
) -> Earned:
    """What was earned ``before``, with some questions replaced by what the strategy earns on them."""
    earned = deepcopy(before)
    for n in questions:
        earned.quality_N[n] = earned.usd_N[n] = earned.seconds_N[n] = np.nan
        try:
            _, given, paid = replay(strategy, Query.of(table.prompts[n]), objective, _Tape(table, n).answer)
        except _NotMeasured:
            continue
        called = [table.models.index(answer.model) for answer in paid]
        earned.quality_N[n] = table.quality_NM[n, table.models.index(given.model)]
        earned.usd_N[n] = table.usd_NM[n, called].sum()
        earned.seconds_N[n] = table.seconds_NM[n, called].sum()
        earned.calls_NM[n] = np.bincount(called, minlength=len(table.models))
    return earned


@dataclass(frozen=True, slots=True)
class _Tape:
    """The recorded answers to one question."""

    table: Outcomes
    n: int

    def answer(self, call: Call) -> Answer:
        answer = self.table.answer(self.n, call.model)
        if answer is None or np.isnan(self.table.quality_NM[self.n, self.table.models.index(call.model)]):
            raise _NotMeasured
        return answer


def _declined(table: Outcomes, earned: Earned) -> list[int]:
    """Which questions went to a model that had declined them."""
    if table.declined_NM is None:
        return []
    declined: list[int] = np.flatnonzero((earned.calls_NM * table.declined_NM).any(axis=1)).tolist()
    return declined


def _predictions(router: Router, prompts: Sequence[str], models: Sequence[str]) -> Iterator[tuple[slice, Prediction]]:
    """What the router expects, block by block: of a million prompts it is more than the table itself."""
    for start in range(0, max(len(prompts), 1), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = prompts[rows]
        try:
            prediction = router.predict(block)
        except BadInput as error:
            if start == 0:
                raise
            raise BadInput(f"among the prompts from {start} on: {error}") from error
        yield rows, _checked(prediction, models, len(block))


def _checked(prediction: object, models: Sequence[str], n: int) -> Prediction:
    """The same, or BadInput: a user's own router may return anything."""
    if not isinstance(prediction, Prediction):
        raise BadInput(f"a router's predict must return a waypost.Prediction, got a {type(prediction).__name__}")
    if unknown := [name for name in prediction.models if name not in models]:
        raise BadInput(f"the router predicts for {unknown[0]!r}; the test table has {', '.join(models)}")
    shape = (n, len(prediction.models))
    for name, array in zip(prediction._fields[1:], prediction[1:], strict=True):
        if np.shape(array) != shape:
            raise BadInput(f"the router's {name} has shape {np.shape(array)}, expected (prompts, models) = {shape}")
    return prediction
