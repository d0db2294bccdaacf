"""The ASGI application: paths, limits, and the outer edge where errors become responses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from waypost.errors import BadRequest, WaypostError, nearest
from waypost.gateway.ask import AUTO, Ask, parse
from waypost.gateway.budgets import Budgets
from waypost.gateway.chat import Exchange
from waypost.gateway.drifting import Drifting
from waypost.gateway.learning import Learning
from waypost.gateway.ledger import Ledger
from waypost.gateway.metrics import Metrics
from waypost.gateway.readiness import Readiness
from waypost.gateway.reliable import metric_lines
from waypost.gateway.wire import (
    Busy,
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
from waypost.objective import Objective
from waypost.store import Feedback
from waypost.types import Model, ModelCard, Strategy

_log = logging.getLogger(__name__)

_DECISIONS = "/v1/decisions/"
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class App:
    """The gateway as an ASGI application: finished parts come in, requests are served.

    ``models`` are those that can be called by name; the strategy chooses among those that it knows.  ``budgets``
    turns the budgets of profiles and requests into weights.  ``drifting`` watches the traffic of a calibrated router,
    ``learning`` teaches one that learns from feedback.  A strategy that ``decides_long``, as where a language model
    reads each prompt, does so in a thread of its own, and other requests go on meanwhile.
    """

    models: Mapping[str, Model]
    strategy: Strategy
    profiles: Mapping[str, Objective]
    ledger: Ledger
    readiness: Readiness
    budgets: Budgets
    drifting: Drifting | None = None
    learning: Learning | None = None
    decides_long: bool = False
    max_body_bytes: int = 10_000_000
    max_in_flight: int = 256
    metrics: Metrics = field(default_factory=Metrics)
    _routes: Mapping[str, tuple[str, Handler]] = field(init=False)

    def __post_init__(self) -> None:
        self._routes = {
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/models": ("GET", self._models),
            _DECISIONS + "{id}": ("GET", self._decision),
            "/v1/feedback": ("POST", self._feedback),
            "/health/live": ("GET", self._live),
            "/health/ready": ("GET", self._ready),
            "/metrics": ("GET", self._metrics),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            await self._handler(scope)(scope, receive, send)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the outer edge: a bug becomes a clean 500 and a line in the log
            told = to_tell(error, f"{scope['method']} {scope['path']}")
            await send_json(send, error_status(told), error_body(told), error_headers(told))

    def _handler(self, scope: Scope) -> Handler:
        path: str = scope["path"]
        if path.startswith(_DECISIONS):
            path = _DECISIONS + "{id}"
        if path not in self._routes:
            raise NotFound(f"nothing lives at {path}; there is {', '.join(self._routes)}.{nearest(path, self._routes)}")
        method, handler = self._routes[path]
        if scope["method"] != method:
            raise WrongMethod(path, scope["method"], method)
        return handler

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.readiness.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self.readiness.close()
            await self._close_models()
        finally:
            await asyncio.to_thread(self.ledger.close)
            if self.learning is not None:
                await asyncio.to_thread(self.learning.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _close_models(self) -> None:
        ends = await asyncio.gather(*(model.close() for model in self.models.values()), return_exceptions=True)
        for name, end in zip(self.models, ends, strict=True):
            if end is not None:
                _log.error("model %s was not closed", name, exc_info=end)

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = read_object(await read_body(scope, receive, self.max_body_bytes))
            asked = parse(body, scope["headers"], self.models, self.profiles)
            if self.metrics.in_flight >= self.max_in_flight:
                raise Busy(f"{self.max_in_flight} requests are under way, the most that this server takes at once")
            if asked.objective is not None:
                asked = replace(asked, objective=self.budgets.solved(asked.objective))
            self.metrics.in_flight += 1
            try:
                exchange = await self._decided(asked)
            except BaseException:
                self.metrics.in_flight -= 1
                raise
        except WaypostError as error:
            self.metrics.count(error_status(error), None)
            raise
        try:
            async with _cancelled_when_gone(receive):
                await exchange.send(send)
        except Exception:
            exchange.status = 500
            raise
        finally:
            self.metrics.in_flight -= 1
            self.metrics.count(exchange.status, exchange.served)
            self.ledger.put(exchange.row(keep_prompt=self.ledger.keep_prompts))
            if self.learning is not None:
                self.learning.wait(exchange)

    async def _decided(self, asked: Ask) -> Exchange:
        begin = partial(Exchange.begin, asked, self.strategy, self.models)
        exchange = await asyncio.to_thread(begin) if self.decides_long else begin()
        if self.drifting is not None:
            self.drifting.put(exchange.decision, asked.objective, asked.query.text)
        return exchange

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        choices = [AUTO, *(f"{AUTO}:{name}" for name in self.profiles)]
        rows = [_model_row(name, "the router's choice") for name in choices]
        rows += [_model_row(name, model.card.description, model.card) for name, model in self.models.items()]
        await send_json(send, 200, {"object": "list", "data": rows})

    async def _feedback(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = read_object(await read_body(scope, receive, self.max_body_bytes))
        said = _read_feedback(body)
        await self.ledger.feedback(said)
        told: dict[str, Any] = {"decision": said.decision, "stored": True}
        if self.learning is not None:
            told["learned"] = await self.learning.told(said)
        await send_json(send, 200, told)

    async def _decision(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, await self.ledger.explain(scope["path"].removeprefix(_DECISIONS)))

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"status": "live"})

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        states = await self.readiness.states()
        ready = [name for name, reason in states.items() if reason is None]
        waiting = {name: reason for name, reason in states.items() if reason is not None}
        status = "ready" if ready else "not ready"
        body = {"status": status, "ready": ready, "not_ready": waiting}
        if self.drifting is not None and self.drifting.latest is not None:
            body["traffic"] = str(self.drifting.latest)
        await send_json(send, 200 if ready else 503, body)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        drift = self.drifting.latest if self.drifting is not None else None
        page = self.metrics.render(
            dropped=self.ledger.dropped, waiting=self.ledger.waiting, drift=drift, learning=self.learning
        )
        page += "".join(f"{line}\n" for line in metric_lines(self.models))
        await send_bytes(send, 200, page.encode(), b"text/plain; version=0.0.4; charset=utf-8")


@asynccontextmanager
async def _cancelled_when_gone(receive: Receive) -> AsyncIterator[None]:
    """Cancel what is done inside as soon as the client leaves, which is no error."""
    task = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        if task is not None:
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        # Someone else may want this task to end too (the server, at its own end); only our own wish is settled.
        if not gone or task is None or task.uncancel() > 0:
            raise
    finally:
        watcher.cancel()


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
    return Feedback(decision, time.time(), float(quality), comment or "")
