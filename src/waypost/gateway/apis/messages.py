"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from waypost.errors import BadRequest, UnknownModel, WaypostError
from waypost.gateway.apis import messages_reply, messages_request
from waypost.gateway.apis.api import Json
from waypost.gateway.wire import kind
from waypost.types import Answer, Model, Native

COUNT = "/v1/messages/count_tokens"


class Messages:
    """The API of Anthropic's SDKs, and of the coding agents that are built on them."""

    name = "messages"
    path = "/v1/messages"

    def read(self, body: Json) -> tuple[Json, Native]:
        """The request in chat shape, and as it came but for what Anthropic's API would refuse."""
        done = messages_request.chat(body)
        return done.body, Native(self.name, messages_request.native(body), foreign=tuple(done.foreign))

    def whole(self, id: str, created: int, answer: Answer, asked: Json) -> bytes:
        """Anthropic's bytes as they came, or a message that says the same as another provider's answer."""
        if answer.raw is not None and answer.api == self.name:
            return answer.raw
        return orjson.dumps(messages_reply.message(answer, f"msg_{id}"))

    def stream(self, id: str, created: int, asked: Json) -> messages_reply.Stream:
        """Events from ``message_start`` to ``message_stop``."""
        return messages_reply.Stream(f"msg_{id}")

    def error(self, error: WaypostError) -> Json:
        """Anthropic's error object."""
        return messages_reply.error_body(error)


async def count_tokens(
    body: Json, headers: Mapping[str, str], models: Mapping[str, Model], check: Callable[[str], None]
) -> int:
    """The tokens of a request: counted by Anthropic where it names a model of theirs, else estimated.

    ``check`` refuses a model that the caller may not ask.

    Raises:
        BadRequest: a field is missing or of the wrong type.
        UnknownModel: it names neither a model of the pool nor ``auto``.
        ModelFailed: Anthropic did not count them.
    """
    messages_request.chat({"max_tokens": 1, **body})
    name = body.get("model")
    if not isinstance(name, str):
        raise BadRequest("model", f"must be the name of a model or 'auto', got {kind(name)}")
    model: Any = models.get(name)
    if model is None and name.partition(":")[0] != "auto":
        raise UnknownModel(name, [*models, "auto"])
    if model is not None:
        check(name)
    # What makes calls again when they fail stands around a model; to count is worth one try.
    counter = getattr(getattr(model, "model", model), "count_tokens", None)
    if counter is None:
        return messages_request.counted(body)
    tokens: int = await counter(messages_request.native(body), headers)
    return tokens
