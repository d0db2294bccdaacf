"""What an API is to the gateway: a way to ask and a way to be answered, around one and the same request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from waypost.errors import WaypostError
from waypost.types import Answer, Delta, Native

Json = Mapping[str, Any]


class Written(Protocol):
    """One streamed answer in the making."""

    def piece(self, model: str, delta: Delta) -> bytes:
        """The events that say a piece of ``model``'s answer; empty where there is nothing to say."""
        ...

    def end(self, answer: Answer, waypost: Json) -> bytes:
        """The last events; ``waypost`` (decision, cost) rides on them where the API has room for it."""
        ...

    def broken(self, error: WaypostError) -> bytes:
        """The last events of an answer that broke off, which must not pass for a whole one."""
        ...


class Api(Protocol):
    """One API, such as OpenAI's chat completions; without state.

    An answer whose ``api`` is this one's name passes through untouched; any other comes in the shape of chat
    completions, and is written anew.
    """

    name: str
    path: str

    def read(self, body: Json) -> tuple[Json, Native | None]:
        """The request in the shape of chat completions, and as it came where that is another.

        Raises:
            BadRequest: a field is missing or of the wrong type; the error names it as the client knows it.
        """
        ...

    def whole(self, id: str, created: int, answer: Answer, asked: Json) -> bytes:
        """The body of a whole answer to ``asked``, the request as it came.

        ``id`` is the decision's, ``created`` is in Unix seconds.
        """
        ...

    def stream(self, id: str, created: int, asked: Json) -> Written:
        """What writes a streamed answer to ``asked``, the request as it came."""
        ...

    def error(self, error: WaypostError) -> Json:
        """The body that tells of an error."""
        ...
