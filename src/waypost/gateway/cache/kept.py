"""An answer as bytes, and back; what cannot be read back whole is no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from waypost.types import Answer

#: How an answer ends that was not cut off, refused or filtered, in the words of the APIs that we speak.
WHOLE = frozenset(
    {"stop", "length", "tool_calls", "function_call"}
    | {"end_turn", "max_tokens", "stop_sequence", "tool_use"}
    | {"completed"}
)
_TEXTS = ("model", "text", "finish", "api")
_COUNTS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_written", "tokens_reasoning")


class Kept(NamedTuple):
    """An answer that was kept, and when, in Unix seconds."""

    answer: Answer
    time: float


def is_whole(answer: Answer) -> bool:
    """Whether an answer is worth keeping: it was given, it was finished, and nothing of it is missing."""
    if not answer.ok or answer.finish not in WHOLE:
        return False
    if answer.body is not None and not all(map(_finished, _parts(answer.body))):
        return False
    # Without a body nothing but the text is known, and a call of a tool is more than its text.
    return answer.body is not None or (bool(answer.text) and answer.finish in ("stop", "length"))


def _parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The choices of a chat or a completion, and the items of a response."""
    for name in ("choices", "output"):
        found = body.get(name)
        yield from (part for part in found if isinstance(part, Mapping)) if isinstance(found, list) else ()


def _finished(part: Mapping[str, Any]) -> bool:
    """Whether one choice was neither filtered nor refused; of several, the answer's own reason tells of the first."""
    if part.get("finish_reason", "stop") not in (*WHOLE, None):
        return False
    message = part.get("message")
    if isinstance(message, Mapping) and message.get("refusal"):
        return False
    content = part.get("content")
    pieces = content if isinstance(content, list) else ()
    return not any(isinstance(piece, Mapping) and piece.get("type") == "refusal" for piece in pieces)


def write(key: bytes, answer: Answer, time: float) -> bytes | None:
    """An answer as bytes that name their key, its body as it came; None when JSON cannot say it."""
    # What ends a stream is an event, and no body.
    untouched = answer.raw is not None and answer.body is not None and answer.raw.lstrip().startswith(b"{")
    fields = {name: getattr(answer, name) for name in (*_TEXTS, *_COUNTS)}
    try:
        head = orjson.dumps({"key": key.hex(), "time": time, **fields, "untouched": untouched})
        body = answer.raw if untouched and answer.raw is not None else orjson.dumps(answer.body)
    except TypeError:
        return None
    return head + b"\n" + body


def read(key: bytes, data: bytes) -> Kept | None:
    """What `write` wrote under the same key; None for anything else.

    >>> data = write(b"k", Answer("small", "Paris."), 12.0)
    >>> read(b"k", data).answer.text
    'Paris.'
    >>> read(b"other", data), read(b"k", data[:-5]), read(b"k", b"[]")
    (None, None, None)
    """
    head, _, rest = data.partition(b"\n")
    try:
        row, body = orjson.loads(head), orjson.loads(rest)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(row, dict) or row.get("key") != key.hex() or not isinstance(row.get("untouched"), bool):
        return None
    time = row.get("time")
    if not isinstance(time, float | int) or not (body is None or isinstance(body, dict)):
        return None
    if not all(isinstance(row.get(name), str) for name in _TEXTS):
        return None
    if not all(isinstance(row.get(name), int) for name in _COUNTS):
        return None
    fields = {name: row[name] for name in (*_TEXTS, *_COUNTS)}
    return Kept(Answer(**fields, usd=0.0, body=body, raw=rest if row["untouched"] else None), float(time))
