"""What the parts of the OpenAPI document have in common: the shapes of answers and errors, and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waypost.objective import FLAGS, MOST

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_OBJECT: Json = {"type": "object"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_OBJECTS: Json = {"type": "array", "items": _OBJECT}
_WEIGHT: Json = {"type": "number", "minimum": 0, "maximum": MOST}


def _header(description: str, schema: Json) -> Json:
    return {"description": description, "schema": schema}


def _object(*required: str, **properties: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": properties}


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


TOLD: dict[str, Json] = {
    "x-waypost-decision": _header("The decision's id, for /v1/decisions/{id} and for feedback.", _TEXT),
    "x-waypost-router": _header("What decided.", _TEXT),
    "x-waypost-model": _header("Who answered.", _TEXT),
    "x-waypost-quality": _header("What was expected of it, 0 to 1.", _NUMBER),
    "x-waypost-usd": _header("What it was expected to cost, in USD.", _NUMBER),
    "x-waypost-cost": _header("What the request did cost, in USD, with all its attempts.", _NUMBER),
    "x-waypost-attempts": _header("Who was asked and what came of it, such as `arithmetic=declined,small=ok`.", _TEXT),
    "x-waypost-overhead-ms": _header("What the gateway took for itself before the first byte.", _NUMBER),
    "x-waypost-cache": _header("How the cache has answered; left out where it has not.", _TEXT),
}
RATES: dict[str, Json] = {
    f"x-ratelimit-{what}-{of}": _header(f"{words} {of} in this minute, where they are limited.", _COUNT)
    for what, words in (("limit", "Most"), ("remaining", "What is left of the"))
    for of in ("requests", "tokens")
}
RETRY: dict[str, Json] = {
    "retry-after": _header("Seconds after which to come again, where that is of use.", _COUNT),
    "x-should-retry": _header("`false` where it is in vain to come again.", _TEXT),
}
_ANSWERS: Mapping[str, Json] = {
    "ChatAnswer": _object("choices", choices=_OBJECTS, id=_TEXT, object=_TEXT, model=_TEXT, usage=_OBJECT),
    "CompletionsAnswer": _object("choices", choices=_OBJECTS, id=_TEXT, object=_TEXT, model=_TEXT, usage=_OBJECT),
    "EmbeddingsAnswer": _object("data", data=_OBJECTS, object=_TEXT, model=_TEXT, usage=_OBJECT),
    "ResponsesAnswer": _object("id", "output", id=_TEXT, object=_TEXT, status=_TEXT, output=_OBJECTS, model=_TEXT),
    "MessagesAnswer": _object(
        "type", "role", "content", type={"const": "message"}, role={"const": "assistant"}, content=_OBJECTS,
        id=_TEXT, model=_TEXT, stop_reason=_or_null(_TEXT), usage=_OBJECT,
    ),
}  # fmt: skip
_WISHES = _object(
    quality=_WEIGHT, usd=_WEIGHT, seconds=_WEIGHT, risk=_WEIGHT,
    min_quality={**_WEIGHT, "maximum": 1},
    budget={**_WEIGHT, "exclusiveMinimum": 0, "description": "Mean USD per query to stay within."},
    allowed={"type": ["array", "null"], "minItems": 1, "items": _TEXT},
    flags={"type": "object", "additionalProperties": False, "properties": dict.fromkeys(FLAGS, _WEIGHT)},
    bias={"type": "object", "additionalProperties": {"type": "number", "minimum": -MOST, "maximum": MOST}},
)  # fmt: skip
_SCHEMAS: Mapping[str, Json] = {
    **_ANSWERS,
    "Waypost": {**_WISHES, "additionalProperties": False, "description": "The trade-off of one request."},
    "Message": _object(
        "role", role=_TEXT, content={"anyOf": [{"type": ["string", "null"]}, _OBJECTS]},
    ),
    "Turn": _object(
        "role", "content",
        role={"enum": ["user", "assistant", "system"]},
        content={"anyOf": [_TEXT, {"type": "array", "items": _object("type", type=_TEXT)}]},
    ),
    "TextBlock": _object("text", text=_TEXT),
    "Error": _object(
        "error",
        error=_object(
            "message", "type", "param", "code",
            message=_TEXT,
            type={"enum": ["invalid_request_error", "server_error"]},
            param={"type": ["string", "null"], "description": "The field that cannot be used."},
            code=_TEXT,
        ),
    ),
    "OtherError": _object(
        "type", "error", type={"const": "error"}, error=_object("type", "message", type=_TEXT, message=_TEXT),
    ),
    "Counted": _object("input_tokens", input_tokens={"type": "integer", "minimum": 1}),
    "Explained": _object("requested", "model", "ranking", "why", requested=_TEXT, model=_TEXT, ranking=_TEXTS,
                         why=_TEXT, removed=_OBJECT, predictions=_OBJECT, weights=_OBJECT),
    "Model": _object("id", "object", id=_TEXT, object={"const": "model"}),
    "Models": _object("object", "data", object={"const": "list"}, data={
        "type": "array", "items": {"$ref": "#/components/schemas/Model"},
    }),
    "Decided": _object("id", "chosen", "ranking", "attempts", "stored", id=_TEXT, chosen=_TEXT, ranking=_TEXTS,
                       attempts=_OBJECTS, stored={"type": "boolean"}),
    "Stored": _object("decision", "stored", decision=_TEXT, stored={"const": True}, learned=_TEXT),
    "Live": _object("status", status={"const": "live"}),
    "Ready": _object("status", status={"enum": ["ready", "not ready", "draining"]},
                     ready=_TEXTS, not_ready={"type": "object", "additionalProperties": _TEXT}),
    "Document": _object("openapi", "paths", openapi=_TEXT, paths=_OBJECT),
}  # fmt: skip
COMPONENTS: Mapping[str, Any] = {
    "schemas": _SCHEMAS,
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    },
}
