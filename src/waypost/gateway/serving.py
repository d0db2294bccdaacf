"""What every request goes through, by whichever API it came: from its body to its row in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from waypost.errors import NotHere, UnknownModel, WaypostError
from waypost.gateway.apis import APIS, CHAT, Api
from waypost.gateway.apis.messages import COUNT, Messages
from waypost.gateway.ask import Ask, parse, passed
from waypost.gateway.cache.choice import kept
from waypost.gateway.cache.lookup import Cache
from waypost.gateway.callers.access import Access, Visit
from waypost.gateway.callers.identity import Caller
from waypost.gateway.calls.counting import count_tokens
from waypost.gateway.calls.drive import Drive
from waypost.gateway.calls.reliable import patient
from waypost.gateway.choice import speaking
from waypost.gateway.choice.budgets import Budgets
from waypost.gateway.choice.choosing import CANARY, Choosing
from waypost.gateway.choice.drifting import Drifting
from waypost.gateway.choice.explaining import explained
from waypost.gateway.choice.learning import Learning
from waypost.gateway.client import Client
from waypost.gateway.exchange import Exchange
from waypost.gateway.remote import Remote
from waypost.gateway.seeing.exposition import Family
from waypost.gateway.seeing.ledger import Ledger
from waypost.gateway.seeing.logs import RequestLines
from waypost.gateway.seeing.metrics import (
    Metrics,
    cache_families,
    drift_families,
    learning_families,
    limit_of,
    limits_families,
    log_families,
    remote_families,
    trace_families,
)
from waypost.gateway.steps import in_step
from waypost.gateway.traces.trace import Trace
from waypost.gateway.traces.tracer import Tracer
from waypost.gateway.wire import Busy, ClientGone, Headers, Receive, Scope, Send, error_status, read_body, read_object
from waypost.objective import Objective
from waypost.store.decisions import new_id
from waypost.types import Model

_COUNTING = "count_tokens"
_MESSAGES = APIS[Messages.path]
_GONE = 499  # as nginx calls it: the client left before its answer


@dataclass(slots=True)
class Serving:
    """Serves requests with finished parts.

    ``models`` are those that can be called by name, ``missing`` those that cannot be, with the reasons; ``choosing``
    chooses among those that it knows.  ``budgets``
    turns the budgets of profiles and requests into weights.  ``drifting`` watches the traffic of a calibrated router,
    ``learning`` teaches one that learns from feedback.  A strategy that ``decides_long``, as where a language model
    reads each prompt, does so in a thread of its own, and other requests go on meanwhile.
    """

    models: Mapping[str, Model]
    choosing: Choosing
    profiles: Mapping[str, Objective]
    ledger: Ledger
    budgets: Budgets
    drifting: Drifting | None = None
    learning: Learning | None = None
    decides_long: bool = False
    access: Access = field(default_factory=Access)
    max_body_bytes: int = 10_000_000
    max_in_flight: int = 256
    cache: Cache | None = None
    lines: RequestLines | None = None
    tracer: Tracer | None = None
    metrics: Metrics = field(default_factory=Metrics)
    missing: Mapping[str, str] = field(default_factory=dict)
    _patients: dict[str, Mapping[str, Model]] = field(default_factory=dict)  # by who is asked last

    async def serve(self, api: Api, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            WaypostError: before anything was sent; what goes wrong later is sent.
            ClientGone: the client left before its request was read.
        """
        visit = None
        trace = self.tracer.begin(scope["headers"]) if self.tracer is not None else None
        self._take_place(api.name, api.path, trace)
        client = Client(scope)
        try:
            caller = self.access.caller(scope["headers"])
            body = await read_body(receive, self.max_body_bytes)
            clock = time.perf_counter()
            asked = self._asked(api, caller, scope["headers"], body)
            visit = await self.access.enter(caller, asked)
            exchange = await self._begun(self._solved(asked), visit, scope["headers"])
            exchange.clock = clock
            exchange.drive.trace = trace
        except Exception as error:
            self._refused(api.name, api.path, error, trace)
            raise
        except asyncio.CancelledError:
            if client.has_left():
                gone = ClientGone()
                self._refused(api.name, api.path, gone, trace)
                raise gone from None
            raise
        else:
            await self._answer(exchange, client, send)
        finally:
            self.metrics.in_flight -= 1
            client.close()
            if visit is not None:
                visit.leave()

    async def count_tokens(self, scope: Scope, receive: Receive) -> int:
        """How many tokens a request of Anthropic's API has; let in, limited and measured as a request that is served.

        Raises:
            WaypostError: what the request itself would be told, or that its provider did not count.
            ClientGone: the client left before its request was read.
        """
        began, visit = time.perf_counter(), None
        trace = self.tracer.begin(scope["headers"]) if self.tracer is not None else None
        self._take_place(_COUNTING, COUNT, trace)
        try:
            caller = self.access.caller(scope["headers"])
            said = read_object(await read_body(receive, self.max_body_bytes))
            asked = parse(_MESSAGES, {"max_tokens": 1, **said}, scope["headers"], self.models, self.profiles)
            asked = self.access.kept_to_models(asked, caller, self.models)
            visit = await self.access.enter(caller, asked)
            model = self.models.get(asked.model)
            tokens = await count_tokens(said, passed(scope["headers"]), model)
        except Exception as error:
            self._refused(_COUNTING, COUNT, error, trace)
            raise
        finally:
            self.metrics.in_flight -= 1
            if visit is not None:
                visit.leave()
        served = model.card.name if model is not None else None
        self.metrics.record(_COUNTING, 200, served, seconds=time.perf_counter() - began)
        return tokens

    async def explain(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        """What would become of a chat request, which is not logged and calls nobody; for limits it is a request.

        Raises:
            WaypostError: what the request itself would be told.
            ClientGone: the client left before its request was read.
        """
        visit = None
        self._take_place(CHAT.name, CHAT.path, None)
        try:
            caller = self.access.caller(scope["headers"])
            body = await read_body(receive, self.max_body_bytes)
            asked = self._asked(CHAT, caller, scope["headers"], body)
            visit = await self.access.enter(caller, asked)
            asked = self._solved(asked)
            if self.choosing.remembers_together:
                await self.choosing.recall(asked, scope["headers"], caller.tenant)
            choose = partial(self.choosing.choose, asked, scope["headers"], caller.tenant)
            return explained(asked, await asyncio.to_thread(choose) if self.decides_long else choose())
        finally:
            self.metrics.in_flight -= 1
            if visit is not None:
                visit.leave()

    def _asked(self, api: Api, caller: Caller, headers: Headers, body: bytes) -> Ask:
        try:
            asked = parse(api, read_object(body), headers, self.models, self.profiles)
        except UnknownModel as error:
            if error.name in self.missing and caller.may_call(error.name):
                raise NotHere(error.name) from None
            raise
        asked = self.access.kept_to_models(asked, caller, self.models)
        speaking.check(asked.query, asked.model if asked.objective is None else None, self.models, caller.may_call)
        return asked

    def _solved(self, asked: Ask) -> Ask:
        """With its budget as a weight, which may take a while, and so is for those only who were let in."""
        if asked.objective is None or asked.objective.budget is None:
            return asked
        return replace(asked, objective=self.budgets.solved(asked.objective))

    async def _begun(self, asked: Ask, visit: Visit, headers: Headers) -> Exchange:
        """Answered out of the cache, or decided."""
        if self.cache is None:
            return await self._decided(asked, visit, headers)
        # Not the key's name, which another may get later.
        key = visit.caller.key
        looked = await self.cache.look(key.digest if key is not None else "", asked, headers, self.models)
        if looked is not None and looked.answer is not None:
            exchange = Exchange(asked, kept(looked, looked.answer), Drive({}), visit, self)
        else:
            exchange = await self._decided(asked, visit, headers)
        exchange.looked = looked
        return exchange

    async def _decided(self, asked: Ask, visit: Visit, headers: Headers) -> Exchange:
        # Much of the id is drawn already, and it is in the log: so what a router draws by it can be drawn again.
        id = new_id()
        tenant = visit.caller.tenant
        if self.choosing.remembers_together:
            await self.choosing.recall(asked, headers, tenant)
        choose = partial(self.choosing.choose, asked, headers, tenant, seed=int(id, 16))
        long = self.decides_long and self.choosing.decides(asked)
        together = not asked.stream  # somebody waits for the first word of a stream
        if together:
            await in_step()
        choice = await asyncio.to_thread(choose) if long else choose()
        if together:
            await in_step()
        if self.drifting is not None and choice.arm != CANARY:  # whose router is not the calibrated one
            self.drifting.put(choice.watched or choice.decision, asked.objective, asked.query.text)
        drive = Drive(visit.paid(self._patient(choice.decision.ranking[-1])))
        return Exchange(asked, choice, drive, visit, self, id)

    def _patient(self, last: str) -> Mapping[str, Model]:
        """The models, of which the last to be asked waits for longer."""
        found = self._patients.get(last)
        if found is None:
            found = self._patients[last] = patient(self.models, last)
        return found

    async def _answer(self, exchange: Exchange, client: Client, send: Send) -> None:
        try:
            await exchange.send(send)
        except asyncio.CancelledError:
            if not client.has_left():
                raise
        except Exception:
            exchange.status = 500
            raise
        finally:
            exchange.settle()

    def _take_place(self, api: str, path: str, trace: Trace | None) -> None:
        """Count a request among those under way, if there is room for one more."""
        if self.metrics.in_flight >= self.max_in_flight:
            busy = Busy(f"{self.max_in_flight} requests are under way, the most that this server takes at once")
            self._refused(api, path, busy, trace, "in_flight")
            raise busy
        self.metrics.in_flight += 1

    def _refused(self, api: str, path: str, error: Exception, trace: Trace | None, limit: str | None = None) -> None:
        """Book a request that came to no decision."""
        if isinstance(error, ClientGone):
            status, code = _GONE, "client_gone"
        else:
            known = error if isinstance(error, WaypostError) else WaypostError()
            status, code = error_status(known), known.code
        self.metrics.refused(api, status, limit or limit_of(error))
        if self.lines is not None:
            self.lines.refused(api, status, code)
        if self.tracer is not None and trace is not None:
            self.tracer.refused(trace, path, status, code)

    def keep(self) -> None:
        """Write to the log what was booked."""
        self.ledger.keep()

    def book(self, exchange: Exchange) -> None:
        """Book what came of a request: before the last byte of its answer leaves, or when it has failed."""
        row = exchange.row(keep_prompt=self.ledger.keep_prompts)
        self.metrics.record(
            exchange.asked.api.name,
            exchange.status,
            exchange.served,
            seconds=row.seconds,
            first=exchange.first,
            overhead=exchange.overhead,
            attempts=row.attempts,
            answer=exchange.answer if exchange.hit is None else None,
            limit=limit_of(exchange.failure),
        )
        self.ledger.note(row)
        if self.lines is not None:
            self.lines.ended(row, exchange.failure)
        if self.tracer is not None and exchange.drive.trace is not None:
            self.tracer.ended(exchange.drive.trace, exchange, row)
        if exchange.hit is not None:
            return
        if self.learning is not None:
            self.learning.wait(exchange)
        sessions, session, answer = self.choosing.sessions, exchange.choice.session, exchange.answer
        if sessions is not None and session is not None and answer is not None:
            sessions.put(session, self.models[answer.model].card, answer)
        if self.cache is not None and exchange.looked is not None and (answer := exchange.to_keep()) is not None:
            self.cache.keep(exchange.looked, answer)

    def families(self) -> Iterator[Family]:
        """What the parts say of themselves in the metrics."""
        yield from log_families(self.ledger.dropped, self.ledger.waiting)
        if (shared := self.access.limiter.shared) is not None:
            yield from limits_families(shared)
        if self.cache is not None:
            yield from cache_families(self.cache.looks)
        sessions = self.choosing.sessions
        remotes = (self.cache.store if self.cache is not None else None, sessions.remote if sessions else None)
        yield from remote_families([remote for remote in remotes if isinstance(remote, Remote)])
        if self.tracer is not None:
            yield from trace_families(self.tracer.sender.sent, self.tracer.sender.lost)
        if self.drifting is not None and self.drifting.latest is not None:
            yield from drift_families(self.drifting.latest)
        if self.learning is not None:
            yield from learning_families(self.learning)
