"""Models behind Anthropic's Messages API: asked by that API they are given what came, else a translation of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from waypost.errors import Declined
from waypost.pool import anthropic_shape as shape
from waypost.pool.catalogue import priced
from waypost.pool.http import Json, Provider, Timeouts
from waypost.pool.relay import Show, Shown, drawn
from waypost.pool.secret import Secret
from waypost.pool.sse import Event
from waypost.pool.written import Written
from waypost.types import Answer, Delta, ModelCard, Native, Query

API = "messages"


class Anthropic:
    """A model of Anthropic's; text, images, tools, stop strings and sampling are translated both ways.

    A query whose ``native`` is of this API is sent as it came, and so are its answers given back, in this API's shape.
    What the API has no place for (``seed``, ``presence_penalty``, ``logit_bias`` …) is left out; what would change
    the answer's form (``n`` above 1, JSON output, log-probabilities) is declined, so that another model is asked.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        base_url: str = "https://api.anthropic.com",
        api_key: Secret | None = None,
        upstream: str | None = None,
        timeout: float = 600.0,
        connect_timeout: float = 10.0,
        first_byte_timeout: float = 120.0,
        idle_timeout: float = 60.0,
    ) -> None:
        self._upstream = upstream or card.name
        # What only this API has a shape for, such as tools that the provider runs itself, is asked of nobody else.
        self.card = priced(replace(card, apis=card.apis | {API}), self._upstream)
        timeouts = Timeouts(connect_timeout, first_byte_timeout, idle_timeout, timeout)
        headers: dict[str, str | Secret] = {"anthropic-version": "2023-06-01"}
        if api_key:
            headers["x-api-key"] = api_key
        self._provider = Provider(card.name, base_url, headers, timeouts)

    def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """Chunks of OpenAI's shape as the events come, then the `Answer`; raises as `relay`."""
        return drawn(self, query)

    async def relay(self, query: Query, show: Show) -> Answer:
        """The answer, shown in chunks of OpenAI's shape as the events come, or event by event to a native query.

        Raises:
            Declined: the request needs what the API cannot give.
            ModelTimeout: see `waypost.pool.http.Timeouts`.
            ModelFailed: a refusal, an error inside the stream, or a stream that ends before its answer.
        """
        start, native = time.perf_counter(), _native(query)
        said = shape.Events(self._upstream, int(time.time()))
        written, last = Written(), b""

        def take(event: Event) -> Shown:
            nonlocal last
            told = self._provider.event_json(event)
            chunk = self._chunk(said, told)
            text = written.take(chunk) if chunk is not None else ""
            if said.over:
                last = event.raw
                events.stop()
                return None
            if native:
                return show(Delta(text, told, event.raw, API))
            return show(Delta(text, chunk)) if chunk is not None else None

        asked = self._body(query) | {"stream": True}
        async with self._provider.events("/v1/messages", asked, native.headers if native else None) as events:
            await events.push(take)
        if not said.over:
            raise self._provider.cut()
        written.usage = said.usage
        answer = written.answer(self.card, time.perf_counter() - start)
        return replace(answer, raw=last, api=API) if native else answer

    async def complete(self, query: Query) -> Answer:
        """The whole answer, its ``body`` in OpenAI's shape unless the query is native; raises as `stream` does."""
        start, native = time.perf_counter(), _native(query)
        headers, asked = native.headers if native else None, self._body(query)
        if asked.get("stream"):  # of a request that came as a stream, but whose answer is to be looked at first
            asked["stream"] = False
        reply, raw = await self._provider.post("/v1/messages", asked, headers)
        try:
            body = shape.completion(reply, self._upstream, int(time.time()))
            written = Written()
            written.take(body)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._provider.garbage("an object that is no message") from None
        answer = written.answer(self.card, time.perf_counter() - start, body)
        return replace(answer, body=reply, raw=raw, api=API) if native else answer

    async def count_tokens(self, body: Json, headers: Mapping[str, str]) -> int:
        """The tokens of a request of this API, as the provider counts them.

        Raises:
            ModelFailed: it did not count them.
        """
        counted, _ = await self._provider.post("/v1/messages/count_tokens", {**body, "model": self._upstream}, headers)
        tokens = counted.get("input_tokens")
        if not isinstance(tokens, int):
            raise self._provider.garbage("an object without a count")
        return tokens

    async def ready(self) -> str | None:
        """None, or why the API cannot be called: no connection or a refused key."""
        return await self._provider.problem("/v1/models")

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()

    def _body(self, query: Query) -> dict[str, Any]:
        if native := _native(query):
            return {**native.body, "model": self._upstream}
        try:
            return {"model": self._upstream, **shape.request(query)}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Declined(
                "the conversation holds a message that Anthropic's API has no shape for", kind="unsent"
            ) from None

    def _chunk(self, events: shape.Events, event: Json) -> Json | None:
        try:
            return events.chunk(event)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._provider.garbage("an event of another shape") from None


def _native(query: Query) -> Native | None:
    return query.native if query.native is not None and query.native.api == API else None
