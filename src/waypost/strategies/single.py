"""One model answers; when it declines or fails, the next best is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypost.routers import Router, name_of
from waypost.strategies.calls import in_order, predict
from waypost.types import Chooser, Decision, ModelCard, Query, Run


@dataclass(frozen=True)
class Single:
    """Asks the models in the order of the objective's ranking until one answers.

    >>> from waypost.objective import Objective
    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> table = example_table()
    >>> strategy = Single(make("ridge").fit(table), {name: ModelCard(name) for name in table.models})
    >>> query = Query.of("What is 17 plus 26?")
    >>> run = strategy.run(query, strategy.decide(query, Objective()))
    >>> next(run).model
    'maths-expert'
    """

    router: Router
    cards: Mapping[str, ModelCard]
    name: str = "single"

    def decide(self, query: Query, objective: Chooser) -> Decision:
        """Predict for the last user turn and let the objective choose.

        Raises:
            BadInput: the last user turn has no text.
            NoModelLeft: the constraints removed every model.
        """
        return objective.choose(
            predict(self.router, query, self.cards, objective.risk), self.cards, query, name_of(self.router)
        )

    def run(self, query: Query, decision: Decision) -> Run:
        """Yield one call at a time, best first; the last answer is returned even when it is a failure."""
        return in_order(query, decision.ranking)
