"""Cheap first; a dearer model is asked when looking at the answer says that it would pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from waypost.routers import Outlook
from waypost.strategies.calls import Predictor, ask, predict
from waypost.types import Answer, Call, Chooser, Decision, ModelCard, Query, Run


class Head(Predictor, Protocol):
    """What a cascade needs to know before and after an answer (one of `waypost.routers.HEADS`)."""

    def revise(self, prompt: str, answer: Answer) -> Outlook:
        """What each model is expected to do, given one model's answer."""
        ...


@dataclass(frozen=True)
class Cascade:
    """Starts with the cheapest model; after each answer asks the model with the largest net gain, if it is above 0.

    The net gain of asking model j after model i answered is, by the objective's own weights and given i's answer,
    ``(1 − d_j)·(quality·(q_j − q_i) + flags_j − flags_i) − usd·USD_j − seconds·s_j``, where d_j is the chance that j
    declines, plus d_j times the best gain of the others.  After a decline there is no q_i to lose, and the best of
    the rest is asked.  When a later model declines or fails the earlier answer is given.
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
        decision = objective.choose(predict(self.head, query, self.cards, objective.risk), self.cards, query, self.name)
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
            net = dict(decision.scores) if answer.error else self._net(query, answer, left, decision)
            best = max(left, key=net.__getitem__)
            if given.ok and (net[best] <= 0 or not answer.ok):
                break
            left.remove(best)
            answer = yield from ask(Call(best, query, final=not left))
            if answer.ok or not given.ok:
                given = answer
        return given

    def _net(self, query: Query, answer: Answer, left: Sequence[str], decision: Decision) -> dict[str, float]:
        """The net gain of asking each model that is left, now that one has answered or declined."""
        expected, declines = self.head.revise(query.text, answer)
        column = expected.models.index
        weights, bonus = decision.weights, decision.bonus
        have = 0.0
        if answer.ok:
            have = weights["quality"] * expected.quality_NM[0, column(answer.model)] + bonus.get(answer.model, 0.0)
        gain = {}
        for name in left:
            m = column(name)
            worth = weights["quality"] * expected.quality_NM[0, m] + bonus.get(name, 0.0)
            usd, seconds = expected.usd_NM[0, m], expected.seconds_NM[0, m]
            cost = _cost(weights.get("usd"), usd, decision.usd[name])
            cost += _cost(weights.get("seconds"), seconds, decision.seconds[name])
            gain[name] = float((1 - declines[0, m]) * (worth - have) - cost)
        return {
            name: gain[name] + declines[0, column(name)] * max([0.0, *(gain[o] for o in left if o != name)])
            for name in left
        }


def _cost(weight: float | None, revised: float, before: float) -> float:
    """What a call costs in points; where nothing is known of it after the answer, what was expected before counts."""
    if not weight:
        return 0.0
    known = before if np.isnan(revised) else revised
    return float("inf") if np.isnan(known) else weight * float(known)
