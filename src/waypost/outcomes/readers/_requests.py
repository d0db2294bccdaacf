"""What a logged request asked: its one user turn, or why it is not one prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from waypost.types import Query, message_text


class Unusable(Exception):
    """A row of a log that is not one prompt; the message says why, and the log goes on without it."""


def prompt_of(body: Any) -> str:
    """The user's text in the body of a chat, completion or responses request.

    Raises:
        Unusable: nothing was stored, several user turns (the last alone is another question), or more than text.

    >>> prompt_of({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]})
    'Hi'
    """
    messages = _messages(body)
    users = [message for message in messages if message.get("role") == "user"]
    if not users:
        raise Unusable("no prompt was stored with it")
    if len(users) > 1:
        raise Unusable("it has several user turns, of which the last alone would be another question")
    content = users[0].get("content")
    if isinstance(content, list) and not all(
        isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in content
    ):
        raise Unusable("its prompt is more than text")
    asked = Query(tuple(messages)).text
    if not asked.strip():
        raise Unusable("no prompt was stored with it")
    return asked


def has_system(body: Any) -> bool:
    """Whether a request brought instructions beside the prompt."""
    told = isinstance(body, Mapping) and body.get("instructions")
    return bool(told) or any(m.get("role") in ("system", "developer") and message_text(m) for m in _messages(body))


def parsed(value: Any) -> Any:
    """A cell that may be JSON written as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def answer_of(body: Any) -> str:
    """The text of a chat, completion or responses answer; empty where there is none."""
    if not isinstance(body, Mapping):
        return ""
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        message = choices[0].get("message")
        written = choices[0].get("text")
        return message_text(message) if isinstance(message, Mapping) else written if isinstance(written, str) else ""
    items = body.get("output")
    messages = items if isinstance(items, list) else []
    return "\n".join(message_text(m) for m in messages if isinstance(m, Mapping) and m.get("type") == "message")


def _messages(body: Any) -> list[Mapping[str, Any]]:
    """The messages of a request, whichever of the three APIs it was made for."""
    found = body
    if isinstance(body, Mapping):
        found = next((body[name] for name in ("messages", "input", "prompt") if body.get(name)), None)
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    if not isinstance(found, list) or any(not isinstance(message, Mapping) for message in found):
        return []
    return list(found)
