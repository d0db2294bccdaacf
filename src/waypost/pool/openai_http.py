"""Any endpoint that speaks OpenAI's chat completions: OpenAI, OpenRouter, vLLM, Ollama, llama.cpp's server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from waypost.errors import BadInput, Declined, nearest
from waypost.pool.catalogue import priced
from waypost.pool.http import Json, Provider, Timeouts
from waypost.pool.relay import Show, Shown, drawn
from waypost.pool.responses_shape import Told
from waypost.pool.secret import Secret
from waypost.pool.sse import Event
from waypost.pool.usage import Usage
from waypost.pool.written import Written
from waypost.types import Answer, Delta, ModelCard, Native, Query

PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
}
_OPENAIS = ("chat", "embeddings", "responses")
_AZURE = ".openai.azure.com"
_OTHERS = ("chat", "embeddings", "completions")


class OpenAI:
    """A model behind an OpenAI-compatible endpoint; request and answer pass untouched but for the limit's name.

    ``base_url`` goes up to and including ``/v1``; ``upstream`` is the provider's name of the model, by default the
    card's.  ``apis`` are those of OpenAI's APIs that the endpoint has for the model; by default chat and embeddings,
    and ``responses`` where the endpoint is OpenAI's, ``completions`` where it is not.  Timeouts are in seconds.  A card
    without a price gets the provider's list price where it is known.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        base_url: str = "https://api.openai.com/v1",
        api_key: Secret | None = None,
        upstream: str | None = None,
        apis: tuple[str, ...] | None = None,
        timeout: float = 600.0,
        connect_timeout: float = 10.0,
        first_byte_timeout: float = 120.0,
        idle_timeout: float = 60.0,
    ) -> None:
        self._upstream = upstream or card.name
        # OpenAI's newer models refuse the old name `max_tokens`, other servers the new one.
        self._renames = _is_openai(base_url) or (urlsplit(base_url).hostname or "").endswith(_AZURE)
        timeouts = Timeouts(connect_timeout, first_byte_timeout, idle_timeout, timeout)
        headers = {"authorization": Secret(f"Bearer {api_key.reveal()}")} if api_key else {}
        self._provider = Provider(card.name, base_url, headers, timeouts)
        self.card = replace(
            priced(card, self._upstream), apis=_apis(card.name, base_url, apis), upstream=self._upstream
        )

    def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """The provider's chunks as they come, then the `Answer`; raises as `relay`, and leaving early ends the call."""
        return drawn(self, query)

    async def relay(self, query: Query, show: Show) -> Answer:
        """The answer, of which each of the provider's chunks is shown as it comes; leaving early closes the connection.

        Raises:
            ModelTimeout: see `waypost.pool.http.Timeouts`.
            ModelFailed: a refusal, an error inside the stream, or a stream that ends before its answer.
        """
        start = time.perf_counter()
        api, body, with_usage = self._streamed(query)
        said = Told() if api == "responses" else Written()
        last: bytes | None = None

        def take(event: Event) -> Shown:
            nonlocal last
            if event.data == b"[DONE]":
                last = event.raw
                return None
            chunk = self._provider.event_json(event)
            text = self._take(said, chunk)
            if isinstance(said, Told):
                if said.failure is not None:
                    raise self._provider.broken_off(said.failure)
                if said.over:
                    events.stop()
            # We always ask for the usage; a client that did not must not see the extra chunk without choices.
            return show(Delta(text, chunk, event.raw, api)) if with_usage or chunk.get("choices") else None

        async with self._provider.events(PATHS[api], body) as events:
            await events.push(take)
        if isinstance(said, Told):
            whole = said.over
        else:
            whole = said.whole or (last is not None and (api == "chat" or said.finish != ""))
        if not whole:
            raise self._provider.cut()
        seconds = time.perf_counter() - start
        if isinstance(said, Told):
            return said.answer(self.card, seconds)
        return said.answer(self.card, seconds, raw=last if api == "chat" else None, api=api)

    async def complete(self, query: Query) -> Answer:
        """The whole answer, with the provider's JSON as its ``body``; raises as `stream` does."""
        if native := self._native(query):
            return await self._complete_native(native)
        start = time.perf_counter()
        body, raw = await self._provider.post(PATHS["chat"], {**self._body(query), "stream": False})
        match body.get("choices"):
            case [{"message": dict()}, *_]:
                written = Written()
                self._take(written, body)
                return written.answer(self.card, time.perf_counter() - start, body, raw)
        raise self._provider.garbage("an object without a choice")

    async def ready(self) -> str | None:
        """None, or why the endpoint cannot be called: no connection or a refused key."""
        return await self._provider.problem("/models")

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()

    def _native(self, query: Query) -> Native | None:
        """The request as it came, if it came by an API that the endpoint speaks.

        Raises:
            Declined: it did not, and chat is not spoken either.
        """
        native = query.native
        if native is not None and native.api in self.card.apis:
            return native
        if "chat" not in self.card.apis:
            raise Declined(f"{self.card.name} speaks {', '.join(sorted(self.card.apis))} only", kind="unsent")
        return None

    def _streamed(self, query: Query) -> tuple[str, dict[str, Any], bool]:
        """The API, what is sent to it, and whether a client is to see chunks that hold nothing but the usage."""
        native = self._native(query)
        api = native.api if native is not None else "chat"
        asked = query.parameters if native is None else native.body
        body = {**(self._body(query) if native is None else native.body), "model": self._upstream, "stream": True}
        if api == "responses":  # which tells it anyway
            return api, body, True
        options = asked.get("stream_options") or {}
        body["stream_options"] = {**options, "include_usage": True}
        return api, body, bool(options.get("include_usage"))

    async def _complete_native(self, native: Native) -> Answer:
        start = time.perf_counter()
        asked = {**native.body, "model": self._upstream}
        if native.body.get("stream"):
            asked["stream"] = False
        body, raw = await self._provider.post(PATHS[native.api], asked)
        if native.api == "embeddings":
            answer = self._vectors(body)
        else:
            said = Told() if native.api == "responses" else Written()
            self._take(said, body)
            if isinstance(said, Told) and said.failure is not None:
                raise self._provider.broken_off(said.failure)
            answer = said.answer(self.card, 0.0)
        return replace(answer, seconds=time.perf_counter() - start, body=body, raw=raw, api=native.api)

    def _vectors(self, body: Json) -> Answer:
        if not isinstance(body.get("data"), list):
            raise self._provider.garbage("an object without data")
        try:
            used = Usage.of({"completion_tokens": 0, **(body.get("usage") or {})})
        except (AttributeError, TypeError, ValueError):
            raise self._provider.garbage("vectors with a usage that is none") from None
        if used is None:
            return Answer(self.card.name)
        # Nothing comes out, so that an unknown price of output makes no unknown cost.
        usd = used.usd(replace(self.card, usd_per_mtok_out=self.card.usd_per_mtok_out or 0.0))
        return Answer(self.card.name, tokens_in=used.tokens_in, usd=usd)

    def _take(self, said: Written | Told, chunk: Json) -> str:
        try:
            return said.take(chunk)
        except ValueError as error:
            raise self._provider.garbage(error) from None

    def _body(self, query: Query) -> dict[str, Any]:
        passed = {k: v for k, v in query.parameters.items() if k not in ("stream", "stream_options")}
        if self._renames and "max_tokens" in passed:
            passed.setdefault("max_completion_tokens", passed.pop("max_tokens"))
        if self._renames and query.native is not None:
            passed.pop("top_k", None)  # which Anthropic's API has and OpenAI's refuses
        passed["model"], passed["messages"] = self._upstream, list(query.messages)
        return passed


def _is_openai(base_url: str) -> bool:
    return urlsplit(base_url).hostname == "api.openai.com"


def _apis(name: str, base_url: str, apis: tuple[str, ...] | None) -> frozenset[str]:
    if apis is None:
        return frozenset(_OPENAIS if _is_openai(base_url) else _OTHERS)
    for api in apis:
        if api not in PATHS:
            raise BadInput(f"'{name}': no API '{api}'; 'apis' takes {', '.join(PATHS)}.{nearest(api, PATHS)}")
    if not apis:
        raise BadInput(f"'{name}': 'apis' must name at least one of {', '.join(PATHS)}")
    return frozenset(apis)
