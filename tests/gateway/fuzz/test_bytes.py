"""Bytes on a socket that are nearly HTTP: never a bug's answer, never a hang, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time

from hypothesis import example, given
from hypothesis import strategies as st

BODY = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What is 15% of 80?"}]}).encode()
STREAMED = BODY[:-1] + b', "stream": true}'
LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
GOOD = [
    LIVE,
    HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY,
    HEAD + b"content-length: %d\r\n\r\n" % len(STREAMED) + STREAMED,
    HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n%x;a=b\r\n" % len(BODY[5:])
    + BODY[5:] + b"\r\n0\r\nx-trailer: y\r\n\r\n",
    HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY,
    HEAD.replace(b"chat/completions", b"messages") + b"content-length: 2\r\n\r\n{}",
    b"HEAD /metrics?x=y HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
    b"GET http://x/v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
]  # fmt: skip
TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"/",
        b"?",
        b"#",
        b"%00",
        b"%2e%2e",
        b"\xff",
        b"\x80",
        b"\xc3\xa9",
    ),
    *(
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/9.9",
        b"GET",
        b"POST",
        b"PRI",
        b"CONNECT",
    ),
    *(b"host: x\r\n", b"host: y\r\n", b"content-length: 0\r\n", b"content-length: 5\r\n", b"content-length: -1\r\n"),
    *(b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"expect: 100-continue\r\n"),
    *(b"connection: close\r\n", b"upgrade: h2c\r\n", b" folded\r\n", b"x: " + b"y" * 300 + b"\r\n", b"z:\r\n" * 20),
    *(b"ffffffffffffffff\r\n", b"-1\r\n", b"99999999999999999999", b"a" * 2000, BODY, LIVE),
]


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """What a client writes, and in which pieces: good requests in a row, changed in some places, perhaps cut short."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        at, width = draw(st.integers(0, len(data))), draw(st.sampled_from([0, 0, 1, 2, 10]))
        data[at : at + width] = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def talk(served, pieces: list[bytes], *, ends: bool) -> bytes:
    """Say it all, and hear until the gateway closes; ``ends`` says that nothing more will come."""
    heard = b""
    with socket.create_connection((served.host, served.port), timeout=10) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                heard += data
        except TimeoutError:
            raise
        except OSError:
            pass  # it has closed on what it no longer reads
    return heard


def well_formed(heard: bytes) -> None:
    """That what was heard begins as an answer, and no answer in it tells of a bug."""
    if not heard:
        return
    assert re.match(rb"HTTP/1\.1 [1-4]\d\d |HTTP/1\.1 503 ", heard), heard[:200]
    assert b"HTTP/1.1 500" not in heard and b"HTTP/1.1 502" not in heard, heard
    for body in re.findall(rb"HTTP/1\.1 4\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n(\{[^\r\n]*?\}\})", heard):
        assert json.loads(body)["error"]["message"]


def at_rest(served) -> bool:
    """Whether the gateway holds no connection and does no work of a client's."""
    gateway = served.gateway

    def count() -> tuple[int, int]:
        mine = [task for task in asyncio.all_tasks(gateway._loop) if "run_asgi" in repr(task.get_coro())]
        return len(gateway.server_state.connections), len(mine)

    async def counted() -> tuple[int, int]:
        return count()

    return asyncio.run_coroutine_threadsafe(counted(), gateway._loop).result(10) == (0, 0)


def test_nearly_http_is_answered_or_refused_and_leaves_nothing_behind(serve, search) -> None:
    served = serve(
        "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\n"
        "server: {port: 0, head_seconds: 0.2, body_idle_seconds: 0.2, body_seconds: 1, idle_seconds: 0.2, "
        "max_head_bytes: 2048, max_headers: 20, max_body_bytes: 10000}"
    )

    @search(200)
    @given(conversations(), st.booleans())
    @example([b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n"], False)
    @example([b"GET /\x80 HTTP/1.1\r\nhost: x\r\n\r\n"], True)
    def one(pieces: list[bytes], ends: bool) -> None:
        began = time.monotonic()
        well_formed(talk(served, pieces, ends=ends))
        # All limits together, the two seconds in which an answer may still be read, and what a busy machine adds.
        assert time.monotonic() - began < 10
        assert talk(served, [LIVE], ends=True).startswith(b"HTTP/1.1 200 OK")

    one()
    until = time.monotonic() + 10
    while not at_rest(served):
        assert time.monotonic() < until, "a connection or a task is left"
