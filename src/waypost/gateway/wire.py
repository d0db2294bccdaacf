"""HTTP at the edge: a body in, JSON and errors in OpenAI's shape out."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from waypost.errors import BadRequest, Declined, ModelFailed, NoModelLeft, WaypostError, nearest
from waypost.store.limits import LimitReached, Room

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# orjson reads 1,024 levels but writes only 254; what cannot be passed on is refused when it comes in.
MAX_DEPTH = 100
# A provider's verdict on the request itself is the client's to hear; any other failure is ours (502).
_KEPT = frozenset({400, 413, 422, 429})


class ClientGone(Exception):
    """The client left before its request was read."""


class NotFound(WaypostError):
    """Nothing lives at this path or under this id."""

    status = 404
    code = "not_found"


class WrongMethod(WaypostError):
    """The path exists, but not for this method; ``allowed`` is the one that it takes."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, path: str, method: str, allowed: str) -> None:
        super().__init__(f"{path} takes {allowed}, got {method}")
        self.allowed = allowed


class TooLarge(WaypostError):
    """The body is larger than the server takes."""

    status = 413
    code = "request_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes, the most that this server takes")


class Busy(WaypostError):
    """The server is at its limit; ``retry_after`` is in seconds."""

    status = 503
    code = "overloaded"

    def __init__(self, problem: str, retry_after: float = 1.0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's body.

    Raises:
        TooLarge: it has more than ``limit`` bytes; the door refuses what declares as much before it is read.
        ClientGone: the client left in the middle.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message["body"])
        size += len(pieces[-1])
        if size > limit:
            raise TooLarge(limit)
        if not message.get("more_body", False):
            return b"".join(pieces)  # which copies nothing if there is but one


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        BadRequest: it is not JSON, is nested more than 100 deep, or is not an object.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest("body", f"must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("body", f"must be a JSON object, got {kind(value)}")
    # Counting brackets is far cheaper than walking, and most requests have few.
    if len(body) - len(body.translate(None, b"[{")) > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise BadRequest("body", f"is nested more than {MAX_DEPTH} levels deep")
    return value


def _depth(value: object) -> int:
    level: list[object] = [value]
    depth = 0
    while level:
        depth += 1
        inner: list[object] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            inner.extend(child for child in children if isinstance(child, dict | list))
        level = inner
    return depth


def kind(value: object) -> str:
    """What a JSON value is, in words that a client's author knows.

    >>> kind(True), kind([1]), kind("hot")
    ('true', 'a list', "'hot'")
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "…")
    return orjson.dumps(value).decode()


async def send_json(send: Send, status: int, payload: object, headers: Headers | None = None) -> None:
    """Send a whole JSON response."""
    await send_bytes(send, status, orjson.dumps(payload), b"application/json", headers)


async def send_bytes(send: Send, status: int, body: bytes, media: bytes, headers: Headers | None = None) -> None:
    """Send a whole response."""
    length = b"%d" % len(body)
    all_headers = [(b"content-type", media), (b"content-length", length), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


def to_tell(error: Exception, doing: str) -> WaypostError:
    """The error as a client may hear it: a bug is a line in the log, and its own words stay there."""
    if isinstance(error, WaypostError):
        return error
    _log.error("%s failed", doing, exc_info=error)
    return WaypostError("the gateway failed on this request; its log says where")


def error_status(error: WaypostError) -> int:
    """The HTTP status of an error: its own, or the provider's where it judged the request and not itself.

    >>> error_status(ModelFailed("slow down", upstream=429)), error_status(ModelFailed("key refused", upstream=401))
    (429, 502)
    """
    if isinstance(error, Declined):
        return NoModelLeft.status
    if isinstance(error, ModelFailed) and error.upstream in _KEPT:
        return error.upstream
    return error.status


def error_headers(error: WaypostError) -> Headers:
    """What a client should do: when to come again, with what method or key, and whether its body was read at all."""
    headers: Headers = []
    wait = getattr(error, "retry_after", None)
    if wait is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait))))
    if isinstance(error, LimitReached) and error.room is not None:
        headers += room_headers(error.room)
    if error.in_vain or (isinstance(error, LimitReached) and wait is None):
        # OpenAI's and Anthropic's clients try a 429 or 5xx again, unless they are told that it is in vain.
        headers.append((b"x-should-retry", b"false"))
    if error_status(error) == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", b"GET, HEAD" if error.allowed == "GET" else error.allowed.encode()))
    if isinstance(error, TooLarge):
        headers.append((b"connection", b"close"))
    return headers


def room_headers(room: Room) -> Headers:
    """The limits of a minute and what is left of them, by OpenAI's names; what is not limited is left out.

    >>> room_headers(Room(requests=10, requests_left=9))
    [(b'x-ratelimit-limit-requests', b'10'), (b'x-ratelimit-remaining-requests', b'9')]
    """
    headers: Headers = []
    if room.requests is not None and room.requests_left is not None:
        headers.append((b"x-ratelimit-limit-requests", b"%d" % room.requests))
        headers.append((b"x-ratelimit-remaining-requests", b"%d" % room.requests_left))
    if room.tokens is not None and room.tokens_left is not None:
        headers.append((b"x-ratelimit-limit-tokens", b"%d" % room.tokens))
        headers.append((b"x-ratelimit-remaining-tokens", b"%d" % room.tokens_left))
    return headers


def error_body(error: WaypostError) -> dict[str, Any]:
    """The error in OpenAI's shape.

    >>> error_body(BadRequest("temperature", "must be a number, got 'hot'"))["error"]["param"]
    'temperature'
    """
    status = error_status(error)
    code, param = error.code, getattr(error, "field", None)
    if isinstance(error, ModelFailed) and error.upstream in _KEPT:
        code, param = error.told[0] or code, error.told[1]
    return {
        "error": {
            "message": str(error),
            "type": "invalid_request_error" if status < 500 else "server_error",
            "param": param,
            "code": code,
        }
    }


def unknown(field: str, allowed: Iterable[str], inside: str = "") -> BadRequest:
    """The error for a field that is not one of those allowed."""
    names = sorted(allowed)
    return BadRequest(inside + field, f"is unknown; allowed are {', '.join(names)}.{nearest(field, names)}")
