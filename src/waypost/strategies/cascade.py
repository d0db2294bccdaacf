"""Cheap first; a dearer model is asked when looking at the answer says that it would pay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from waypost.strategies.calls import Predictor, ask, predict
from waypost.types import Answer, Call, Chooser, Decision, Floats, ModelCard, Prediction, Query, Run


class Head(Predictor, Protocol):
    """What a cascade needs to know before and after an answer (`waypost.routers.Escalation`)."""

    def revise(self, prompt: str, answer: Answer) -> Prediction:
        """What each model is expected to do, given one model's answer."""
        ...


@dataclass(frozen=True)
class Cascade:
    """Starts with the cheapest model; after each answer asks the model with the largest net gain, if it is above 0.

    The net gain of asking model j after model i answered is, by the objective's own weights,
    ``quality·(q_j − q_i) − usd·USD_j − seconds·s_j``, all given i's answer.  A model that declines or fails is
    followed by the best of the rest; when a later model declines or fails the earlier answer is given.
    """

    head: Head
    cards: Mapping[str, ModelCard]
    name: str = "cascade"

    def decide(self, query: Query, objective: Chooser) -> Decision:
        """Which models may be asked, the cheapest first.

        Raises:
            BadInput: the last user turn has no text.
            NoModelLeft: the constraints removed every model.
        """
        decision = objective.choose(predict(self.head, query), self.cards, query, self.name)
        dearest = float("inf")

        def cost(model: str) -> tuple[float, str]:
            usd = decision.usd[model]
            return (dearest if np.isnan(usd) else usd, model)

        ranking = tuple(sorted(decision.ranking, key=cost))
        why = f"{ranking[0]} first, the cheapest of {len(ranking)}; another is asked when its expected gain pays"
        return replace(decision, ranking=ranking, why=why)

    def run(self, query: Query, decision: Decision) -> Run:
        """Yield one call at a time; each is paid for, the last good answer is returned."""
        first, *left = decision.ranking
        given = answer = yield from ask(Call(first, query, final=not left))
        while left:
            # A failure says nothing of the prompt, so what was expected before stands.
            net = dict(decision.scores) if answer.error else self._net(query, answer, decision.weights)
            best = max(left, key=net.__getitem__)
            if given.ok and (net[best] <= 0 or not answer.ok):
                break
            left.remove(best)
            answer = yield from ask(Call(best, query, final=not left))
            if answer.ok or not given.ok:
                given = answer
        return given

    def _net(self, query: Query, answer: Answer, weights: Mapping[str, float]) -> dict[str, float]:
        """The net gain of asking each model, now that one has answered (or declined: then its quality is 0)."""
        expected = self.head.revise(query.text, answer)
        quality_M, usd_M, seconds_M = (a[0] for a in expected[1:4])
        have = quality_M[expected.models.index(answer.model)] if answer.ok else 0.0
        net_M: Floats = weights["quality"] * (quality_M - have)
        for name, cost_M in (("usd", usd_M), ("seconds", seconds_M)):
            if weights.get(name):
                net_M = net_M - weights[name] * np.nan_to_num(cost_M)
        return dict(zip(expected.models, net_M.tolist(), strict=True))
