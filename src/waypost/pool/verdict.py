"""What a provider says when it refuses: its words, and what they mean where no status says so; pure functions.

Sources: the error tables of OpenAI's and Anthropic's references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STATUS = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "insufficient_quota": 429,
    "overloaded_error": 529,
}
_BEGINNINGS = (
    ("rate_limit", 429),
    *(
        (word, 400)
        for word in ("invalid_", "image_", "unsupported_", "context_length_", "empty_image", "string_above_")
    ),
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,63}")


def words(said: Any) -> str:
    r"""The provider's own words about an error, on one line.

    >>> words({"error": {"message": "no such\n model"}}), words({"detail": [{"msg": "too long"}, {"msg": "too hot"}]})
    ('no such model', 'too long; too hot')
    """
    error = _error(said)
    told = error.get("message") or error.get("detail") if isinstance(error, Mapping) else error
    if isinstance(told, list):  # as FastAPI's servers tell what is wrong with a body, one by one
        told = "; ".join(str(each["msg"] if isinstance(each, Mapping) and "msg" in each else each) for each in told)
    return " ".join(str(told or "no reason given").split())


def status(said: Any) -> int | None:
    """The HTTP status of an error that came without one, from its code or type; None where they tell nothing.

    >>> status({"error": {"code": 503}}), status({"code": "invalid_prompt"}), status({"type": "overloaded_error"})
    (503, 400, 529)
    >>> status({"error": {"type": "server_error", "code": None}}) is None
    True
    """
    error = _error(said)
    if not isinstance(error, Mapping):
        return None
    for told in (error.get("code"), error.get("type")):
        if isinstance(told, str):
            told = _STATUS.get(told) or next((meant for word, meant in _BEGINNINGS if told.startswith(word)), None)
        if isinstance(told, int) and 400 <= told <= 599:
            return told
    return None


def named(said: Any, field: str) -> str | None:
    """The error's ``code`` or ``param``, if it is one plain word and not a text.

    >>> said = {"error": {"code": "context_length_exceeded", "param": "messages[1].content or so"}}
    >>> named(said, "code"), named(said, "param")
    ('context_length_exceeded', None)
    """
    error = _error(said)
    told = error.get(field) if isinstance(error, Mapping) else None
    return told if isinstance(told, str) and _PLAIN.fullmatch(told) else None


def _error(said: Any) -> Any:
    return (said.get("error") or said) if isinstance(said, Mapping) else said
