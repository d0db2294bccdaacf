"""OpenAI's Responses API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from waypost.errors import WaypostError
from waypost.gateway.apis.api import Json
from waypost.gateway.apis.responses_input import chat
from waypost.gateway.apis.responses_output import Writer, event, replayed, response
from waypost.gateway.wire import error_body, error_status
from waypost.types import Answer, Delta, Native


class Responses:
    """The API that OpenAI's SDK calls ``client.responses``; nothing is kept from one request to the next."""

    name = "responses"
    path = "/v1/responses"

    def read(self, body: Json) -> tuple[Json, Native]:
        """The request in chat shape, and as it came but for ``waypost``."""
        said = chat(body)
        ours = {name: body[name] for name in ("model", "stream", "waypost") if name in body}
        came = {name: value for name, value in body.items() if name != "waypost"}
        # What a provider keeps may be the whole input, and then there is nothing to show to a router.
        messages = said.messages or [{"role": "user", "content": ""}]
        return {**said.parameters, **ours, "messages": messages}, Native(self.name, came, foreign=tuple(said.foreign))

    def whole(self, id: str, created: int, answer: Answer, asked: Json) -> bytes:
        """A provider's response as it came, or one that says what another answer says."""
        if answer.api == self.name and answer.body is not None:
            return answer.raw or orjson.dumps(answer.body)
        return orjson.dumps(response(id, created, asked, answer))

    def stream(self, id: str, created: int, asked: Json) -> Stream:
        """Events from ``response.created`` to ``response.completed``."""
        return Stream(Writer(id, created, asked))

    def error(self, error: WaypostError) -> Json:
        """OpenAI's error object."""
        return error_body(error)


@dataclass(slots=True)
class Stream:
    """Writes one streamed answer; a provider's own events pass as they came."""

    writer: Writer
    _native: bool = False
    _next: int = field(default=0)

    def piece(self, model: str, delta: Delta) -> bytes:
        """A provider's event, or the events that say a piece of a chat stream."""
        if delta.api != Responses.name:
            return self.writer.piece(model, delta)
        self._native = True
        chunk: Json = delta.chunk or {}
        if delta.raw is None:
            # A whole response, which a strategy has looked at before it was given.
            return replayed(chunk)
        self._next = chunk.get("sequence_number", self._next) + 1
        return delta.raw

    def end(self, answer: Answer, waypost: Json) -> bytes:
        """The whole response; the provider's own has come already."""
        return b"" if self._native else self.writer.end(answer, waypost)

    def broken(self, error: WaypostError) -> bytes:
        """The event that says so: a failed response, or after a provider's events an error."""
        code = "rate_limit_exceeded" if error_status(error) == 429 else "server_error"
        if self._native:
            told: dict[str, Any] = {"code": code, "message": str(error), "param": None}
            return event("error", self._next, told)
        return self.writer.failed(code, str(error))
