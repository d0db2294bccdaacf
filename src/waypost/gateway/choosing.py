"""Whom a request is sent to: by name, by the router, by a canary's, or to the incumbent while the router watches."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from waypost.errors import WaypostError
from waypost.gateway.ask import Ask
from waypost.gateway.sessions import Sessions
from waypost.gateway.wire import Headers
from waypost.objective import Objective, misfit
from waypost.strategies import Cascade, Exploring
from waypost.strategies.calls import in_order
from waypost.types import Decision, ModelCard, Query, Run, Strategy

_log = logging.getLogger(__name__)

CANARY, STABLE = "canary", "stable"


@dataclass(frozen=True, slots=True)
class Canary:
    """A second strategy that decides for a ``share`` (0..1) of the conversations, always the same ones."""

    strategy: Strategy
    share: float

    def takes(self, session: str) -> bool:
        """Whether a conversation is among its share.

        >>> taken = [Canary(None, 0.25).takes(str(number)) for number in range(1000)]
        >>> 0.2 < sum(taken) / 1000 < 0.3
        True
        """
        # A hash of its own: the session's first bits may serve others for other draws.
        drawn = hashlib.sha256(b"canary\0" + session.encode()).digest()[:8]
        return int.from_bytes(drawn) < self.share * 2**64


@dataclass(frozen=True, slots=True)
class Shadow:
    """The incumbent serves, and what the router would have done is only written down.

    ``objective`` is the trade-off for requests that name the incumbent.
    """

    incumbent: str
    objective: Objective


class Choice(NamedTuple):
    """A decision, and how to carry it out.

    ``cached`` are the tokens of the ``session`` in models' prompt caches, which are counted in.  ``watched`` is what
    the router would have decided where the incumbent serves, ``arm`` whether a canary decided.
    """

    decision: Decision
    run: Run
    session: str | None = None
    cached: Mapping[str, int] = MappingProxyType({})
    watched: Decision | None = None
    arm: str | None = None


@dataclass(slots=True)
class Choosing:
    """Decides requests; no I/O.

    ``fallbacks`` name, by what a client asks for ("auto", "auto:cheap", a model's name), who is asked next and in which
    order when the chosen model fails; without, it is the router's own order, and nobody for a named model.
    """

    strategy: Strategy
    cards: Mapping[str, ModelCard]
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sessions: Sessions | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None

    def choose(self, asked: Ask, headers: Headers, tenant: str, seed: int | None = None) -> Choice:
        """Decide a request; ``seed`` is for a router that draws, and without one it does what is best by expectation.

        Raises:
            NoModelLeft: the request's constraints removed every model.
            BadInput: there is no text to route on.
        """
        query = asked.query
        shadow = self.shadow
        if shadow is not None and not asked.routed and asked.model != shadow.incumbent:
            shadow = None
        if not asked.routed and shadow is None:
            ranking = (asked.model, *self._fallbacks(asked.model, query, {asked.model: ""}))
            return Choice(_named(ranking), in_order(query, ranking))
        session = None
        if self.sessions is not None:
            session = self.sessions.of(tenant, query, headers)
            if len(query.messages) > 1 and (cached := self.sessions.cached(session)):
                query = replace(query, cached=cached)
        if shadow is not None:
            return self._watched(asked, query, session, shadow)
        strategy, arm = self._arm(session)
        decision = self._decided(strategy, query, asked.objective or Objective(), seed)
        if asked.model in self.fallbacks and not isinstance(strategy, Cascade):
            first = decision.model
            ranking = (first, *self._fallbacks(asked.model, query, {**decision.removed, first: ""}))
            decision = replace(decision, ranking=ranking)
        return Choice(decision, strategy.run(query, decision), session, query.cached, arm=arm)

    def _decided(self, strategy: Strategy, query: Query, objective: Objective, seed: int | None) -> Decision:
        if isinstance(strategy, Exploring) and seed is not None:
            return strategy.explore(query, objective, seed)
        return strategy.decide(query, objective)

    def _arm(self, session: str | None) -> tuple[Strategy, str | None]:
        if self.canary is None or session is None:
            return self.strategy, None
        if self.canary.takes(session):
            return self.canary.strategy, CANARY
        return self.strategy, STABLE

    def _watched(self, asked: Ask, query: Query, session: str | None, shadow: Shadow) -> Choice:
        """The incumbent serves whatever becomes of the router's own decision."""
        try:
            seen = self.strategy.decide(query, asked.objective or shadow.objective)
        except WaypostError as error:
            _log.info("in its shadow the router made no decision: %s", error)
            seen = None
        removed = {**(seen.removed if seen else {}), shadow.incumbent: ""}
        others = self._fallbacks(asked.model, query, removed) or self._others(seen, shadow.incumbent)
        ranking = (shadow.incumbent, *others)
        why = f"{shadow.incumbent} is the incumbent, and the router only watches"
        if seen is None:
            return Choice(_named(ranking, "shadow", why), in_order(query, ranking), session, query.cached)
        decision = replace(seen, router="shadow", ranking=ranking, why=f"{why}; it says: {seen.why}")
        return Choice(decision, in_order(query, ranking), session, query.cached, watched=seen)

    def _others(self, seen: Decision | None, incumbent: str) -> tuple[str, ...]:
        return tuple(name for name in seen.ranking if name != incumbent) if seen else ()

    def _fallbacks(self, model: str, query: Query, removed: Mapping[str, str]) -> tuple[str, ...]:
        """Who is asked next, without those that cannot serve the request or were removed from it.

        Vectors of another model would be worse than none, so for embeddings it is the same model in other places.
        """
        names = self.fallbacks.get(model, ())
        if query.native is not None and query.native.api == "embeddings":
            same = self.cards[model].upstream
            names = tuple(n for n in names if n in self.cards and self.cards[n].upstream == same != "")
        return tuple(n for n in names if n not in removed and n in self.cards and not misfit(self.cards[n], query))


def _named(ranking: tuple[str, ...], router: str = "named", why: str = "") -> Decision:
    return Decision(
        router=router,
        ranking=ranking,
        scores={},
        quality={},
        usd={},
        seconds={},
        removed={},
        weights={},
        why=why or f"the request names {ranking[0]}",
    )
