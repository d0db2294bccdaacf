"""Whom a request is sent to: by name, by the router, by a canary's, or to the incumbent while the router watches."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from waypost.errors import NoModelLeft, WaypostError
from waypost.gateway.ask import AUTO, Ask
from waypost.gateway.choice.sessions import Sessions
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
    the router would have decided where the incumbent serves, ``arm`` whether a canary decided.  ``context`` is what a
    router that learns has to keep of the prompt until the outcome comes.
    """

    decision: Decision
    run: Run
    session: str | None = None
    cached: Mapping[str, int] = MappingProxyType({})
    watched: Decision | None = None
    arm: str | None = None
    context: tuple[float, ...] | None = None


@dataclass(slots=True)
class Choosing:
    """Decides requests; only `recall` asks anybody.

    ``fallbacks`` name, by what a client asks for ("auto", "auto:cheap", a model's name), who is asked next and in which
    order when the chosen model fails; without, it is the router's own order, and nobody for a named model.  Whom the
    caller may not have, and who cannot serve the request, is never asked in another's place.
    """

    strategy: Strategy
    cards: Mapping[str, ModelCard]
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sessions: Sessions | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    #: Whether to `recall` before choosing.
    remembers_together: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        # Where no model has a price for what is in its cache, there is nothing to remember.
        noted = any(card.usd_per_mtok_cached is not None for card in self.cards.values())
        self.remembers_together = noted and self.sessions is not None and self.sessions.together

    def decides(self, asked: Ask) -> bool:
        """Whether a strategy is asked about a request, to serve it or to watch."""
        return asked.routed or (self.shadow is not None and asked.model == self.shadow.incumbent)

    async def recall(self, asked: Ask, headers: Headers, tenant: str) -> None:
        """Learn what other gateways know of the conversation; waits a moment at most."""
        query = asked.query
        if self.sessions is not None and len(query.messages) > 1 and self.decides(asked):
            await self.sessions.recall(self.sessions.of(tenant, query, headers))

    def choose(self, asked: Ask, headers: Headers, tenant: str, seed: int | None = None) -> Choice:
        """Decide a request; ``seed`` is for a router that draws, and without one it does what is best by expectation.

        Raises:
            NoModelLeft: the request's constraints removed every model.
            BadInput: there is no text to route on.
        """
        query = asked.query
        if not self.decides(asked):
            others, removed = self._next(asked, asked.model, {})
            ranking = (asked.model, *others)
            return Choice(
                _unscored(ranking, "named", f"the request names {asked.model}", removed), in_order(query, ranking)
            )
        session = None
        if self.sessions is not None:
            session = self.sessions.of(tenant, query, headers)
            if len(query.messages) > 1 and (cached := self.sessions.cached(session)):
                query = replace(query, cached=cached)
        if self.shadow is not None:
            return self._watched(asked, query, session, self.shadow)
        strategy, arm = self._arm(session)
        decision = self._decided(strategy, query, asked.objective or Objective(), seed)
        if self.fallbacks and _name(asked) in self.fallbacks and not isinstance(strategy, Cascade):
            others, removed = self._next(asked, decision.model, decision.removed)
            decision = replace(decision, ranking=(decision.model, *others), removed={**decision.removed, **removed})
        # Here and not when the answer is there: whoever takes long to decide does so in a thread.
        context = strategy.context(query) if decision.propensities and isinstance(strategy, Exploring) else None
        return Choice(decision, strategy.run(query, decision), session, query.cached, arm=arm, context=context)

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
        """The incumbent serves whatever becomes of the router's own decision.

        Where the caller may not have it, or it cannot serve the request, the next one does.
        """
        seen = self._seen(asked, query, shadow)
        first = shadow.incumbent
        unfit = self._unfit(first, asked) if asked.routed else ""
        others, removed = self._next(asked, first, {})
        if asked.routed and not others and seen is not None:
            others = tuple(name for name in seen.ranking if name != first)
        ranking = others if unfit else (first, *others)
        if not ranking:
            raise NoModelLeft(f"no model is left to choose from ({first}: {unfit}); relax the constraints")
        why = f"{first} is the incumbent, and the router only watches"
        if unfit:
            removed[first] = unfit
            why = f"{first} is the incumbent and cannot serve this ({unfit}); {ranking[0]} is next"
        if seen is None:
            decision = _unscored(ranking, "shadow", why, removed)
        else:
            removed = {name: reason for name, reason in {**seen.removed, **removed}.items() if name not in ranking}
            why = f"{why}; it says: {seen.why}"
            decision = replace(seen, router="shadow", ranking=ranking, removed=removed, why=why)
        return Choice(decision, in_order(query, ranking), session, query.cached, watched=seen)

    def _seen(self, asked: Ask, query: Query, shadow: Shadow) -> Decision | None:
        """What the router would have done, None if nothing."""
        try:
            return self.strategy.decide(query, asked.objective or replace(shadow.objective, barred=asked.barred))
        except WaypostError as error:
            _log.info("in its shadow the router made no decision: %s", error)
        except Exception:  # noqa: BLE001 - whatever breaks in a router that is only watching, the incumbent serves
            _log.exception("in its shadow the router broke")
        return None

    def _next(self, asked: Ask, first: str, removed: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Who is asked when the first fails, and of those in the list who is not, with the reason.

        Vectors of another model would be worse than none, so for embeddings it is the same model in other places.
        """
        names, reasons = [], {}
        for name in self.fallbacks.get(_name(asked), ()) if self.fallbacks else ():
            if name == first or name not in self.cards:
                continue
            why = removed.get(name) or self._unfit(name, asked)
            native = asked.query.native
            if not why and native is not None and native.api == "embeddings":
                upstream = self.cards[name].upstream
                why = (
                    ""
                    if upstream and upstream == self.cards[first].upstream
                    else f"its vectors are not those of {first}"
                )
            if why:
                reasons[name] = why
            else:
                names.append(name)
        return tuple(names), reasons

    def _unfit(self, model: str, asked: Ask) -> str:
        """Why a model may not serve a request or cannot; empty if it may and can."""
        if model in asked.barred:
            return asked.barred[model]
        allowed = asked.objective.allowed if asked.objective is not None else None
        if allowed is not None and model not in allowed:
            return "not among the allowed models"
        return misfit(self.cards[model], asked.query)


def _name(asked: Ask) -> str:
    """What the client asks for, as fallbacks name it."""
    return AUTO if asked.model == f"{AUTO}:default" else asked.model


def _unscored(ranking: tuple[str, ...], router: str, why: str, removed: Mapping[str, str]) -> Decision:
    return Decision(
        router=router,
        ranking=ranking,
        scores={},
        quality={},
        usd={},
        seconds={},
        removed=removed,
        weights={},
        why=why,
    )
