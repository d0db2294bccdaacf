"""An answer in the shape of the Responses API, whole or as its events, made of what chat says.

Source: OpenAI's reference of the API and of its streaming events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from waypost.types import Answer, Delta

Json = dict[str, Any]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What a client asked for stands in the answer again; of what it left out, what the API says then.
_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def event(kind: str, number: int, fields: Mapping[str, Any]) -> bytes:
    """One event of the stream; ``number`` counts them from 0."""
    data = orjson.dumps({"type": kind, "sequence_number": number, **fields})
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def usage(answer: Answer) -> Json:
    """Token counts as the Responses API writes them.

    >>> usage(Answer("m", tokens_in=10, tokens_out=5, tokens_cached=4))["input_tokens_details"]["cached_tokens"]
    4
    """
    return {
        "input_tokens": answer.tokens_in,
        "input_tokens_details": {
            "cached_tokens": answer.tokens_cached,
            "cache_write_tokens": answer.tokens_written,
        },
        "output_tokens": answer.tokens_out,
        "output_tokens_details": {"reasoning_tokens": answer.tokens_reasoning},
        "total_tokens": answer.tokens_in + answer.tokens_out,
    }


@dataclass(slots=True)
class _Part:
    """A piece of a message: ``kind`` is "output_text" or "refusal"."""

    kind: str
    texts: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)

    def json(self) -> Json:
        text = "".join(self.texts)
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "annotations": [], "logprobs": self.logprobs, "text": text}


@dataclass(slots=True)
class _Message:
    id: str
    index: int
    parts: list[_Part] = field(default_factory=list)

    def json(self, status: str) -> Json:
        content = [part.json() for part in self.parts]
        return {"id": self.id, "type": "message", "role": "assistant", "status": status, "content": content}


@dataclass(slots=True)
class _Call:
    id: str
    index: int
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def json(self, status: str) -> Json:
        names = {"call_id": self.call_id, "name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function_call", "status": status, **names}


@dataclass(slots=True)
class Writer:
    """Writes one answer in the Responses shape out of chat chunks: events as they come, then the whole response.

    ``asked`` is the request's body, parts of which an answer repeats.  A message ends when a function call begins;
    calls are open until the end, since providers send those that are made side by side in any order.

    >>> writer = Writer("1", 0, {})
    >>> writer.piece("m", Delta("Hi")).count(b"event: ")
    5
    >>> writer.whole(Answer("m", "Hi"))["output"][0]["content"][0]["text"]
    'Hi'
    """

    id: str
    created: int
    asked: Mapping[str, Any]
    model: str = ""
    begun: bool = False
    _finish: str = ""
    _number: int = 0
    _items: list[_Message | _Call] = field(default_factory=list)
    _open: _Message | None = None
    _calls: dict[object, _Call] = field(default_factory=dict)
    _written: list[bytes] = field(default_factory=list)

    def piece(self, model: str, delta: Delta) -> bytes:
        """The events of a piece of a chat stream; those that open the stream come with the first."""
        if not self.begun:
            self.begun, self.model = True, model
            body = self._response("in_progress", [])
            self._write("response.created", {"response": body})
            self._write("response.in_progress", {"response": body})
        chunk = delta.chunk
        if chunk is None or "choices" not in chunk:
            self._say("output_text", delta.text)
        else:
            for choice in chunk["choices"]:
                if choice.get("index", 0) == 0:
                    self._take(choice)
        return self._taken()

    def end(self, answer: Answer, waypost: Mapping[str, Any] | None = None) -> bytes:
        """The last events: what is open is closed, and the whole response is repeated, with ``waypost`` in it."""
        whole = self.whole(answer)
        for item, said in zip(self._items, whole["output"], strict=True):
            if isinstance(item, _Call):
                self._write_of(item, "response.function_call_arguments.done", {"arguments": said["arguments"]})
                self._write("response.output_item.done", {"output_index": item.index, "item": said})
            elif item is self._open:
                self._close(item, said["status"])
        told = {"waypost": waypost} if waypost else {}
        self._write(f"response.{whole['status']}", {"response": whole | told})
        return self._taken()

    def failed(self, code: str, message: str) -> bytes:
        """The event that ends a stream which broke."""
        body = self._response("failed", [item.json("incomplete") for item in self._items])
        self._write("response.failed", {"response": body | {"error": {"code": code, "message": message}}})
        return self._taken()

    def whole(self, answer: Answer) -> Json:
        """The response with everything that was said; where nothing was, with an empty message."""
        if not self._items:
            self._opened()
        self.model = answer.model
        reason = _INCOMPLETE.get(self._finish or answer.finish)
        status = "incomplete" if reason else "completed"
        items = [item.json("completed" if item is not self._items[-1] else status) for item in self._items]
        details = {"reason": reason} if reason else None
        return self._response(status, items) | {"incomplete_details": details, "usage": usage(answer)}

    def _take(self, choice: Mapping[str, Any]) -> None:
        said = choice.get("delta") or choice.get("message") or {}
        logprobs = choice.get("logprobs") or {}
        self._say("output_text", said.get("content") or choice.get("text") or "", logprobs.get("content") or ())
        self._say("refusal", said.get("refusal") or "")
        for place, call in enumerate(said.get("tool_calls") or ()):
            self._call(call, place)
        self._finish = choice.get("finish_reason") or self._finish

    def _say(self, kind: str, text: str, logprobs: Sequence[Json] = ()) -> None:
        if not text:
            return
        message = self._opened()
        if not message.parts or message.parts[-1].kind != kind:
            self._close_part(message)
            message.parts.append(_Part(kind))
            self._write_of(message, "response.content_part.added", {"part": message.parts[-1].json()})
        part = message.parts[-1]
        part.texts.append(text)
        part.logprobs.extend(logprobs)
        tokens = {"logprobs": list(logprobs)} if kind == "output_text" else {}
        self._write_of(message, f"response.{kind}.delta", {"delta": text, **tokens})

    def _call(self, said: Mapping[str, Any], place: int) -> None:
        function = said.get("function") or {}
        key, id, name = said.get("index", place), said.get("id"), function.get("name")
        call = self._calls.get(key)
        # Some providers number all calls 0 and tell them apart by their ids alone.
        if call is None or (id and name and call.call_id != id):
            if self._open is not None:
                self._close(self._open, "completed")
            number = len(self._items)
            call = _Call(f"fc_{self.id}_{number}", number, id or f"call_{self.id}_{number}", name or "")
            self._calls[key] = call
            self._items.append(call)
            self._write("response.output_item.added", {"output_index": number, "item": call.json("in_progress")})
        if arguments := function.get("arguments"):
            call.arguments.append(arguments)
            self._write_of(call, "response.function_call_arguments.delta", {"delta": arguments})

    def _opened(self) -> _Message:
        """The message that is open, or a new one."""
        if self._open is None:
            number = len(self._items)
            self._open = _Message(f"msg_{self.id}_{number}", number)
            self._items.append(self._open)
            item = self._open.json("in_progress")
            self._write("response.output_item.added", {"output_index": number, "item": item})
        return self._open

    def _close_part(self, message: _Message) -> None:
        if message.parts:
            part = message.parts[-1].json()
            said: Json = {name: part[name] for name in ("text", "logprobs", "refusal") if name in part}
            self._write_of(message, f"response.{part['type']}.done", said)
            self._write_of(message, "response.content_part.done", {"part": part})

    def _close(self, message: _Message, status: str) -> None:
        self._close_part(message)
        self._write("response.output_item.done", {"output_index": message.index, "item": message.json(status)})
        self._open = None

    def _write_of(self, item: _Message | _Call, kind: str, fields: Mapping[str, Any]) -> None:
        where: Json = {"item_id": item.id, "output_index": item.index}
        if isinstance(item, _Message):
            where["content_index"] = len(item.parts) - 1
        self._write(kind, {**where, **fields})

    def _write(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._written.append(event(kind, self._number, fields))
        self._number += 1

    def _taken(self) -> bytes:
        written = b"".join(self._written)
        self._written.clear()
        return written

    def _response(self, status: str, output: list[Json]) -> Json:
        echoed = {name: self.asked[name] for name in _ECHOED if self.asked.get(name) is not None}
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": output,
            "previous_response_id": None,
            "store": False,
            "usage": None,
            **_ECHOED,
            **echoed,
        }


def replayed(body: Mapping[str, Any]) -> bytes:
    """The events of a response that is whole already: each of its items in one piece.

    >>> message = {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    >>> replayed({"id": "resp_1", "status": "completed", "output": [message]}).count(b"event: ")
    9
    """
    told: list[tuple[str, Mapping[str, Any]]] = []
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    told += [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
    for index, item in enumerate(body.get("output") or ()):
        where = {"item_id": item.get("id"), "output_index": index}
        empty: Json = {"content": []} if item["type"] == "message" else {"arguments": ""} if "arguments" in item else {}
        told.append(("response.output_item.added", {"output_index": index, "item": {**item, **empty}}))
        if item["type"] == "message":
            for place, part in enumerate(item["content"]):
                told += _replayed_part(part, {**where, "content_index": place})
        elif item["type"] == "function_call":
            arguments = item["arguments"]
            told.append(("response.function_call_arguments.delta", {**where, "delta": arguments}))
            told.append(("response.function_call_arguments.done", {**where, "arguments": arguments}))
        told.append(("response.output_item.done", {"output_index": index, "item": item}))
    told.append((f"response.{body.get('status', 'completed')}", {"response": body}))
    return b"".join([event(kind, number, fields) for number, (kind, fields) in enumerate(told)])


def _replayed_part(part: Mapping[str, Any], where: Json) -> list[tuple[str, Mapping[str, Any]]]:
    said = "refusal" if part["type"] == "refusal" else "text"
    kind = f"response.{part['type']}"
    more = {"logprobs": part.get("logprobs") or []} if said == "text" else {}
    return [
        ("response.content_part.added", {**where, "part": {**part, said: ""}}),
        (f"{kind}.delta", {**where, "delta": part[said], **more}),
        (f"{kind}.done", {**where, said: part[said], **more}),
        ("response.content_part.done", {**where, "part": part}),
    ]


def response(id: str, created: int, asked: Mapping[str, Any], answer: Answer) -> Json:
    """The whole response that says what a chat answer says.

    >>> body = response("1", 0, {"metadata": {"a": "b"}}, Answer("m", "Hi", tokens_in=3, tokens_out=1))
    >>> body["status"], body["metadata"], body["usage"]["total_tokens"]
    ('completed', {'a': 'b'}, 4)
    """
    writer = Writer(id, created, asked)
    writer.piece(answer.model, Delta(answer.text, answer.body))
    return writer.whole(answer)
