"""Who may ask and how much: what stands between a request and the models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from waypost.gateway.ask import Ask
from waypost.gateway.callers.identity import NOBODY, Caller, Identity
from waypost.gateway.callers.money import ANSWER_TOKENS, Purse
from waypost.gateway.wire import Headers, room_headers
from waypost.store.limits import Admission, Limiter, Limits
from waypost.store.local_limits import LocalLimiter
from waypost.types import Model

_NOT_THEIRS = "not among the models of this key"


@dataclass(slots=True)
class Visit:
    """One caller's request under way; where there are budgets its calls are paid from a ``purse``."""

    caller: Caller = NOBODY
    purse: Purse | None = None
    admission: Admission | None = None

    def paid(self, models: Mapping[str, Model]) -> Mapping[str, Model]:
        """The models, each call of which is paid where somebody has to pay."""
        if self.purse is None:
            return models
        self.purse.models = models
        return self.purse

    @property
    def headers(self) -> Headers:
        """What is left to the caller, where there are limits."""
        return [] if self.admission is None else room_headers(self.admission.room)

    @property
    def broken(self) -> float:
        """USD of calls that broke off, as far as that is known."""
        return 0.0 if self.purse is None else self.purse.broken

    def leave(self) -> None:
        """The request has ended, whichever way."""
        if self.admission is not None:
            self.admission.release(0 if self.purse is None else self.purse.tokens)


@dataclass(slots=True)
class Access:
    """Tells callers, keeps them to their models and limits, and makes them pay; ``models`` are the models' limits."""

    identity: Identity = field(default_factory=Identity)
    limiter: Limiter = field(default_factory=LocalLimiter)
    models: Mapping[str, Limits] = field(default_factory=dict)
    answer_tokens: int = ANSWER_TOKENS

    def caller(self, headers: Headers) -> Caller:
        """Who sends a request.

        Raises:
            Unauthorized: the key is missing, unknown, expired or revoked.
        """
        return self.identity.caller(headers)

    def kept_to_models(self, asked: Ask, caller: Caller, models: Mapping[str, Model]) -> Ask:
        """The request, choosing among the models of the caller's key only, for fallbacks too.

        Raises:
            ModelNotAllowed: it names a model that is not among them.
        """
        if caller.key is None or caller.key.models is None:
            return asked
        barred = {name: _NOT_THEIRS for name in models if not caller.may_call(name)}
        if asked.objective is None:
            caller.check(asked.model)
            return replace(asked, barred=barred)
        return replace(asked, objective=replace(asked.objective, barred=barred), barred=barred)

    async def enter(self, caller: Caller, asked: Ask) -> Visit:
        """Let a request in, and count it.

        Raises:
            LimitReached: the caller is at a limit.
        """
        if not caller.rates and not caller.payers and not self.models:
            return Visit(caller)
        purse = Purse({}, self.limiter, caller.payers, self.models, self.answer_tokens)
        if not caller.rates:
            return Visit(caller, purse)
        demand = purse.demand(asked.query)
        return Visit(caller, purse, await self.limiter.admit(caller.rates, demand.read + demand.written(0)))

    @asynccontextmanager
    async def counted(self, caller: Caller) -> AsyncIterator[None]:
        """What asks no model, and costs the store a look: a request among the caller's others.

        Raises:
            LimitReached: the caller is at a limit.
        """
        admission = await self.limiter.admit(caller.rates, 0) if caller.rates else None
        try:
            yield
        finally:
            if admission is not None:
                admission.release(0)
