"""What the spans say: OpenTelemetry's conventions for HTTP servers and for generative AI, and words of ours.

Neither a prompt nor an answer nor an error's words, which may quote them, are in a span, unless prompts are logged.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from waypost.errors import ModelFailed, ModelTimeout, WaypostError
from waypost.gateway.exchange import GONE, Exchange
from waypost.gateway.sections.models import ModelSettings
from waypost.gateway.traces.span import Attributes, Event, Span, Value
from waypost.gateway.traces.trace import Trace, Traced
from waypost.pool import KINDS
from waypost.store import Decided
from waypost.types import Answer, Message, message_text

_OPERATIONS = {"embeddings": "embeddings", "completions": "text_completion"}  # all others are chat
# Of a request's fields those that have a name in the conventions, and cannot hold a text of the user's.
_ASKED = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
}
_PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
_WHY = {
    "connect": "connection_failed",
    "lost": "connection_lost",
    "garbage": "invalid_response",
    "late": "timeout",
    "rest": "circuit_open",
    "unsent": "request_not_sent",
}
_MOST_KEPT = 20_000  # characters of a text
_MOST_WHY = 200


class Place(NamedTuple):
    """Where a model is: the provider's name of it, and the attributes that all calls of it have."""

    upstream: str
    common: Attributes


def place_of(model: ModelSettings) -> Place:
    """Where the config says that a model is."""
    default = inspect.signature(KINDS[model.kind]).parameters.get("base_url")
    url = model.settings.get("base_url", default.default if default is not None else None)
    parts = urlsplit(url if isinstance(url, str) else "")
    host = parts.hostname or ""
    known = (name for suffix, name in _PROVIDERS.items() if host == suffix or host.endswith(f".{suffix}"))
    upstream = model.settings.get("upstream") or model.name
    common: dict[str, Value | None] = {
        "gen_ai.provider.name": next(known, model.kind),
        "gen_ai.request.model": upstream,
        "waypost.model": model.name,
    }
    if host:
        common["server.address"] = host
        common["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    return Place(upstream, common)


def refused(trace: Trace, path: str, status: int, code: str) -> Span:
    """The span of a request that came to no decision."""
    return _request(trace, path, status, {"http.response.status_code": _sent(status), "error.type": code})


def spans_of(
    trace: Trace, exchange: Exchange, row: Decided, places: Mapping[str, Place], *, keep_text: bool
) -> Iterator[Span]:
    """The spans of a request that has ended: its own, and one for each call."""
    decision, status = row.decision, row.status
    said: dict[str, Value | None] = {
        "http.response.status_code": _sent(status),
        "waypost.decision.id": row.id,
        "waypost.request.model": row.requested,
        "waypost.router": decision.router,
        "waypost.why": decision.why[:_MOST_WHY],
        "waypost.model": row.served,
        "waypost.calls": len(row.attempts),
        "waypost.cost_usd": row.usd,
        "waypost.session": row.session,
        "waypost.cache": row.cache,
        "waypost.overhead_seconds": row.overhead_seconds,
        "waypost.stream": exchange.asked.stream,
        "waypost.key": row.key,
        "waypost.team": row.team,
        "error.type": _request_error(status, exchange.failure) if status >= 400 else None,
    }
    server = _request(trace, exchange.asked.api.path, status, said)
    yield server
    operation = _OPERATIONS.get(row.api, "chat")
    for traced in trace.calls:
        place = places[traced.call.model]
        yield _call(trace, traced, operation, place, server.end, stream=exchange.asked.stream, keep_text=keep_text)


def _request(trace: Trace, path: str, status: int, said: Attributes) -> Span:
    parent = trace.parent
    return Span(
        f"POST {path}",
        trace.trace_id,
        trace.span_id,
        parent.span_id if parent is not None else "",
        parent.state if parent is not None else "",
        True,
        parent is not None,
        trace.start,
        time.time_ns(),
        status >= 500,
        _of_path(path),
        said,
    )


@cache
def _of_path(path: str) -> Attributes:
    return {"http.request.method": "POST", "http.route": path, "url.path": path, "url.scheme": "http"}


def _sent(status: int) -> int | None:
    """The status; who leaves gets none."""
    return status if status != GONE else None


def _request_error(status: int, failure: WaypostError | None) -> str:
    if failure is not None:
        return failure.code
    return "client_gone" if status == GONE else WaypostError.code


def _call(
    trace: Trace, traced: Traced, operation: str, place: Place, now: int, *, stream: bool, keep_text: bool
) -> Span:
    query, answer = traced.call.query, traced.answer
    failed = traced.outcome in ("failed", "cut")
    said: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.stream": stream or None,
        "http.response.status_code": traced.status,
        "waypost.outcome": traced.outcome,
        "waypost.retries": len(traced.retries) or None,
        "error.type": _call_error(traced.error) if failed else None,
    }
    for field, value in query.parameters.items():
        attribute = _ASKED.get(field)
        if attribute is not None and isinstance(value, int | float) and not (field == "n" and value == 1):
            said[attribute] = value
    if traced.first:
        said["gen_ai.response.time_to_first_chunk"] = (traced.first - traced.start) / 1e9
    if answer is not None:
        _answered(said, answer, traced.chunk)
    if keep_text:
        said |= _texts(query.messages, traced)
    return Span(
        f"{operation} {place.upstream}",
        trace.trace_id,
        traced.span_id,
        trace.span_id,
        trace.parent.state if trace.parent is not None else "",
        False,
        False,
        traced.start,
        traced.end or now,
        failed,
        place.common,
        said,
        tuple(_retry(*retry) for retry in traced.retries) if traced.retries else (),
    )


def _answered(said: dict[str, Value | None], answer: Answer, chunk: Mapping[str, Any] | None) -> None:
    told = answer.body or chunk or {}
    for inner in ("response", "message"):  # where events of other APIs have it
        within = told.get(inner)
        if isinstance(within, dict) and "model" in within:
            told = within
    named, id = told.get("model"), told.get("id")
    said["gen_ai.response.model"] = named if isinstance(named, str) else None
    said["gen_ai.response.id"] = id if isinstance(id, str) else None
    said["gen_ai.response.finish_reasons"] = (str(answer.finish),)
    said["gen_ai.usage.input_tokens"] = answer.tokens_in
    said["gen_ai.usage.output_tokens"] = answer.tokens_out
    said["gen_ai.usage.cache_read.input_tokens"] = answer.tokens_cached or None
    said["gen_ai.usage.cache_creation.input_tokens"] = answer.tokens_written or None
    said["gen_ai.usage.reasoning.output_tokens"] = answer.tokens_reasoning or None
    said["waypost.cost_usd"] = answer.usd


def _retry(at: int, error: ModelFailed, wait: float) -> Event:
    said: dict[str, Value | None] = {
        "error.type": _call_error(error),
        "http.response.status_code": error.upstream,
        "waypost.wait_seconds": wait,
    }
    return Event("retry", at, said)


def _call_error(error: WaypostError | None) -> str:
    """A status of the provider's, what befell the connection, or a code of ours."""
    if error is None:
        return "cancelled"
    if isinstance(error, ModelFailed) and error.upstream is not None and error.kind != "rest":
        return str(error.upstream)
    if isinstance(error, ModelTimeout):
        return "timeout"
    return _WHY.get(getattr(error, "kind", ""), error.code)


def _texts(messages: tuple[Message, ...], traced: Traced) -> dict[str, Value]:
    said = [{"role": str(m.get("role", "user")), "parts": _parts(message_text(m))} for m in messages]
    texts: dict[str, Value] = {"gen_ai.input.messages": orjson.dumps(said).decode()}
    if traced.answer is not None:
        one = {"role": "assistant", "parts": _parts(traced.answer.text), "finish_reason": traced.answer.finish}
        texts["gen_ai.output.messages"] = orjson.dumps([one]).decode()
    if traced.error is not None:
        texts["error.message"] = str(traced.error)[:_MOST_KEPT]
    return texts


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "content": text[:_MOST_KEPT]}]
