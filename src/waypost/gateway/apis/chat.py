"""OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from waypost.errors import WaypostError
from waypost.gateway.apis.api import Json
from waypost.gateway.reply import DONE, event, usage
from waypost.gateway.wire import error_body
from waypost.types import Answer, Delta, Native


class Chat:
    """The API that everything here is in the shape of."""

    name = "chat"
    path = "/v1/chat/completions"

    def read(self, body: Json) -> tuple[Json, Native | None]:
        """The body as it is."""
        return body, None

    def whole(self, id: str, created: int, answer: Answer, asked: Json) -> bytes:
        """A provider's bytes as they came, or a completion made of the text."""
        if answer.raw is not None and answer.api == self.name:
            return answer.raw
        return orjson.dumps(completion(f"chatcmpl-{id}", created, answer))

    def stream(self, id: str, created: int, asked: Json) -> Stream:
        """Chunks, with the usage as the last if the request asks for it."""
        options = asked.get("stream_options") or {}
        return Stream(f"chatcmpl-{id}", created, bool(options.get("include_usage")))

    def error(self, error: WaypostError) -> Json:
        """OpenAI's error object."""
        return error_body(error)


def completion(completion_id: str, created: int, answer: Answer) -> Json:
    """The whole answer; fields of the model's own pass through, and ``model`` is the pool's name of it."""
    if answer.body is not None and "choices" in answer.body:
        return {"usage": usage(answer), **answer.body, "model": answer.model}
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [choice],
        "usage": usage(answer),
    }


@dataclass(slots=True)
class Stream:
    """Writes one streamed answer, event by event."""

    id: str
    created: int
    include_usage: bool
    begun: bool = False
    finished: bool = False
    told_usage: bool = False
    provider_usage: Mapping[str, Any] | None = None

    def piece(self, model: str, delta: Delta) -> bytes:
        """A provider's event as it came, or one made of the text or of the chunk."""
        chunk = delta.chunk
        if chunk is None or "choices" not in chunk:
            fields = {"content": delta.text} if self.begun else {"role": "assistant", "content": delta.text}
            self.begun = True
            return event(self._chunk(model, [{"index": 0, "delta": fields, "finish_reason": None}]))
        if usage := chunk.get("usage"):
            self.provider_usage = usage
        untouched = delta.raw if delta.api == Chat.name else None
        choices: Sequence[Mapping[str, Any]] = chunk["choices"]
        if not choices:
            if not (untouched and self.include_usage):
                return b""  # the provider's usage, which `end` writes if the client wants it
            self.told_usage = True
        self.begun = True
        for choice in choices:
            if choice.get("finish_reason"):
                self.finished = True
        return untouched or event({**chunk, "model": model})

    def end(self, answer: Answer, waypost: Json) -> bytes:
        """The reason of the end if no chunk has told it, usage if it was asked for and not told, ``[DONE]``."""
        events = []
        if not self.finished:
            last = {"index": 0, "delta": {}, "finish_reason": answer.finish}
            events.append(event(self._chunk(answer.model, [last])))
        if self.include_usage and not self.told_usage:
            counts = self.provider_usage or (answer.body or {}).get("usage") or usage(answer)
            events.append(event({**self._chunk(answer.model, []), "usage": counts, "waypost": waypost}))
        untouched = answer.raw if answer.body is None and answer.api == Chat.name else None
        return b"".join(events) + (untouched or DONE)

    def broken(self, error: WaypostError) -> bytes:
        """An event of the error, and no ``[DONE]``."""
        return event(error_body(error))

    def _chunk(self, model: str, choices: list[Json]) -> Json:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": model,
            "choices": choices,
        }
