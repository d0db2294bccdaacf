"""Anthropic's Messages API."""

from __future__ import annotations

import orjson

from waypost.errors import WaypostError
from waypost.gateway.apis import messages_reply, messages_request
from waypost.gateway.apis.api import Json
from waypost.types import Answer, Native

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
