"""Answers in the shape of Anthropic's Messages API, whole and as the events of a stream; pure functions.

Source: the reference pages of the Messages API (messages, streaming, errors).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from waypost.errors import WaypostError
from waypost.gateway.wire import error_status
from waypost.types import Answer, Delta

Json = dict[str, Any]

_STOPS = {"length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use", "function_call": "tool_use"}
_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STRANGE = re.compile(r"[^a-zA-Z0-9_-]")  # what Anthropic's API refuses in the id of a call that it is told of


def message(answer: Answer, id: str) -> Json:
    """The message that says what an answer says.

    >>> message(Answer("small", "Hello", 5, 2), "msg_1")["content"]
    [{'type': 'text', 'text': 'Hello'}]
    """
    if answer.api == "messages" and answer.body is not None:
        return dict(answer.body)
    choices = (answer.body or {}).get("choices") or [{"message": {"content": answer.text}}]
    choice: Mapping[str, Any] = choices[0]
    said: Mapping[str, Any] = choice.get("message") or {}
    content: list[Json] = []
    if thought := _thought(said):
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    if text := _said(said):
        content.append({"type": "text", "text": text})
    calls = [call for call in said.get("tool_calls") or () if (call.get("function") or {}).get("name")]
    for i, call in enumerate(calls):
        function = call["function"]
        content.append(
            {
                "type": "tool_use",
                "id": _call_id(call.get("id"), id, i),
                "name": function["name"],
                "input": _input(function.get("arguments")),
            }
        )
    return {
        **_head(id, answer.model),
        "content": content,
        **_stop(answer.finish, bool(calls), choice.get("stop_reason"), bool(said.get("refusal"))),
        "usage": _usage(answer),
    }


def error_body(error: WaypostError) -> Json:
    """The error in Anthropic's shape.

    >>> from waypost.errors import UnknownModel
    >>> error_body(UnknownModel("larg", ["large"]))["error"]["type"]
    'not_found_error'
    """
    status = error_status(error)
    kind = _ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}}


def event(payload: Json) -> bytes:
    """One event of a stream, named after its type."""
    return b"event: %s\ndata: %s\n\n" % (payload["type"].encode(), orjson.dumps(payload))


@dataclass(slots=True)
class _Block:
    """A block in the making: ``waiting`` is what the client was not sent of it yet, ``whole`` all of a call's input."""

    type: str
    waiting: str = ""
    whole: str = ""
    id: str | None = None
    name: str = ""

    @property
    def ready(self) -> bool:
        """Whether there is something to show: blank text is held back, for the API refuses a block of nothing else."""
        return bool(self.name) if self.type == "tool_use" else not self.waiting.isspace() and self.waiting != ""

    @property
    def done(self) -> bool:
        """Whether nothing more can come; a call's input is JSON, which says itself where it ends."""
        if self.type != "tool_use":
            return True
        try:
            orjson.loads(self.whole)
        except orjson.JSONDecodeError:
            return False
        return True

    def start(self, id: str, index: int) -> Json:
        """What the block begins with."""
        if self.type == "tool_use":
            return {"type": "tool_use", "id": _call_id(self.id, id, index), "name": self.name, "input": {}}
        return {"type": self.type, self.type: "", **({"signature": ""} if self.type == "thinking" else {})}

    def delta(self) -> Json:
        """What has come since the last time."""
        waiting, self.waiting = self.waiting, ""
        if self.type == "tool_use":
            return {"type": "input_json_delta", "partial_json": waiting}
        return {"type": f"{self.type}_delta", self.type: waiting}


@dataclass(slots=True)
class Stream:
    """Writes one streamed answer, event by event.

    Blocks of a message follow one another, while calls of a chat stream may be told in turns: the first that is not
    over is shown as it comes, the others wait behind it.
    """

    id: str
    begun: bool = False
    _blocks: deque[_Block] = field(default_factory=deque)
    _calls: dict[int, _Block] = field(default_factory=dict)
    _open: bool = False
    _index: int = 0
    _whole: Json | None = None
    _refused: bool = False
    _called: bool = False
    _stop_reason: object = None

    def piece(self, model: str, delta: Delta) -> bytes:
        """Anthropic's own event as it came, or the events of one piece; none for a piece that says nothing."""
        if delta.api == "messages" and delta.chunk is not None:
            self.begun = True
            return delta.raw if delta.raw is not None else self._all(delta.chunk)
        if delta.chunk is not None and "choices" in delta.chunk:
            choice = next((c for c in delta.chunk["choices"] if c.get("index", 0) == 0), None)
            if choice is None:
                return b""
            self._take(choice)
        else:
            self._add("text", delta.text)
        return self._begin(model) + b"".join(self._shown(last=False))

    def end(self, answer: Answer, waypost: Mapping[str, Any]) -> bytes:
        """The last events: whatever waited, why the answer ended, what it used, with our own facts beside that."""
        if answer.api == "messages" and self._whole is None:
            return answer.raw or b""
        shown = self._begin(answer.model) + b"".join(self._shown(last=True))
        if self._whole is not None:
            stop, usage = {name: self._whole.get(name) for name in _NO_STOP}, self._whole["usage"]
        else:
            stop, usage = _stop(answer.finish, self._called, self._stop_reason, self._refused), _usage(answer)
        return shown + event({"type": "message_delta", "delta": stop, "usage": usage, "waypost": waypost}) + _END

    def broken(self, error: WaypostError) -> bytes:
        """An event of the error, and no end of the message."""
        return event(error_body(error))

    def _all(self, told: Mapping[str, Any]) -> bytes:
        """The events of a message that came as a whole, up to its last block."""
        self._whole = {"usage": {}, **told}
        start = {**told, "content": [], **_NO_STOP}
        blocks = (_whole_block(i, block) for i, block in enumerate(told["content"]))
        return event({"type": "message_start", "message": start}) + b"".join(blocks)

    def _begin(self, model: str) -> bytes:
        if self.begun:
            return b""
        self.begun = True
        # What the prompt is billed as is known at the end, where it is repeated.
        start = {**_head(self.id, model), "content": [], **_NO_STOP, "usage": {"input_tokens": 0, "output_tokens": 0}}
        return event({"type": "message_start", "message": start}) + _PING

    def _take(self, choice: Mapping[str, Any]) -> None:
        said = choice.get("delta") or {}
        if isinstance(choice.get("stop_reason"), str):
            self._stop_reason = choice["stop_reason"]
        self._refused = self._refused or bool(said.get("refusal"))
        self._add("thinking", _thought(said))
        self._add("text", _said(said))
        for call in said.get("tool_calls") or ():
            self._add_call(call)

    def _add(self, type: str, text: str) -> None:
        if not text:
            return
        if not self._blocks or self._blocks[-1].type != type:
            self._blocks.append(_Block(type))
        self._blocks[-1].waiting += text

    def _add_call(self, call: Mapping[str, Any]) -> None:
        index, function = call.get("index") or 0, call.get("function") or {}
        block = self._calls.get(index)
        # Some providers give several calls the same index, and none would change the id of a call.
        if block is None or (call.get("id") and block.id and call["id"] != block.id and function.get("name")):
            block = self._calls[index] = _Block("tool_use")
            self._blocks.append(block)
        block.id = block.id or call.get("id")
        block.name = block.name or function.get("name") or ""
        arguments = function.get("arguments") or ""
        block.waiting += arguments
        block.whole += arguments

    def _shown(self, *, last: bool) -> Iterator[bytes]:
        while self._blocks:
            head = self._blocks[0]
            if not self._open and head.ready:
                start = head.start(self.id, self._index)
                self._open = True
                self._called = self._called or head.type == "tool_use"
                yield event({"type": "content_block_start", "index": self._index, "content_block": start})
            if self._open and head.waiting:
                yield event({"type": "content_block_delta", "index": self._index, "delta": head.delta()})
            if not last and (len(self._blocks) == 1 or not head.done):
                return
            self._blocks.popleft()
            if self._open:
                yield event({"type": "content_block_stop", "index": self._index})
                self._open, self._index = False, self._index + 1


_NO_STOP: Json = {"stop_reason": None, "stop_sequence": None}
_PING = event({"type": "ping"})
_END = event({"type": "message_stop"})


def _head(id: str, model: str) -> Json:
    return {"id": id, "type": "message", "role": "assistant", "model": model}


def _stop(finish: str, called: bool, sequence: object, refused: bool) -> Json:
    """Why the answer ended; some servers say in a field of their own which text stopped it."""
    reason = _STOPS.get(finish, "end_turn")
    if refused:
        reason = "refusal"
    elif reason == "end_turn" and called:
        reason = "tool_use"
    elif reason == "end_turn" and isinstance(sequence, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": reason, "stop_sequence": None}


def _usage(answer: Answer) -> Json:
    """Here what was read from a cache and written to it is counted beside the other input."""
    thought = {"output_tokens_details": {"thinking_tokens": answer.tokens_reasoning}}
    return {
        "input_tokens": answer.tokens_in - answer.tokens_cached - answer.tokens_written,
        "cache_creation_input_tokens": answer.tokens_written,
        "cache_read_input_tokens": answer.tokens_cached,
        "output_tokens": answer.tokens_out,
        **(thought if answer.tokens_reasoning else {}),
    }


def _said(said: Mapping[str, Any]) -> str:
    """The text of a message or of a piece of it: a refusal is one too."""
    content = said.get("content")
    return content if isinstance(content, str) and content else said.get("refusal") or ""


def _thought(said: Mapping[str, Any]) -> str:
    """What DeepSeek, vLLM (the first name) and OpenRouter (the second) show of a model's thoughts."""
    thought = said.get("reasoning_content") or said.get("reasoning")
    return thought if isinstance(thought, str) else ""


def _call_id(id: object, message_id: str, index: int) -> str:
    return _STRANGE.sub("_", id) if isinstance(id, str) and id else f"{message_id.replace('msg', 'toolu')}_{index}"


def _input(arguments: object) -> Json:
    """A call's input, which must be an object: a model that wrote something else will be told so by its caller."""
    try:
        read = orjson.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
    except orjson.JSONDecodeError:
        read = None
    return read if isinstance(read, dict) else {"arguments": arguments}


def _whole_block(index: int, block: Json) -> bytes:
    """The events of a block that is there as a whole; one of a kind that has no deltas comes with its start."""
    start, deltas = dict(block), list[Json]()
    match block["type"]:
        case "text":
            start, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        case "thinking":
            start = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
            deltas += [{"type": "signature_delta", "signature": block["signature"]}] if block.get("signature") else []
        case "tool_use" | "server_tool_use":
            start = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}]
    parts = [{"type": "content_block_start", "index": index, "content_block": start}]
    parts += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    parts.append({"type": "content_block_stop", "index": index})
    return b"".join(map(event, parts))
