"""Models behind Anthropic's Messages API, spoken to and answering in OpenAI's shape."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from waypost.errors import Declined
from waypost.pool import anthropic_shape as shape
from waypost.pool.catalogue import priced
from waypost.pool.http import Json, Provider, Timeouts
from waypost.pool.secret import Secret
from waypost.pool.written import Written
from waypost.types import Answer, Delta, ModelCard, Query


class Anthropic:
    """A model of Anthropic's; text, images, tools, stop strings and sampling are translated both ways.

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
        self.card = priced(card, self._upstream)
        timeouts = Timeouts(connect_timeout, first_byte_timeout, idle_timeout, timeout)
        headers: dict[str, str | Secret] = {"anthropic-version": "2023-06-01"}
        if api_key:
            headers["x-api-key"] = api_key
        self._provider = Provider(card.name, base_url, headers, timeouts)

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """Yield chunks of OpenAI's shape as the events come, then the `Answer`.

        Raises:
            Declined: the request needs what the API cannot give.
            ModelTimeout: see `waypost.pool.http.Timeouts`.
            ModelFailed: a refusal, an error inside the stream, or a stream that ends before its answer.
        """
        start = time.perf_counter()
        events = shape.Events(self._upstream, int(time.time()))
        written = Written()
        async for event in self._provider.events("/v1/messages", self._body(query) | {"stream": True}):
            chunk = self._chunk(events, self._provider.event_json(event))
            if chunk is not None:
                yield Delta(written.take(chunk), chunk)
            if events.over:
                break
        if not events.over:
            raise self._provider.cut()
        written.usage = events.usage
        yield written.answer(self.card, time.perf_counter() - start)

    async def complete(self, query: Query) -> Answer:
        """The whole answer, its ``body`` in OpenAI's shape; raises as `stream` does."""
        start = time.perf_counter()
        reply, _ = await self._provider.post("/v1/messages", self._body(query))
        try:
            body = shape.completion(reply, self._upstream, int(time.time()))
        except (AttributeError, KeyError, TypeError):
            raise self._provider.garbage("an object that is no message") from None
        written = Written()
        written.take(body)
        return written.answer(self.card, time.perf_counter() - start, body)

    async def ready(self) -> str | None:
        """None, or why the API cannot be called: no connection or a refused key."""
        return await self._provider.problem("/v1/models")

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()

    def _body(self, query: Query) -> dict[str, Any]:
        try:
            return {"model": self._upstream, **shape.request(query)}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Declined("the conversation holds a message that Anthropic's API has no shape for") from None

    def _chunk(self, events: shape.Events, event: Json) -> Json | None:
        try:
            return events.chunk(event)
        except (AttributeError, KeyError, TypeError):
            raise self._provider.garbage("an event of another shape") from None
