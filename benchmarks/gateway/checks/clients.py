"""Clients that misbehave: keys, bodies and HTTP as they should not be."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from checks.check import Bed, Check, Found, Model, tells
from checks.talk import CHAT, Reply, exchange, read

KEYS = "A key that is not good"
BODIES = "A body that is not good"
HTTP = "HTTP that is not good"

_BODY = json.dumps({"model": "ok", "messages": [{"role": "user", "content": "Hello"}]}).encode()
_HUGE = 60_000_000
_DEEP = 100_000
_WATCHED_SECONDS = 4.0


def _no_key(bed: Bed) -> Found:
    reply = bed.client.post(CHAT, _BODY, key="")
    return Found(reply.status == 401 and tells(reply), str(reply))


def _wrong_key(bed: Bed) -> Found:
    """Keys that share ever more with a good one are refused, in the same words and the same time."""
    good = bed.client.key or ""
    wrong = ["sk-nothing-like-it", good[:20] + "x" * (len(good) - 20), good[:-1] + "!", good + "x"]
    replies = [bed.client.post(CHAT, _BODY, key=key) for key in wrong]
    # The least of many, in turn: what else the machine does only adds.
    times = [[bed.client.post(CHAT, _BODY, key=key).seconds for key in (wrong[0], wrong[2])] for _ in range(20)]
    took = [1000 * min(column) for column in zip(*times, strict=True)]
    same = len({reply.body for reply in replies}) == 1
    right = all(reply.status == 401 and tells(reply) for reply in replies) and same and max(took) < 3 * min(took) + 1
    did = f"{_each(replies)}; {'the same words' if same else 'different words'}; {took[0]:.1f} and {took[1]:.1f} ms"
    return Found(right, did)


def _long_key(bed: Bed) -> Found:
    reply = bed.client.post(CHAT, _BODY, key="wp-" + "x" * 60_000)
    return Found(reply.status in (401, 431) and reply.seconds < 1, f"{reply} in {1000 * reply.seconds:.0f} ms")


def _each(replies: list[Reply]) -> str:
    return ", ".join(dict.fromkeys(map(str, replies)))


def _bad(*bodies: bytes, most: int = 1000) -> Callable[[Bed], Found]:
    """Bodies that are refused in few words."""

    def run(bed: Bed) -> Found:
        replies = [bed.client.post(CHAT, body) for body in bodies]
        alive = bed.client.chat("ok").status == 200
        long = max(len(reply.body) for reply in replies)
        right = all(reply.status == 400 and tells(reply) for reply in replies) and long <= most and alive
        did = _each(replies) + (f", {long:,} bytes" if long > most else "") + ("" if alive else "; then no answer")
        return Found(right, did)

    return run


def _of(text: bytes) -> bytes:
    return _BODY.replace(b'"Hello"', text)


def _declared(bed: Bed) -> Found:
    """60 MB are announced, and 1 kB of them sent."""
    with bed.client.connect(_WATCHED_SECONDS) as connection:
        reply = exchange(connection, bed.client.head(CHAT, _HUGE) + b" " * 1000)
    did = f"{reply} with 1 kB read" if reply.status else "waits for all of it"
    return Found(reply.status == 413 and tells(reply), did)


def _in_chunks(bed: Bed) -> Found:
    """60 MB come in chunks, so that nobody knows how long it will be."""
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = bed.client.head(CHAT, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    sent = 0
    with bed.client.connect() as connection:
        connection.sendall(head)
        with suppress(OSError):
            while sent < _HUGE and not select.select([connection], [], [], 0)[0]:
                connection.sendall(piece)
                sent += 65536
            if sent >= _HUGE:
                connection.sendall(b"0\r\n\r\n")
        reply = read(connection)
    return Found(reply.status == 413 and sent < _HUGE, f"{reply} after {sent / 1e6:.0f} MB")


def _twice(bed: Bed) -> Found:
    """What a look at the first would allow and the provider would read from the last."""
    body = b'{"model": "recorded-twice", "temperature": 0.1, "temperature": 0.9, "messages": [{"role": "user", '
    body += b'"content": "Hello"}], "model": "recorded-twice"}'
    reply = bed.client.post(CHAT, body)
    if reply.status == 400:
        return Found(tells(reply), str(reply))
    got = bed.provider.last()
    did = f"{reply}; the provider got {got.raw.count(b'temperature')} with {got.json.get('temperature')}"
    return Found(got.raw.count(b"temperature") == 1 and got.json["temperature"] == 0.9, did)


def _one_way(*requests: Callable[[Bed], bytes]) -> Callable[[Bed], Found]:
    """Requests that two readers would read in two ways: refused, and the connection with them."""

    def run(bed: Bed) -> Found:
        replies, closed = [], []
        for request in requests:
            with bed.client.connect(_WATCHED_SECONDS) as connection:
                replies.append(exchange(connection, request(bed)))
                closed.append(_closed(connection) if replies[-1].status else False)
        right = all(reply.status == 400 for reply in replies) and all(closed)
        return Found(right, f"{_each(replies)}; {'closed' if all(closed) else 'left open'}")

    return run


def _closed(connection: socket.socket) -> bool:
    connection.settimeout(1.0)
    try:
        return not connection.recv(1)
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def _with(headers: bytes, body: bytes) -> Callable[[Bed], bytes]:
    """A request with a body framed by these headers."""

    def request(bed: Bed) -> bytes:
        return bed.client.head(CHAT, 0).replace(b"Content-Length: 0\r\n", headers) + body

    return request


_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LENGTH = b"Content-Length: %d\r\n" % len(_BODY)
_AS_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY)


def _host(replaced: bytes) -> Callable[[Bed], bytes]:
    def request(bed: Bed) -> bytes:
        head = bed.client.head(CHAT, len(_BODY))
        own = f"Host: {bed.client.host}:{bed.client.port}\r\n".encode()
        return head.replace(own, replaced.replace(b"OWN\r\n", own)) + _BODY

    return request


def _slowly(first: Callable[[Bed], bytes]) -> Callable[[Bed], Found]:
    """A client that begins and then sends nothing more."""

    def run(bed: Bed) -> Found:
        with bed.client.connect(_WATCHED_SECONDS) as connection:
            began = time.perf_counter()
            connection.sendall(first(bed))
            others = bed.client.chat("ok").status
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                return Found(False, f"still waiting after {_WATCHED_SECONDS:.0f} s")
            except ConnectionError:
                answer = b""
            seconds = time.perf_counter() - began
        said = answer[9:12].decode("latin-1") or "closed"
        return Found(said in ("408", "closed") and others == 200, f"{said} after {seconds:.1f} s")

    return run


CHECKS = (
    Check("no-key", KEYS, "no key", "401 in OpenAI's shape", _no_key),
    Check(
        "wrong-key",
        KEYS,
        "an unknown key; a good one with its end changed, its last character changed, one character more",
        "401, in the same words and the same time",
        _wrong_key,
    ),
    Check("long-key", KEYS, "a key of 60,000 characters", "401 or 431 at once", _long_key),
    Check(
        "bad-json",
        BODIES,
        "half a JSON, a list, a bare word, nothing",
        "400 in OpenAI's shape, in few words",
        _bad(_BODY[:-20], b"[1]", b"hello", b""),
    ),
    Check(
        "deep-json",
        BODIES,
        "JSON 100,000 deep, in lists and in objects",
        "400 in OpenAI's shape, in few words; the gateway lives on",
        _bad(_of(b"[" * _DEEP + b"]" * _DEEP), _of(b'{"a":' * _DEEP + b"1" + b"}" * _DEEP)),
    ),
    Check("invalid-utf8", BODIES, "text that is no UTF-8", "400 in OpenAI's shape", _bad(_of(b'"\xff\xfe\xc3"'))),
    Check(
        "nan",
        BODIES,
        "`NaN`, `Infinity` and 1e999 as the temperature",
        "400 in OpenAI's shape",
        _bad(
            *(_BODY.replace(b'"model"', b'"temperature": %b, "model"' % one) for one in (b"NaN", b"Infinity", b"1e999"))
        ),
    ),
    Check(
        "duplicate-keys",
        BODIES,
        "two temperatures and two models in one body",
        "400, or the provider gets one of each, the one that was checked",
        _twice,
        (Model("recorded-twice", recorded=True),),
    ),
    Check(
        "body-60mb",
        BODIES,
        "the head of a request with a body of 60 MB, and 1 kB of it",
        "413 before the rest is read",
        _declared,
    ),
    Check("body-60mb-chunked", BODIES, "60 MB in chunks", "413 before all is read", _in_chunks),
    Check(
        "length-and-chunks",
        HTTP,
        "`Content-Length` with `Transfer-Encoding`, in both orders; two lengths",
        "400, and the connection is closed",
        _one_way(
            _with(_LENGTH + _CHUNKED, _AS_CHUNK),
            _with(_CHUNKED + _LENGTH, _AS_CHUNK),
            _with(_LENGTH + b"Content-Length: 5\r\n", _BODY),
        ),
    ),
    Check(
        "bad-chunk-sizes",
        HTTP,
        "chunk sizes that are no number, negative, and beyond 64 bits",
        "400, and the connection is closed",
        _one_way(*(_with(_CHUNKED, size + b"\r\nhello\r\n0\r\n\r\n") for size in (b"zz", b"-5", b"f" * 17))),
    ),
    Check(
        "bad-host",
        HTTP,
        "no `Host`, two of them, one with a path and a blank",
        "400",
        _one_way(_host(b""), _host(b"OWN\r\nHost: other\r\n"), _host(b"Host: a/health/live ?x\r\n")),
    ),
    Check(
        "slow-head",
        HTTP,
        "half a head, then silence (time limit 1 s)",
        "408 or closed within 4 s; others are served meanwhile",
        _slowly(lambda bed: bed.client.head(CHAT, 100)[:40]),
    ),
    Check(
        "slow-body",
        HTTP,
        "half a body, then silence (time limit 1 s)",
        "408 or closed within 4 s; others are served meanwhile",
        _slowly(lambda bed: bed.client.head(CHAT, len(_BODY)) + _BODY[:20]),
    ),
)
