"""What a client asks for: the body and headers of a request, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from waypost.errors import BadRequest, UnknownModel
from waypost.gateway.apis.api import Api
from waypost.gateway.wire import Headers, kind, unknown
from waypost.objective import Objective
from waypost.types import Query

AUTO = "auto"
_PREFIX = b"x-waypost-"
WISHES = tuple(f.name for f in fields(Objective) if f.name != "barred")  # which is not for a client to say
_OTHERS = frozenset({b"x-waypost-cache", b"x-waypost-session"})  # read elsewhere
# Where a call goes, and with whose key, is the config's alone to say: no field of a body is ever read for it, so that
# none can be forgotten here.  Who sends one of these believes otherwise, and is told.
_REFUSED = frozenset({"api_base", "base_url", "api_key", "user_config", "extra_body", "extra_headers"})
# Of the client's own headers, the only ones that a provider gets.
_PASSED = frozenset({b"anthropic-version", b"anthropic-beta"})
_NOTHING: frozenset[str] = frozenset()
_OURS = frozenset({"model", "messages", "stream", "waypost"})


@dataclass(slots=True)
class Ask:
    """A request; without an ``objective`` it names its model and nothing is to be chosen.

    ``came`` is the body as it came, in the shape of its ``api``.  ``barred`` are models that the caller may not have,
    with the reasons.
    """

    api: Api
    came: Mapping[str, Any]
    query: Query
    model: str
    objective: Objective | None
    stream: bool
    barred: Mapping[str, str] = field(default_factory=dict)

    @property
    def routed(self) -> bool:
        """Whether there is anything to choose."""
        return self.objective is not None


def parse(
    api: Api, said: Mapping[str, Any], headers: Headers, models: Iterable[str], profiles: Mapping[str, Objective]
) -> Ask:
    """A request out of its JSON body and its headers.

    Raises:
        BadRequest: a field is missing, of the wrong type, or may not come from a client; the error names it.
        UnknownModel: neither a model of the pool, nor ``auto``, nor ``auto:`` and a profile.
    """
    if not _REFUSED.isdisjoint(said):
        name = next(name for name in said if name in _REFUSED)
        raise BadRequest(name, "cannot come with a request; providers and keys stand in the server's config")
    body, native = api.read(said)
    _check(body)
    needs = _needs(body)
    if native is not None:
        native = replace(native, headers=passed(headers))
        needs |= {native.api} if native.foreign else set()
    query = Query(
        messages=tuple(body["messages"]),
        parameters={name: value for name, value in body.items() if name not in _OURS and value is not None},
        needs=needs,
        native=native,
    )
    return Ask(
        api=api,
        came=said,
        query=query,
        model=body["model"],
        objective=_objective(body, headers, models, profiles),
        stream=bool(body.get("stream")),
    )


def passed(headers: Headers) -> dict[str, str]:
    """Those of a client's headers that a provider gets to see; what came in several lines is one list.

    Raises:
        BadRequest: one holds what no header should.

    >>> passed([(b"anthropic-beta", b"a-1"), (b"host", b"localhost"), (b"anthropic-beta", b"b-2")])
    {'anthropic-beta': 'a-1, b-2'}
    """
    found: dict[str, str] = {}
    for raw, value in headers:
        if raw in _PASSED:
            name, text = raw.decode(), value.decode("latin-1")
            if not text.isascii() or not text.replace("\t", " ").isprintable():
                raise BadRequest(name, "must be plain text: letters, digits and signs of ASCII, such as '2023-06-01'")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_list_of(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(item, kinds) for item in value)


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


#: What a field must be, if it is there, and the words for it.
TYPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "stream": (_is(bool), "true or false"),
    "stream_options": (_is(dict), "an object"),
    "waypost": (_is(dict), "an object"),
    "temperature": (_is_number, "a number"),
    "top_p": (_is_number, "a number"),
    "presence_penalty": (_is_number, "a number"),
    "frequency_penalty": (_is_number, "a number"),
    "max_tokens": (_is_count, "a whole number of at least 1"),
    "max_completion_tokens": (_is_count, "a whole number of at least 1"),
    "n": (_is_count, "a whole number of at least 1"),
    "seed": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "stop": (lambda value: isinstance(value, str) or _is_list_of(str)(value), "a text or a list of texts"),
    "tools": (_is_list_of(dict), "a list of objects"),
    "functions": (_is_list_of(dict), "a list of objects"),
    "response_format": (_is(dict), "an object"),
    "logprobs": (_is(bool), "true or false"),
    "user": (_is(str), "a text"),
}
_TYPES_INSIDE: Mapping[str, Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "stream_options": {"include_usage": (_is(bool), "true or false")},
    "response_format": {"type": (_is(str), "a text")},
}


def _check(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("model"), str):
        got = f"got {kind(body['model'])}" if "model" in body else "and is missing"
        raise BadRequest("model", f"must be the name of a model or 'auto', {got}")
    for name, value in body.items():
        if name in TYPES:
            _check_type(name, value, *TYPES[name])
            for inner, (fits, wanted) in _TYPES_INSIDE.get(name, {}).items():
                _check_type(f"{name}.{inner}", (value or {}).get(inner), fits, wanted)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        got = f"got {kind(messages)}" if "messages" in body else "and is missing"
        raise BadRequest("messages", f"must be a list of at least one message, {got}")
    for i, message in enumerate(messages):
        _check_message(f"messages[{i}]", message)


def _check_type(name: str, value: object, fits: Callable[[object], bool], wanted: str) -> None:
    if value is not None and not fits(value):
        raise BadRequest(name, f"must be {wanted}, got {kind(value)}")


def _check_message(name: str, message: object) -> None:
    if not isinstance(message, dict):
        raise BadRequest(name, f"must be an object with role and content, got {kind(message)}")
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        raise BadRequest(f"{name}.role", f"must be a text such as 'user', got {kind(role)}")
    if isinstance(content, list):
        for i, part in enumerate(content):
            if not isinstance(part, dict):
                raise BadRequest(f"{name}.content[{i}]", f"must be an object with a type, got {kind(part)}")
    elif content is not None and not isinstance(content, str):
        raise BadRequest(f"{name}.content", f"must be a text or a list of parts, got {kind(content)}")


def _needs(body: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities without which a model cannot serve this request."""
    needs: set[str] = set()
    if body.get("tools") or body.get("functions"):
        needs.add("tools")
    if (body.get("response_format") or {}).get("type", "text") != "text":
        needs.add("json")
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and any(part.get("type") == "image_url" for part in content):
            needs.add("vision")
    return frozenset(needs) if needs else _NOTHING


def _objective(
    body: Mapping[str, Any], headers: Headers, models: Iterable[str], profiles: Mapping[str, Objective]
) -> Objective | None:
    wishes = {**_header_wishes(headers), **(body.get("waypost") or {})}
    model, _, profile = body["model"].partition(":")
    named = body["model"] in models
    if not named and (model != AUTO or (profile or "default") not in profiles):
        choices = [AUTO, *(f"{AUTO}:{name}" for name in profiles)]
        raise UnknownModel(body["model"], [*models, *choices])
    base = None if named else profiles[profile or "default"]
    if not wishes:
        return base
    try:
        objective = Objective.from_mapping(wishes, base)
    except BadRequest as error:
        raise BadRequest(f"waypost.{error.field}", str(error).removeprefix(f"'{error.field}' ")) from None
    if not named:
        return objective
    # Headers may be set once for all that a client asks, but who writes the object means this request.
    if body.get("waypost"):
        problem = f"says how to choose, and a request for '{body['model']}' leaves no choice; ask for 'auto' instead"
        raise BadRequest("waypost", problem)
    return None


def _header_wishes(headers: Headers) -> dict[str, Any]:
    """``x-waypost-usd: 200`` and its like, as the ``waypost`` object would say it; the body has the last word."""
    wishes: dict[str, Any] = {}
    for header, raw in headers:
        if not header.startswith(_PREFIX) or header in _OTHERS:
            continue
        name, value = header[len(_PREFIX) :].decode("latin-1").replace("-", "_"), raw.decode("latin-1").strip()
        if name not in WISHES:
            raise unknown(name.replace("_", "-"), [f.replace("_", "-") for f in WISHES], _PREFIX.decode())
        if name == "allowed":
            wishes[name] = [word.strip() for word in value.split(",") if word.strip()]
        elif name in ("flags", "bias"):
            pairs = (word.partition("=") for word in value.split(",") if word.strip())
            wishes[name] = {key.strip(): _number(weight) for key, _, weight in pairs}
        else:
            wishes[name] = _number(value)
    return wishes


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # left for the objective to refuse, which names field and value
