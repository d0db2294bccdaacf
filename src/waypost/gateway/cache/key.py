"""Which requests are the same: the key of the exact cache, and what may differ for the semantic one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from waypost.gateway.ask import Ask
from waypost.types import Message

#: Fields that say how an answer travels, or for whom it is, and cannot change what it says.
IGNORED = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "store",
        "stream",
        "stream_options",
        "user",
    }
)
#: Fields with which a request is never answered from the cache: its answer depends on more than the request.
LIVE = frozenset(
    {"background", "container", "conversation", "mcp_servers", "previous_response_id", "web_search_options"}
)
#: The only fields that a request may have, and must have alike, to be answered by its meaning.
PLAIN = frozenset(
    {
        "frequency_penalty",
        "max_completion_tokens",
        "max_tokens",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "top_p",
        "verbosity",
    }
)
# Tools of these types are carried out by the client; a provider's own look at the world.
_CLIENTS_TOOLS = (None, "function", "custom")  # no set: what a client says may be of no kind that a set can hold
_MOST_CHARACTERS = 2000
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True)
class Same:
    """What makes two requests the same: ``exact`` is one digest of all that can change the answer.

    ``group`` is the digest of all but the last user turn, and ``text`` that turn, where only its meaning counts; both
    are None for a request that may not be answered by its meaning.
    """

    exact: bytes
    group: bytes | None = None
    text: str | None = None


def same(tenant: str, asked: Ask, *, by_meaning: bool = False) -> Same | None:
    """The key of a request, or None when its answer is not to be kept.

    ``tenant`` is whoever may see the answer; it is in every digest with all its characters.
    """
    query = asked.query
    api, body = (query.native.api, query.native.body) if query.native is not None else ("chat", query.parameters)
    if _is_live(body):
        return None
    fields = {name: value for name, value in body.items() if name not in IGNORED and value is not None}
    fields.pop("model", None)  # as it was asked for, it stands in the head
    # A header may switch on what the body does not speak of, as Anthropic's betas do.
    headers = query.native.headers if query.native is not None else {}
    head = (tenant, api, headers, asked.model, asked.objective)
    messages = query.messages if query.native is None else ()
    exact = _digest(head, fields, messages)
    if exact is None:
        return None
    text = _plain_turn(query.messages, fields) if by_meaning and query.native is None else None
    group = _digest(("meaning", *head), fields, messages[:-1]) if text is not None else None
    return Same(exact, group, text if group is not None else None)


def _digest(*parts: object) -> bytes | None:
    try:
        return sha256(orjson.dumps(parts, default=_plain, option=_OPTIONS)).digest()
    except TypeError:  # a number or a text that JSON cannot say
        return None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError


def _is_live(body: Mapping[str, Any]) -> bool:
    if any(body.get(name) for name in LIVE):
        return True
    tools = body.get("tools")
    if not isinstance(tools, list):
        return False
    return any(isinstance(tool, dict) and tool.get("type") not in _CLIENTS_TOOLS for tool in tools)


def _plain_turn(messages: tuple[Message, ...], fields: Mapping[str, Any]) -> str | None:
    """The last turn of a conversation that is nothing but text, without tools and without a form for the answer."""
    if not fields.keys() <= PLAIN or (fields.get("response_format") or {}).get("type", "text") != "text":
        return None
    for message in messages:
        if message.get("role") in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
            return None
        if not isinstance(message.get("content"), str):
            return None
    last = messages[-1]
    text: str = last["content"]
    # The encoder cuts a long text in the middle, so two that differ there would look the same.
    if last.get("role") != "user" or len(last) > 2 or not 0 < len(text) <= _MOST_CHARACTERS:
        return None
    return text
