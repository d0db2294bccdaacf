"""The ASGI application: paths, limits, and the outer edge where errors become responses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

from waypost.errors import BadRequest, UnknownModel, WaypostError, nearest, shown
from waypost.gateway.apis import APIS, Api
from waypost.gateway.apis.messages import COUNT
from waypost.gateway.ask import AUTO
from waypost.gateway.callers.doors import Doors
from waypost.gateway.callers.identity import Caller
from waypost.gateway.calls.reliable import metric_lines
from waypost.gateway.openapi import written
from waypost.gateway.running.pages import Pages
from waypost.gateway.running.readiness import Readiness
from waypost.gateway.seeing import decision_page
from waypost.gateway.seeing.ledger import no_decision
from waypost.gateway.serving import Serving
from waypost.gateway.traces.sender import Sender
from waypost.gateway.wire import (
    ClientGone,
    NotFound,
    Receive,
    Scope,
    Send,
    WrongMethod,
    error_body,
    error_headers,
    error_status,
    kind,
    read_body,
    read_object,
    send_bytes,
    send_json,
    to_tell,
    unknown,
)
from waypost.store import Feedback
from waypost.types import ModelCard

_log = logging.getLogger(__name__)

_DECISIONS = "/v1/decisions/"
_MODELS = "/v1/models/"
_MOST_COMMENT = 10_000
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class App:
    """The gateway as an ASGI application: ``serving`` does the work, the rest tells of it.

    ``pages`` are where several processes keep their metrics, so that any of them can tell those of all.
    """

    serving: Serving
    readiness: Readiness
    pages: Pages | None = None
    doors: Doors = field(default_factory=Doors)
    _routes: Mapping[str, tuple[str, Handler]] = field(init=False)

    def __post_init__(self) -> None:
        self._routes = {
            **{path: ("POST", partial(self._serve, api)) for path, api in APIS.items()},
            COUNT: ("POST", self._count_tokens),
            "/v1/explain": ("POST", self._explain),
            "/v1/models": ("GET", self._models),
            _MODELS + "{id}": ("GET", self._model),
            _DECISIONS + "{id}": ("GET", self._decision),
            "/v1/feedback": ("POST", self._feedback),
            "/health/live": ("GET", self._live),
            "/health/ready": ("GET", self._ready),
            "/metrics": ("GET", self._metrics),
            "/openapi.json": ("GET", self._openapi),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._handler(scope)(scope, receive, send)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the outer edge: a bug becomes a clean 500 and a line in the log
            told = to_tell(error, f"{scope['method']} {scope['path']}")
            api = APIS.get(scope["path"].removesuffix("/count_tokens"))
            body = api.error(told) if api is not None else error_body(told)
            await send_json(send, error_status(told), body, error_headers(told))

    async def _serve(self, api: Api, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serving.serve(api, scope, receive, send)

    def _handler(self, scope: Scope) -> Handler:
        path: str = scope["path"]
        route = self._routes.get(path)
        for beginning in (_DECISIONS, _MODELS) if route is None else ():
            if path.startswith(beginning):
                path = beginning + "{id}"
                route = self._routes[path]
        if route is None:
            raise NotFound(
                f"nothing lives at {shown(path)}; there is {', '.join(self._routes)}.{nearest(path, self._routes)}"
            )
        method, handler = route
        # The answer to HEAD is that to GET, of which the protocol sends all but the body.
        if scope["method"] != method and (scope["method"], method) != ("HEAD", "GET"):
            raise WrongMethod(path, scope["method"], method)
        return handler

    def parts(self) -> list[object]:
        """What has to be closed at the end, and may go on in another application."""
        serving = self.serving
        parts = (
            *serving.models.values(),
            serving.ledger,
            serving.learning,
            serving.cache,
            serving.choosing.sessions,
            self._sender,
            *self.doors.parts,
        )
        return [part for part in parts if part is not None]

    async def open(self) -> None:
        """Connect to what limits and keys are kept in; waits some seconds at most."""
        if self._sender is not None:
            self._sender.open()
        await self.doors.open()

    async def close(self, kept: Sequence[object] = ()) -> None:
        """Close all parts but those that are ``kept``."""
        going_on = set(map(id, kept))
        try:
            await self.readiness.close()
            await self._close_models(going_on)
            for remembering in (self.serving.cache, self.serving.choosing.sessions):
                if remembering is not None and id(remembering) not in going_on:
                    await remembering.close()
        finally:
            await self.doors.close(going_on)
            for part in (self.serving.ledger, self.serving.learning, self._sender):
                if part is not None and id(part) not in going_on:
                    await asyncio.to_thread(part.close)

    async def _close_models(self, going_on: set[int]) -> None:
        models = {name: model for name, model in self.serving.models.items() if id(model) not in going_on}
        ends = await asyncio.gather(*(model.close() for model in models.values()), return_exceptions=True)
        for name, end in zip(models, ends, strict=True):
            if end is not None:
                _log.error("model %s was not closed", name, exc_info=end)

    @property
    def _sender(self) -> Sender | None:
        return self.serving.tracer.sender if self.serving.tracer is not None else None

    def _caller(self, scope: Scope) -> Caller:
        return self.serving.access.caller(scope["headers"])

    async def _owned(self, decision: str, caller: Caller) -> dict[str, Any]:
        """A decision in full, if it is the caller's own; another's is no different from none."""
        found = await self.serving.ledger.explain(decision)
        if self.serving.access.identity.keys != "off" and not caller.owns(found["key"]):
            raise no_decision(decision)
        return found

    async def _count_tokens(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"input_tokens": await self.serving.count_tokens(scope, receive)})

    async def _explain(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, await self.serving.explain(scope, receive))

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        rows = self._rows(self._caller(scope))
        await send_json(send, 200, {"object": "list", "data": list(rows.values())})

    async def _model(self, scope: Scope, receive: Receive, send: Send) -> None:
        rows = self._rows(self._caller(scope))
        name = unquote(scope["path"].removeprefix(_MODELS))
        if name not in rows:
            raise UnknownModel(name, rows)
        await send_json(send, 200, rows[name])

    def _rows(self, caller: Caller) -> dict[str, dict[str, Any]]:
        """What a caller may ask for, by name."""
        choices = [AUTO, *(f"{AUTO}:{name}" for name in self.serving.profiles)]
        rows = {name: _model_row(name, "the router's choice") for name in choices}
        models = {name: model.card for name, model in self.serving.models.items() if caller.may_call(name)}
        return rows | {name: _model_row(name, card.description, card) for name, card in models.items()}

    async def _feedback(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._caller(scope)
        body = read_object(await read_body(receive, self.serving.max_body_bytes))
        said = _read_feedback(body)
        async with self.serving.access.counted(caller):
            if self.serving.access.identity.keys != "off":
                await self._owned(said.decision, caller)
            await self.serving.ledger.feedback(said)
        told: dict[str, Any] = {"decision": said.decision, "stored": True}
        if self.serving.learning is not None:
            told["learned"] = await self.serving.learning.told(said)
        await send_json(send, 200, told)

    async def _decision(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._caller(scope)
        async with self.serving.access.counted(caller):
            found = await self._owned(scope["path"].removeprefix(_DECISIONS), caller)
        if decision_page.wanted(scope["headers"]):
            page = decision_page.page(found)
            await send_bytes(send, 200, page, b"text/html; charset=utf-8", decision_page.HEADERS)
        else:
            await send_json(send, 200, found)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"status": "live"})

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = await self._state()
        if self.doors.guarded:
            try:
                self._caller(scope)
            except WaypostError:
                # Whom it calls, and what is wrong with it, is not for everybody; the rest every request is told.
                body = {name: body[name] for name in body.keys() & {"keys"}}
        await send_json(send, 200 if status == "ready" else 503, {"status": status, **body})

    async def _state(self) -> tuple[str, dict[str, Any]]:
        if self.readiness.draining:
            return "draining", {"ready": [], "not_ready": {}}
        states = await self.readiness.states()
        ready = [name for name, reason in states.items() if reason is None]
        waiting = {name: reason for name, reason in states.items() if reason is not None}
        status = "ready" if ready else "not ready"
        body: dict[str, Any] = {"ready": ready, "not_ready": waiting}
        if self.doors.locked:
            status = "not ready"
            body["keys"] = "no key could be read yet, so every request would be refused: the store does not answer"
        if self.serving.drifting is not None and self.serving.drifting.latest is not None:
            body["traffic"] = str(self.serving.drifting.latest)
        shared = self.serving.access.limiter.shared
        if shared is not None and not shared.up:
            body["limits"] = "Redis does not answer: this process keeps limits by itself until it does"
        return status, body

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.doors.guarded:
            self._caller(scope)
        page = self.page()
        if self.pages is not None:
            self.pages.write(page)
            page = await asyncio.to_thread(self.pages.merged, page)
        await send_bytes(send, 200, page.encode(), b"text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_bytes(send, 200, written(), b"application/json")

    def page(self) -> str:
        """What this process has counted, as ``/metrics`` tells it."""
        page = self.serving.metrics.render(self.serving.families())
        return page + "".join(f"{line}\n" for line in metric_lines(self.serving.models))


def _model_row(name: str, description: str, card: ModelCard | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "waypost"}
    row["description"] = description
    if card is not None:
        row["usd_per_mtok_in"], row["usd_per_mtok_out"] = card.usd_per_mtok_in, card.usd_per_mtok_out
        row["context"], row["local"] = card.context, card.local
    return row


def _read_feedback(body: Mapping[str, Any]) -> Feedback:
    allowed = ("decision", "quality", "comment")
    for name in body:
        if name not in allowed:
            raise unknown(name, allowed)
    decision, quality, comment = (body.get(name) for name in allowed)
    if not isinstance(decision, str):
        raise BadRequest("decision", f"must be the id in x-waypost-decision, got {kind(decision)}")
    if isinstance(quality, bool) or not isinstance(quality, int | float) or not 0 <= quality <= 1:
        raise BadRequest("quality", f"must be a number from 0 to 1, got {kind(quality)}")
    if comment is not None and not isinstance(comment, str):
        raise BadRequest("comment", f"must be a text, got {kind(comment)}")
    if len(comment or "") > _MOST_COMMENT:
        raise BadRequest("comment", f"must have at most {_MOST_COMMENT:,} characters, got {len(comment or ''):,}")
    return Feedback(decision, time.time(), float(quality), comment or "")
