"""One model answers, drawn by chance so that something is learnt of it; when it fails, the next best is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from waypost.objective import Objective
from waypost.routers import Online, name_of
from waypost.strategies.calls import predict
from waypost.strategies.history import history_usd
from waypost.strategies.single import Single
from waypost.types import Chooser, Decision, ModelCard, Query, Run


@dataclass(frozen=True)
class Exploring:
    """`Single` with a router that learns: `explore` draws the model to ask, `decide` is what is best by expectation.

    The draw comes in as a seed, so that a decision can be made again; its probabilities stand in the decision.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> table = example_table()
    >>> strategy = Exploring(make("thompson").fit(table), {name: ModelCard(name) for name in table.models})
    >>> decision = strategy.explore(Query.of("What is 17 plus 26?"), Objective(), seed=1)
    >>> decision.model, round(sum(decision.propensities.values()), 6)
    ('maths-expert', 1.0)
    """

    router: Online
    cards: Mapping[str, ModelCard]
    name: str = "exploring"

    def decide(self, query: Query, objective: Chooser) -> Decision:
        """What is best by expectation, without exploring.

        Raises:
            BadInput: the last user turn has no text.
            NoModelLeft: the constraints removed every model.
        """
        return objective.choose(
            predict(self.router, query, self.cards, objective.risk), self.cards, query, name_of(self.router)
        )

    def explore(self, query: Query, objective: Objective, seed: int) -> Decision:
        """A model drawn by the router's probabilities first, then the others by expectation.

        Raises:
            BadInput: the last user turn has no text.
            NoModelLeft: the constraints removed every model.
        """
        best, rng = self.decide(query, objective), np.random.default_rng(seed)
        priced = self._with_history(query, objective)
        chance_M = self.router.propensities([query.text], priced, self.cards, rng, query)[0]
        chosen = self.router.models[rng.choice(len(chance_M), p=chance_M)]
        chances = dict(zip(self.router.models, chance_M.tolist(), strict=True))
        why = f"{chosen} was drawn with probability {chances[chosen]:.2f}; by expectation, {best.why}"
        return replace(
            best,
            ranking=(chosen, *(name for name in best.ranking if name != chosen)),
            removed={name: reason for name, reason in best.removed.items() if name != chosen},
            propensities={name: chance for name, chance in chances.items() if chance > 0},
            why=why,
        )

    def context(self, query: Query) -> tuple[float, ...]:
        """What the router learns from with the outcome, and all that has to be kept of the prompt until then."""
        return tuple(self.router.context([query.text])[0].tolist())

    def _with_history(self, query: Query, objective: Objective) -> Objective:
        """The trade-off for a router that draws by the prompt alone: what comes before it costs points."""
        if not objective.usd or len(query.messages) < 2:
            return objective
        usd = {name: history_usd(self.cards[name], query) for name in self.router.models if name in self.cards}
        points = {name: objective.bias.get(name, 0.0) - objective.usd * more for name, more in usd.items()}
        return replace(objective, bias={**objective.bias, **points})

    def run(self, query: Query, decision: Decision) -> Run:
        """Yield one call at a time, the drawn model first, then by expectation."""
        return Single(self.router, self.cards).run(query, decision)
