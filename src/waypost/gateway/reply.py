"""Parts of what a client gets: the headers that say what was decided, events, tokens, a whole answer as one piece."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from waypost.gateway.wire import Headers
from waypost.pool.usage import Usage
from waypost.store import Attempt
from waypost.types import Answer, Decision, Delta

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"
EVENT_STREAM: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


def event(payload: object) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def decision_headers(
    decision_id: str, decision: Decision, served: str | None, attempts: Iterable[Attempt], usd: float | None = None
) -> Headers:
    """What was decided and what came of it: ``x-waypost-…``; what is not known is left out.

    ``x-waypost-quality`` and ``x-waypost-usd`` are the router's expectations of the model that served,
    ``x-waypost-cost`` is what the request did cost in USD.
    """
    made = b",".join([_latin(f"{a.model}={a.outcome}") for a in attempts])
    model = served or decision.model
    headers = [(b"x-waypost-decision", decision_id.encode()), (b"x-waypost-router", _latin(decision.router))]
    if made:
        headers.append((b"x-waypost-attempts", made))
    if served:
        headers.append((b"x-waypost-model", _latin(served)))
    expected = (b"x-waypost-quality", decision.quality.get(model)), (b"x-waypost-usd", decision.usd.get(model))
    for name, value in (*expected, (b"x-waypost-cost", usd)):
        if value is not None and math.isfinite(value):
            headers.append((name, b"%.6g" % value))
    return headers


@lru_cache(maxsize=1024)
def _latin(word: str) -> bytes:
    """The name of a model or router, or what came of one, as a header has it."""
    return word.encode("latin-1", "replace")


def usage(answer: Answer) -> Json:
    """Token counts as OpenAI writes them."""
    parts = (answer.tokens_cached, answer.tokens_written, answer.tokens_reasoning)
    return Usage(answer.tokens_in, answer.tokens_out, *parts).json()


def whole_delta(answer: Answer) -> Delta:
    """A whole answer as one piece of a stream; what a provider's message holds (tool calls …) stays in it."""
    body = answer.body or {}
    if answer.api != "chat":
        return Delta(answer.text, body, None, answer.api)
    if not body.get("choices"):
        return Delta(answer.text, answer.body, api=answer.api)
    chunk = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    choices = [_as_chunk(choice) for choice in body["choices"]]
    return Delta(answer.text, {**chunk, "object": "chat.completion.chunk", "choices": choices})


def _as_chunk(choice: Mapping[str, Any]) -> Json:
    fields = {name: value for name, value in choice.items() if name != "message"}
    delta = {"role": "assistant", **(choice.get("message") or {})}
    if delta.get("tool_calls"):
        # In a message their order tells them apart, in a chunk their index.
        delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(delta["tool_calls"])]
    return {**fields, "delta": delta}
