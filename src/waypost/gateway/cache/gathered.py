"""The body of an answer put together from the chunks of its stream, so that it can be given again whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from waypost.types import Answer, Delta

_MOST_BYTES = 4_000_000
# Of a delta, texts that grow piece by piece; every other field stands whole in one chunk.
_GROWING = frozenset({"content", "refusal", "reasoning", "reasoning_content", "arguments"})


@dataclass(slots=True)
class Gathered:
    """The chunks of one stream, in the shape of chat completions, completions or Anthropic's messages.

    >>> gathered = Gathered()
    >>> for text in ("Par", "is."):
    ...     gathered.take(Delta(text, {"choices": [{"index": 0, "delta": {"content": text}}]}))
    >>> gathered.whole(Answer("small", "Paris.")).body["choices"][0]["message"]["content"]
    'Paris.'
    """

    chunks: list[Mapping[str, Any]] = field(default_factory=list)
    size: int = 0
    lost: bool = False

    def take(self, delta: Delta) -> None:
        """Note a piece."""
        chunk = delta.chunk
        if chunk is None and delta.raw is not None:
            chunk = _chunk(delta.raw)
        self.size += len(delta.raw) if delta.raw is not None else len(delta.text) + 100
        unread = chunk is None and delta.raw is not None
        if unread or delta.api not in _SHAPES or self.size > _MOST_BYTES:
            self.lost = True
        if self.lost:
            self.chunks.clear()
        elif chunk is not None:
            self.chunks.append(chunk)

    def whole(self, answer: Answer) -> Answer | None:
        """The answer with its body; None when the pieces do not make one."""
        if answer.body is not None:
            return answer
        if self.lost:
            return None
        if not self.chunks:
            return replace(answer, raw=None) if answer.text else None
        try:
            return replace(answer, body=_SHAPES[answer.api](self.chunks), raw=None)
        except (AttributeError, KeyError, TypeError, ValueError):  # a provider whose chunks have a shape of their own
            return None


def _chunk(raw: bytes) -> Mapping[str, Any] | None:
    data = raw.strip().removeprefix(b"data:").strip()
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return chunk if isinstance(chunk, dict) else None


def _merged(chunks: list[Mapping[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        body |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        for piece in chunk.get("choices") or ():
            choice = choices.setdefault(piece.get("index", 0), {"index": piece.get("index", 0)})
            for name, value in piece.items():
                if name == "delta":
                    _grow(choice.setdefault("message", {}), value or {})
                elif name == "text":
                    choice[name] = choice.get(name, "") + (value or "")
                elif name == "logprobs":
                    _lengthen(choice, value)
                elif value is not None or name not in choice:
                    choice[name] = value
    return body | {"choices": [choices[index] for index in sorted(choices)]}


def _chat(chunks: list[Mapping[str, Any]]) -> dict[str, Any]:
    body = _merged(chunks)
    for choice in body["choices"]:
        for call in choice.setdefault("message", {}).get("tool_calls") or ():
            call.pop("index", None)
    return body | {"object": "chat.completion"}


def _message(events: list[Mapping[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for told in events:
        match told["type"]:
            case "message_start":
                message = {**told["message"]}
            case "content_block_start":
                blocks[told["index"]] = {**told["content_block"]}
            case "content_block_delta":
                index, delta = told["index"], told["delta"]
                if delta["type"] == "input_json_delta":
                    inputs[index] = inputs.get(index, "") + delta["partial_json"]
                else:
                    _lengthen_block(blocks[index], delta)
            case "message_delta":
                usage = {**message["usage"], **{name: n for name, n in told["usage"].items() if n is not None}}
                message |= {**told["delta"], "usage": usage}
    for index, text in inputs.items():
        blocks[index]["input"] = orjson.loads(text or "{}")
    return message | {"content": [blocks[index] for index in sorted(blocks)]}


def _lengthen_block(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    match delta["type"]:
        case "text_delta" | "thinking_delta" | "signature_delta" as kind:
            name = kind.removesuffix("_delta")
            block[name] = block.get(name, "") + delta[name]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case _:  # of what a later version may send nobody knows how it grows
            raise KeyError(delta["type"])


# How the chunks of each API make its whole answer.
_SHAPES: Mapping[str, Callable[[list[Mapping[str, Any]]], dict[str, Any]]] = {
    "chat": _chat,
    "completions": _merged,
    "messages": _message,
}


def _grow(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault(name, [])
            for piece in value or ():
                index = piece.get("index", len(calls))
                known = next((call for call in calls if call["index"] == index), None)
                if known is None:
                    known = {"index": index}
                    calls.append(known)
                _grow(known, piece)
        elif isinstance(value, dict) and isinstance(message.get(name), dict):
            _grow(message[name], value)
        elif isinstance(value, dict):
            message[name] = dict(value)
        elif name in _GROWING and isinstance(message.get(name), str):
            message[name] += value or ""
        elif value is not None or name not in message:
            message[name] = value


def _lengthen(choice: dict[str, Any], logprobs: Mapping[str, Any] | None) -> None:
    known = choice.get("logprobs")
    if not logprobs or not known:
        choice["logprobs"] = {**logprobs} if logprobs else known
        return
    for name, value in logprobs.items():
        known[name] = [*(known.get(name) or ()), *(value or ())] if isinstance(value, list) else value
