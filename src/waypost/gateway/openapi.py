"""The gateway's own description: an OpenAPI 3.1 document of every route.

Routes are those of `apis.APIS` and of `_OTHERS`; the types of fields are those that `ask` checks.  Fields that are not
named are passed on to the model, so what is named is what the gateway itself reads.

Reference: the OpenAPI Specification 3.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import orjson

from waypost import __version__
from waypost.gateway.apis import APIS
from waypost.gateway.apis.messages import COUNT
from waypost.gateway.ask import TYPES, WISHES
from waypost.gateway.openapi_parts import COMPONENTS, RATES, RETRY, TOLD

Json = dict[str, Any]

_OBJECT: Json = {"type": "object"}
_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 1}
_OBJECTS: Json = {"type": "array", "items": _OBJECT}
# The words by which `ask` says what a field must be, as a schema.
_WORDS: Mapping[str, Json] = {
    "true or false": {"type": "boolean"},
    "an object": _OBJECT,
    "a number": {"type": "number"},
    "a whole number": {"type": "integer"},
    "a whole number of at least 1": _COUNT,
    "a text": _TEXT,
    "a text or a list of texts": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
    "a list of objects": _OBJECTS,
}
_MODEL: Json = {"type": "string", "description": "A model's name, `auto`, or `auto:` and the name of a profile."}
_TOKENS: Json = {"type": "array", "minItems": 1, "items": {"type": ["integer", "array"]}}
_WAYPOST: Json = {"$ref": "#/components/schemas/Waypost"}
_TURNS: Json = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Message"}}


def _nullable(schema: Json) -> Json:
    """The schema, or null, which is the same as to leave a field out."""
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else {"anyOf": [schema, {"type": "null"}]}


def _checked(leaving_out: Iterable[str] = ()) -> Json:
    """The fields whose types `ask` checks, by whichever API they come."""
    fields = {name: _nullable(_WORDS[words]) for name, (_, words) in TYPES.items() if name not in leaving_out}
    return fields | {"waypost": _nullable(_WAYPOST)}


_COMMON = {name: schema for name, schema in _checked().items() if name in ("stream", "temperature", "top_p", "waypost")}
_ASKED: Mapping[str, tuple[tuple[str, ...], Json]] = {
    "chat": (("model", "messages"), {"model": _MODEL, "messages": _TURNS, **_checked()}),
    "completions": (
        ("model", "prompt"),
        {
            "model": _MODEL,
            "prompt": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _TEXT}, _TOKENS]},
            **_checked(["logprobs"]),  # which are a number here, and the model's to judge
        },
    ),
    "embeddings": (
        ("model", "input"),
        {
            "model": {"type": "string", "description": "The name of a model that makes embeddings; never `auto`."},
            "input": {
                "anyOf": [{**_TEXT, "minLength": 1}, {"type": "array", "minItems": 1, "items": _TEXT}, _TOKENS],
            },
            "user": _nullable(_TEXT),
        },
    ),
    "responses": (
        ("model",),
        {
            "model": _MODEL,
            "input": {"anyOf": [_TEXT, _OBJECTS, {"type": "null"}]},
            "instructions": _nullable(_TEXT),
            "max_output_tokens": _nullable(_COUNT),
            "tools": _nullable(_OBJECTS),
            "text": _nullable(_OBJECT),
            "reasoning": _nullable(_OBJECT),
            **_COMMON,
        },
    ),
    "messages": (
        ("model", "messages", "max_tokens"),
        {
            "model": _MODEL,
            "messages": {**_TURNS, "items": {"$ref": "#/components/schemas/Turn"}},
            "max_tokens": _COUNT,
            "system": {"anyOf": [_TEXT, {"type": "array", "items": {"$ref": "#/components/schemas/TextBlock"}}]},
            "tools": _nullable(_OBJECTS),
            "tool_choice": _nullable(_OBJECT),
            "metadata": _nullable(_OBJECT),
            "output_config": _nullable(_OBJECT),
            "stop_sequences": _nullable({"type": "array", "items": _TEXT}),
            **_COMMON,
        },
    ),
}
_FEEDBACK: Json = {
    "type": "object",
    "additionalProperties": False,
    "required": ["decision", "quality"],
    "properties": {
        "decision": {**_TEXT, "description": "The id in `x-waypost-decision`."},
        "quality": {"type": "number", "minimum": 0, "maximum": 1},
        "comment": _nullable(_TEXT | {"maxLength": 10_000}),
    },
}
_SAID: Mapping[str, str] = {
    "chat": "OpenAI's chat completions",
    "completions": "OpenAI's completions",
    "embeddings": "OpenAI's embeddings",
    "responses": "OpenAI's responses",
    "messages": "Anthropic's messages",
}
_OF_MODELS = (422, 429, 502, 504)


def document() -> Json:
    """The OpenAPI document.

    >>> sorted(document()["paths"])[:3]
    ['/health/live', '/health/ready', '/metrics']
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Waypost",
            "version": __version__,
            "description": "A gateway that sends each request to the model that answers it well enough for the least.",
        },
        "paths": {path: _item(api.name) for path, api in APIS.items()} | _others(),
        "components": COMPONENTS,
        # A server whose config does not say `keys: required` asks nobody.
        "security": [{"bearer": []}, {"x-api-key": []}, {}],
    }


@cache
def written() -> bytes:
    """The document in JSON, made when it is first asked for."""
    return orjson.dumps(document())


def _item(api: str) -> Json:
    """One API's route, which answers whole or, but for embeddings, as a stream."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{api.capitalize()}Answer"}}}
    if api != "embeddings":
        content["text/event-stream"] = {"schema": _TEXT}
    headers = TOLD | RATES
    answer = {"description": f"The answer, as {_SAID[api]} have it.", "content": content, "headers": headers}
    required, fields = _ASKED[api]
    operation = {
        "operationId": api,
        "summary": f"Ask, by {_SAID[api]}.",
        "parameters": _wishes(),
        "requestBody": _body({"type": "object", "required": list(required), "properties": fields}),
        "responses": {"200": answer} | _errors("OtherError" if api == "messages" else "Error", *_OF_MODELS),
    }
    return {"post": operation}


def _wishes() -> list[Json]:
    """The headers of a request that say how to choose, and those of the cache and of conversations."""
    texts: Mapping[str, Json] = {
        "allowed": {**_TEXT, "description": "Names of models, with commas between them."},
        "flags": {**_TEXT, "description": "Such as `local=0.1,open=0.2`."},
        "bias": {**_TEXT, "description": "Such as `large=-0.1`."},
    }
    numbers = COMPONENTS["schemas"]["Waypost"]["properties"]
    schemas = {name.replace("_", "-"): texts.get(name) or numbers[name] for name in WISHES}
    schemas |= {"cache": {"enum": ["on", "off", "refresh", "only"]}, "session": _TEXT}
    return [{"name": f"x-waypost-{name}", "in": "header", "schema": schema} for name, schema in schemas.items()]


def _body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _errors(shape: str, *more: int) -> Json:
    """What may go wrong with a request that has a body; ``more`` are statuses of this route's own."""
    statuses = sorted({400, 401, 403, 404, 408, 413, 431, 500, 503, *more})
    return {str(status): _error(shape, status) for status in statuses}


def _error(shape: str, status: int) -> Json:
    schema: Json = {"$ref": f"#/components/schemas/{shape}"}
    if status in (400, 408, 413, 431):  # which may be found before it is clear for which API a request is
        schema = {"anyOf": [schema, {"$ref": "#/components/schemas/Error"}]}
    headers = RATES | RETRY if status == 429 else RETRY if status in (502, 503, 504) else {}
    content = {"application/json": {"schema": schema}}
    return {"description": _WHY[status], "content": content, "headers": headers}


_WHY = {
    400: "A field cannot be used; the error names it.",
    401: "The key is missing, unknown, expired or revoked.",
    403: "The key may not call this model.",
    404: "There is no such model or decision.",
    408: "The request did not arrive in its time.",
    413: "The body is larger than the server takes.",
    422: "The request's constraints leave no model.",
    429: "A limit is reached, the gateway's own or the provider's.",
    431: "The head is larger than the server takes.",
    500: "A bug, whose details stand in the server's log.",
    502: "The model failed.",
    503: "The server is busy, or what was asked for is not installed.",
    504: "The model did not answer in time, or no kept answer was found where only such was wanted.",
}


def _others() -> Json:
    """The routes that are no API of a provider's."""
    required, fields = _ASKED["messages"]
    unread = ("max_tokens", *_COMMON)  # which do not change how many tokens a request has
    counted = {
        "type": "object",
        "required": [name for name in required if name not in unread],
        "properties": {name: schema for name, schema in fields.items() if name not in unread},
    }
    chat_required, chat_fields = _ASKED["chat"]
    chat = {"type": "object", "required": list(chat_required), "properties": chat_fields}
    id = {"name": "id", "in": "path", "required": True, "schema": {**_TEXT, "pattern": "^[0-9a-f]{24}$"}}
    named = {"name": "id", "in": "path", "required": True, "schema": {**_TEXT, "pattern": "^[A-Za-z0-9._:/@+-]+$"}}
    model = _plain("model", "Tell of one model.", "Model", None, {"404": _error("Error", 404)})
    one = _plain("decision", "Tell one decision.", "Decided", None, {"404": _error("Error", 404)})
    one["responses"]["200"]["content"]["text/html"] = {"schema": _TEXT}  # for browsers, which ask for it
    errors, few = _errors("Error"), {status: _error("Error", int(status)) for status in ("401", "500", "503")}
    return {
        COUNT: {"post": _plain("count_tokens", "Count the tokens of a request.", "Counted", counted,
                               _errors("OtherError", 429, 502, 504))},
        "/v1/explain": {"post": _plain("explain", "Decide a chat request and call nobody.", "Explained", chat,
                                       _errors("Error", 422)) | {"parameters": _wishes()}},
        "/v1/models": {"get": _plain("models", "List the models, and `auto` with its profiles.", "Models", None, few)},
        "/v1/models/{id}": {"get": model | {"parameters": [named], "responses": model["responses"] | few}},
        "/v1/decisions/{id}": {"get": one | {"parameters": [id], "responses": one["responses"] | few}},
        "/v1/feedback": {"post": _plain("feedback", "Say how good an answer was.", "Stored", _FEEDBACK, errors)},
        "/health/live": {"get": _open("live", "Whether the process lives.", "Live")},
        "/health/ready": {"get": _open("ready", "Whether a model can serve.", "Ready", "503")},
        "/metrics": {"get": {
            "operationId": "metrics", "summary": "What was counted, for Prometheus.",
            "responses": {"200": {"description": "The counts.", "content": {"text/plain": {"schema": _TEXT}}}} | few,
        }},
        "/openapi.json": {"get": _open("openapi", "This document.", "Document")},
    }  # fmt: skip


def _plain(id: str, summary: str, answer: str, body: Json | None, errors: Json) -> Json:
    operation = _open(id, summary, answer)
    del operation["security"]
    operation["responses"] |= errors
    return operation | ({} if body is None else {"requestBody": _body(body)})


def _open(id: str, summary: str, answer: str, *statuses: str) -> Json:
    """A route that asks for no key."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    responses = {status: {"description": summary, "content": content} for status in ("200", *statuses)}
    return {"operationId": id, "summary": summary, "responses": responses, "security": []}
