"""What the mock provider says: the bodies and events of each API, in the shapes that its provider documents.

Everything depends on the model's name and a few settings only, so the bytes of an answer are made once and kept.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

WORDS = 50  # of every whole answer, and of a stream unless its model's name says otherwise
TOKENS_IN = 250  # what about a kilobyte of prompt comes to
_VECTOR = (0.5, -0.5, 0.25, -0.25, 0.125, -0.125, 0.0, 1.0)
_REASONS = {401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}

Json = dict[str, Any]


def text(words: int = WORDS) -> str:
    """An answer of so many words."""
    return "".join(pieces(words))


def pieces(words: int) -> Iterator[str]:
    """An answer, word by word."""
    return (f"word{number} " for number in range(words))


def http(status: int, body: bytes, kind: str = "application/json", headers: str = "") -> bytes:
    """A whole HTTP response; ``headers`` are further lines, each with its line end."""
    reason = "OK" if status == 200 else _REASONS.get(status, "Failed")
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def framed(body: bytes) -> bytes:
    """One chunk of a body in chunks."""
    return b"%x\r\n%b\r\n" % (len(body), body)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


@lru_cache(1024)
def whole(path: str, model: str) -> bytes:
    """The whole answer of an API as one HTTP response."""
    return http(200, orjson.dumps(_WHOLE[path](model)))


@lru_cache(1024)
def stream(path: str, model: str, words: int, usage: bool) -> tuple[bytes, ...]:
    """The events of a streamed answer, each framed as a chunk; what frames the first and last word goes with it."""
    before, (first, *rest), after = _STREAM[path](model, words, usage)
    return (framed(b"".join([*before, first])), *map(framed, rest), framed(b"".join(after)))


@lru_cache(1024)
def failure(path: str, status: int, message: str, headers: str = "") -> bytes:
    """An error in the shape of the API as one HTTP response."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, "api_error")
    body: Json = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    if path == "/v1/messages":
        body = {"type": "error", "error": {"type": kind, "message": message}}
    return http(status, orjson.dumps(body), headers=headers)


def embeddings(asked: Json) -> bytes:
    """As many vectors as there are inputs, as numbers or in base64, which OpenAI's own client asks for."""
    given = asked.get("input", "")
    one = isinstance(given, str) or (isinstance(given, list) and bool(given) and isinstance(given[0], int))
    packed = asked.get("encoding_format") == "base64"
    vector = base64.b64encode(struct.pack(f"<{len(_VECTOR)}f", *_VECTOR)).decode() if packed else _VECTOR
    count = 1 if one else len(given)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": 8 * count, "total_tokens": 8 * count}
    return http(200, orjson.dumps({"object": "list", "data": data, "model": asked.get("model"), "usage": usage}))


MODELS = http(200, orjson.dumps({"object": "list", "data": [{"id": "ok", "object": "model", "owned_by": "mock"}]}))
GARBAGE = http(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html")


def _usage(words: int) -> Json:
    return {"prompt_tokens": TOKENS_IN, "completion_tokens": words, "total_tokens": TOKENS_IN + words}


def _usage_in_out(words: int) -> Json:
    return {"input_tokens": TOKENS_IN, "output_tokens": words}


def _chat(model: str) -> Json:
    message = {"role": "assistant", "content": text(), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-mock", "object": "chat.completion", "created": 1, "model": model}
    return {**head, "choices": [choice], "usage": _usage(WORDS)}


def _completion(model: str) -> Json:
    choice = {"index": 0, "text": text(), "logprobs": None, "finish_reason": "stop"}
    head = {"id": "cmpl-mock", "object": "text_completion", "created": 1, "model": model}
    return {**head, "choices": [choice], "usage": _usage(WORDS)}


def _message(model: str, said: str | None = None) -> Json:
    content = [{"type": "text", "text": text() if said is None else said}]
    head = {"id": "msg_mock", "type": "message", "role": "assistant", "model": model, "content": content}
    return {**head, "stop_reason": "end_turn", "stop_sequence": None, "usage": _usage_in_out(WORDS)}


def _response(model: str, words: int = WORDS) -> Json:
    head = {"id": "resp_mock", "object": "response", "created_at": 1, "status": "completed", "model": model}
    usage = {**_usage_in_out(words), "total_tokens": TOKENS_IN + words}
    rest: Json = {"error": None, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, "output": [_output(text(words))], "usage": usage, **rest}


def _output(said: str) -> Json:
    part = {"type": "output_text", "text": said, "annotations": []}
    return {"type": "message", "id": "msg_mock", "status": "completed", "role": "assistant", "content": [part]}


_WHOLE = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/messages": _message,
    "/v1/responses": _response,
}

Events = tuple[list[bytes], list[bytes], list[bytes]]  # before the words, one a word, after them


def _data(payload: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(payload)


def _named(payload: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (payload["type"].encode(), orjson.dumps(payload))


def _chat_events(model: str, words: int, usage: bool) -> Events:
    head = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        return _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    after = [chunk({}, "stop")]
    if usage:
        after.append(_data({**head, "choices": [], "usage": _usage(words)}))
    said = [chunk({"content": piece}) for piece in pieces(words)]
    return [chunk({"role": "assistant", "content": ""})], said, [*after, b"data: [DONE]\n\n"]


def _completion_events(model: str, words: int, usage: bool) -> Events:
    head = {"id": "cmpl-mock", "object": "text_completion", "created": 1, "model": model}

    def chunk(piece: str, finish: str | None = None) -> bytes:
        return _data({**head, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}]})

    after = [chunk("", "stop")]
    if usage:
        after.append(_data({**head, "choices": [], "usage": _usage(words)}))
    return [], [chunk(piece) for piece in pieces(words)], [*after, b"data: [DONE]\n\n"]


def _message_events(model: str, words: int, usage: bool) -> Events:
    begun = {**_message(model), "content": [], "stop_reason": None, "usage": _usage_in_out(1)}
    before: list[Json] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    said = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in pieces(words)
    ]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    after: list[Json] = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": words}},
        {"type": "message_stop"},
    ]
    return [_named(one) for one in before], [_named(one) for one in said], [_named(one) for one in after]


def _response_events(model: str, words: int, usage: bool) -> Events:
    whole, item = _response(model, words), _output(text(words))
    (part,) = item["content"]
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_mock"}
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    before: list[Json] = [
        {"type": "response.created", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
    ]
    said: list[Json] = [
        {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in pieces(words)
    ]
    after: list[Json] = [
        {"type": "response.output_text.done", **place, "text": text(words), "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    numbered = [_named({**one, "sequence_number": number}) for number, one in enumerate([*before, *said, *after])]
    return numbered[:3], numbered[3 : 3 + words], numbered[3 + words :]


_STREAM = {
    "/v1/chat/completions": _chat_events,
    "/v1/completions": _completion_events,
    "/v1/messages": _message_events,
    "/v1/responses": _response_events,
}
PATHS = frozenset(_WHOLE)
COUNT = "/v1/messages/count_tokens"
COUNTED = http(200, orjson.dumps({"input_tokens": TOKENS_IN}))
