"""OpenAI's chat shape to Anthropic's Messages and back; pure functions.

Sources: the reference pages of both APIs (chat completions; messages and its streaming events).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from waypost.errors import Declined
from waypost.pool.usage import Usage
from waypost.types import Message, Query, message_text

Json = Mapping[str, Any]

_MAX_TOKENS = 4096  # the API wants a number, OpenAI's does not
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_SYSTEM = ("system", "developer")
_CACHE = "cache_control"


def request(query: Query) -> dict[str, Any]:
    """The Messages request of a query, without its model.

    Raises:
        Declined: several choices, JSON output or log-probabilities are asked for, or a part of unknown type.

    >>> request(Query.of("Hi", max_tokens=5, stop="."))
    {'max_tokens': 5, 'messages': [{'role': 'user', 'content': 'Hi'}], 'stop_sequences': ['.']}
    """
    asked = query.parameters
    _check(asked)
    body: dict[str, Any] = {
        "max_tokens": asked.get("max_completion_tokens") or asked.get("max_tokens") or _MAX_TOKENS,
        "messages": [_turn(m) for m in _joined(query.messages)],
    }
    if system := [m for m in query.messages if m["role"] in _SYSTEM]:
        body["system"] = _system(system)
    if stop := asked.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if asked.get("temperature") is not None:
        body["temperature"] = min(asked["temperature"], 1.0)  # OpenAI's goes up to 2, Anthropic's to 1
    if asked.get("top_p") is not None:
        body["top_p"] = asked["top_p"]
    if tools := asked.get("tools"):
        body["tools"] = [_tool(tool["function"]) for tool in tools]
        choice = None if asked.get("tool_choice") is None else _tool_choice(asked["tool_choice"])
        if asked.get("parallel_tool_calls") is False and choice != {"type": "none"}:
            choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
        if choice is not None:
            body["tool_choice"] = choice
    return body


def completion(reply: Json, model: str, created: int) -> dict[str, Any]:
    """The chat completion that says what a Messages reply says."""
    text = "".join(block["text"] for block in reply["content"] if block["type"] == "text")
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": orjson.dumps(block["input"]).decode()},
        }
        for block in reply["content"]
        if block["type"] == "tool_use"
    ]
    message = {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})
    usage = _usage(reply.get("usage") or {})
    finish = _FINISH.get(str(reply.get("stop_reason")), "stop")
    return {
        "id": reply.get("id", ""),
        "object": "chat.completion",
        "created": created,
        "model": reply.get("model", model),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        **({"usage": usage.json()} if usage else {}),
    }


class Events:
    """Turns the events of one streamed message into chat completion chunks; ``over`` once it has ended."""

    def __init__(self, model: str, created: int) -> None:
        self.over = False
        self.usage: Usage | None = None
        self._head: dict[str, Any] = {"object": "chat.completion.chunk", "created": created, "model": model}
        self._calls = -1
        self._counts: dict[str, Any] = {}

    def chunk(self, event: Json) -> Json | None:
        """The chunk that says what an event says, or None for an event that says nothing to OpenAI's clients."""
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._head |= {"id": message["id"], "model": message.get("model", self._head["model"])}
                self._counts = message.get("usage") or {}
                return self._with({"role": "assistant", "content": ""})
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                self._calls += 1
                block = event["content_block"]
                return self._call({"name": block["name"], "arguments": ""}, {"id": block["id"], "type": "function"})
            case "content_block_delta" if event["delta"]["type"] == "text_delta":
                return self._with({"content": event["delta"]["text"]})
            case "content_block_delta" if event["delta"]["type"] == "input_json_delta":
                return self._call({"arguments": event["delta"]["partial_json"]}, {})
            case "message_delta":
                # Its counts are those of the whole message so far; what it does not repeat stays as it was.
                self.usage = _usage(self._counts | (event.get("usage") or {}))
                return self._with({}, _FINISH.get(str(event["delta"].get("stop_reason")), "stop"))
            case "message_stop":
                self.over = True
        return None

    def _with(self, delta: Json, finish: str | None = None) -> Json:
        return self._head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def _call(self, function: Json, more: Json) -> Json:
        return self._with({"tool_calls": [{"index": self._calls, **more, "function": function}]})


def _check(asked: Json) -> None:
    wanted = asked.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type", "text") != "text":
        raise Declined(f"Anthropic's API has no response_format '{wanted['type']}'", kind="unsent")
    if (asked.get("n") or 1) > 1:
        raise Declined("Anthropic's API gives one choice a request; 'n' is more", kind="unsent")
    if asked.get("logprobs"):
        raise Declined("Anthropic's API gives no log-probabilities", kind="unsent")


def _system(messages: Sequence[Message]) -> str | list[Json]:
    """One text; or blocks, where one is marked for the cache."""
    contents = [m.get("content") or [] for m in messages]
    parts = [part for c in contents for part in ([{"type": "text", "text": c}] if isinstance(c, str) else c)]
    if not any(_CACHE in part for part in parts):
        return "\n\n".join(map(message_text, messages))
    return [_block(part) for part in parts]


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The turns without system messages; the results of parallel tool calls become one turn, as the API wants."""
    turns: list[Message] = []
    for message in messages:
        if message["role"] in _SYSTEM:
            continue
        if message["role"] != "tool":
            turns.append(message)
            continue
        result = {
            "type": "tool_result",
            "tool_use_id": message["tool_call_id"],
            "content": message_text(message),
        }
        if turns and turns[-1]["role"] == "tool":
            turns[-1]["content"].append(result)
        else:
            turns.append({"role": "tool", "content": [result]})
    return turns


def _turn(message: Message) -> dict[str, Any]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        return {"role": "user", "content": content}
    blocks: list[Json] = [_block(part) for part in content] if isinstance(content, list) else []
    if not (calls := message.get("tool_calls")):
        return {"role": role, "content": blocks or message_text(message)}
    if isinstance(content, str) and content:
        blocks = [{"type": "text", "text": content}]
    return {"role": role, "content": [*blocks, *(_tool_use(call) for call in calls)]}


def _tool_use(call: Json) -> Json:
    arguments = orjson.loads(call["function"]["arguments"] or "{}")
    return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments}


def _block(part: Json) -> Json:
    # Anthropic caches only what is marked; clients of other gateways mark a part just so.
    mark = {_CACHE: part[_CACHE]} if _CACHE in part else {}
    if part.get("type") == "text":
        return {"type": "text", "text": part["text"], **mark}
    if part.get("type") == "file" and "file_data" in part["file"]:
        file = part["file"]
        title = {"title": file["filename"]} if file.get("filename") else {}
        return {"type": "document", "source": _source(file["file_data"]), **title, **mark}
    if part.get("type") != "image_url":
        kind = part.get("type")
        raise Declined(
            f"Anthropic's API takes text, images and files by content, not a part of type '{kind}'", kind="unsent"
        )
    return {"type": "image", "source": _source(part["image_url"]["url"]), **mark}


def _source(url: str) -> Json:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data}


def _tool(function: Json) -> Json:
    tool = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    return tool | ({"description": function["description"]} if function.get("description") else {})


def _tool_choice(choice: Any) -> Json:
    if isinstance(choice, str):
        return {"type": {"required": "any"}.get(choice, choice)}
    return {"type": "tool", "name": choice["function"]["name"]}


def _usage(counts: Json) -> Usage | None:
    """Here cached and written tokens are counted beside ``input_tokens``, and thought inside ``output_tokens``."""
    cached, written = counts.get("cache_read_input_tokens") or 0, counts.get("cache_creation_input_tokens") or 0
    fresh, out = counts.get("input_tokens"), counts.get("output_tokens")
    if fresh is None or out is None or min(fresh, out, cached, written) < 0 or not (fresh + cached + written):
        return None
    thought = (counts.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return Usage(fresh + cached + written, out, cached, written, min(thought, out))
