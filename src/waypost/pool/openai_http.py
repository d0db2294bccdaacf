"""Any endpoint that speaks OpenAI's chat completions: OpenAI, OpenRouter, vLLM, Ollama, llama.cpp's server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from waypost.pool.catalogue import priced
from waypost.pool.http import Json, Provider, Timeouts
from waypost.pool.secret import Secret
from waypost.pool.written import Written
from waypost.types import Answer, Delta, ModelCard, Query


class OpenAI:
    """A model behind an OpenAI-compatible endpoint; everything in the request and the answer passes untouched.

    ``base_url`` goes up to and including ``/v1``; ``upstream`` is the provider's name of the model, by default the
    card's.  Timeouts are in seconds.  A card without a price gets the provider's list price where it is known.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        base_url: str = "https://api.openai.com/v1",
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
        headers = {"authorization": Secret(f"Bearer {api_key.reveal()}")} if api_key else {}
        self._provider = Provider(card.name, base_url, headers, timeouts)

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """Yield the provider's chunks as they come, then the `Answer`; leaving early closes the connection.

        Raises:
            ModelTimeout: see `waypost.pool.http.Timeouts`.
            ModelFailed: a refusal, an error inside the stream, or a stream that ends before its answer.
        """
        start = time.perf_counter()
        options = query.parameters.get("stream_options") or {}
        body = self._body(query) | {"stream": True, "stream_options": {**options, "include_usage": True}}
        written, last = Written(), None
        async for event in self._provider.events("/chat/completions", body):
            if event.data == b"[DONE]":
                written.finish = written.finish or "stop"
                last = event.raw
                break
            chunk = self._provider.event_json(event)
            text = self._take(written, chunk)
            # We always ask for the usage; a client that did not must not see the extra chunk without choices.
            if chunk.get("choices") or options.get("include_usage"):
                yield Delta(text, chunk, event.raw)
        if not written.finish:
            raise self._provider.cut()
        yield replace(written.answer(self.card, time.perf_counter() - start), raw=last)

    async def complete(self, query: Query) -> Answer:
        """The whole answer, with the provider's JSON as its ``body``; raises as `stream` does."""
        start = time.perf_counter()
        body, raw = await self._provider.post("/chat/completions", self._body(query) | {"stream": False})
        match body.get("choices"):
            case [{"message": dict()}, *_]:
                written = Written()
                self._take(written, body)
                return replace(written.answer(self.card, time.perf_counter() - start, body), raw=raw)
        raise self._provider.garbage("an object without a choice")

    async def ready(self) -> str | None:
        """None, or why the endpoint cannot be called: no connection or a refused key."""
        return await self._provider.problem("/models")

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()

    def _take(self, written: Written, chunk: Json) -> str:
        try:
            return written.take(chunk)
        except ValueError as error:
            raise self._provider.garbage(error) from None

    def _body(self, query: Query) -> dict[str, Any]:
        passed = {k: v for k, v in query.parameters.items() if k not in ("stream", "stream_options")}
        return passed | {"model": self._upstream, "messages": list(query.messages)}
