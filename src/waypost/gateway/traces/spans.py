"""What the spans say: OpenTelemetry's conventions for HTTP servers and for generative AI, and words of ours.

Neither a prompt nor an answer nor an error's words, which may quote them, are in a span, unless prompts are logged.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from waypost.errors import ModelFailed, ModelTimeout, WaypostError
from waypost.gateway.exchange import GONE, Exchange
from waypost.gateway.sections.models import ModelSettings
from waypost.gateway.traces.span import Event, Span, Value
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
}
_MOST_KEPT = 20_000  # characters of a text
_MOST_WHY = 200


class Place(NamedTuple):
    """Where a model is: the provider's name in the conventions, and its server if it has one."""

    provider: str
    address: str = ""
    port: int = 0


def place_of(model: ModelSettings) -> Place:
    """Where the config says that a model is."""
    default = inspect.signature(KINDS[model.kind]).parameters.get("base_url")
    url = model.settings.get("base_url", default.default if default is not None else None)
    if not isinstance(url, str):
        return Place(model.kind)
    parts = urlsplit(url)
    host = parts.hostname or ""
    known = (name for suffix, name in _PROVIDERS.items() if host == suffix or host.endswith(f".{suffix}"))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Place(next(known, model.kind), host, port)


def refused(trace: Trace, path: str, status: int, code: str) -> Span:
    """The span of a request that came to no decision."""
    return _request(trace, path, status, {"error.type": code})


def spans_of(
    trace: Trace, exchange: Exchange, row: Decided, places: Mapping[str, Place], *, keep_text: bool
) -> Iterator[Span]:
    """The spans of a request that has ended: its own, and one for each call."""
    decision, drive = row.decision, exchange.drive
    said: dict[str, Value | None] = {
        "waypost.decision.id": row.id,
        "waypost.request.model": row.requested,
        "waypost.router": decision.router,
        "waypost.why": decision.why[:_MOST_WHY],
        "waypost.model": row.served,
        "waypost.calls": len(drive.attempts),
        "waypost.cost_usd": row.usd,
        "waypost.session": row.session,
        "waypost.cache": row.cache,
        "waypost.overhead_seconds": row.overhead_seconds,
        "waypost.stream": exchange.asked.stream,
        "waypost.key": row.key,
        "waypost.team": row.team,
        "error.type": _request_error(row.status, exchange.failure),
    }
    server = _request(trace, exchange.asked.api.path, row.status, said)
    yield server
    operation = _OPERATIONS.get(row.api, "chat")
    for traced in trace.calls:
        yield _call(trace, traced, operation, exchange, places, server.end, keep_text)


def _request(trace: Trace, path: str, status: int, said: Mapping[str, Value | None]) -> Span:
    attributes: dict[str, Value | None] = {
        "http.request.method": "POST",
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
        # Who leaves gets none.
        "http.response.status_code": status if status != GONE else None,
        **said,
    }
    parent = trace.parent
    return Span(
        f"POST {path}",
        trace.trace_id,
        trace.span_id,
        parent.span_id if parent is not None else "",
        parent.state if parent is not None else "",
        serves=True,
        remote=parent is not None,
        start=trace.start,
        end=time.time_ns(),
        failed=status >= 500,
        attributes=_known(attributes),
    )


def _request_error(status: int, failure: WaypostError | None) -> str | None:
    if status < 400:
        return None
    if failure is not None:
        return failure.code
    return "client_gone" if status == GONE else WaypostError.code


def _call(
    trace: Trace,
    traced: Traced,
    operation: str,
    exchange: Exchange,
    places: Mapping[str, Place],
    now: int,
    keep_text: bool,
) -> Span:
    query, name, answer = traced.call.query, traced.call.model, traced.answer
    model = exchange.drive.models[name].card.upstream or name
    place = places[name]
    failed = traced.outcome in ("failed", "cut")
    said: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": place.provider,
        "gen_ai.request.model": model,
        "gen_ai.request.stream": True if exchange.asked.stream else None,
        "server.address": place.address or None,
        "server.port": place.port or None,
        "http.response.status_code": traced.status,
        "waypost.model": name,
        "waypost.outcome": traced.outcome,
        "waypost.retries": len(traced.retries) or None,
        "error.type": _call_error(traced.error) if failed else None,
    }
    for field, attribute in _ASKED.items():
        value = query.parameters.get(field)
        if isinstance(value, int | float) and not (field == "n" and value == 1):
            said[attribute] = value
    if traced.first:
        said["gen_ai.response.time_to_first_chunk"] = (traced.first - traced.start) / 1e9
    if answer is not None:
        said |= _answered(answer, traced.chunk)
    if keep_text:
        said |= _texts(query.messages, traced)
    return Span(
        f"{operation} {model}",
        trace.trace_id,
        traced.span_id,
        trace.span_id,
        trace.parent.state if trace.parent is not None else "",
        serves=False,
        remote=False,
        start=traced.start,
        end=traced.end or now,
        failed=failed,
        attributes=_known(said),
        events=tuple(_retry(*retry) for retry in traced.retries),
    )


def _answered(answer: Answer, chunk: Mapping[str, Any] | None) -> dict[str, Value | None]:
    told = answer.body or chunk or {}
    for inner in ("response", "message"):  # where events of other APIs have it
        if isinstance(told.get(inner), dict) and "model" in told[inner]:
            told = told[inner]
    named, id = told.get("model"), told.get("id")
    return {
        "gen_ai.response.model": named if isinstance(named, str) else None,
        "gen_ai.response.id": id if isinstance(id, str) else None,
        "gen_ai.response.finish_reasons": (str(answer.finish),),
        "gen_ai.usage.input_tokens": answer.tokens_in,
        "gen_ai.usage.output_tokens": answer.tokens_out,
        "gen_ai.usage.cache_read.input_tokens": answer.tokens_cached or None,
        "gen_ai.usage.cache_creation.input_tokens": answer.tokens_written or None,
        "gen_ai.usage.reasoning.output_tokens": answer.tokens_reasoning or None,
        "waypost.cost_usd": answer.usd,
    }


def _retry(at: int, error: ModelFailed, wait: float) -> Event:
    said: dict[str, Value | None] = {
        "error.type": _call_error(error),
        "http.response.status_code": error.upstream,
        "waypost.wait_seconds": wait,
    }
    return Event("retry", at, _known(said))


def _call_error(error: WaypostError | None) -> str:
    """A status of the provider's, what befell the connection, or a code of ours."""
    if error is None:
        return "cancelled"
    if isinstance(error, ModelFailed) and error.upstream is not None:
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


def _known(said: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in said.items() if value is not None}
