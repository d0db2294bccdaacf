"""What an application may rely on, and what its mistakes cannot do to a connection."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from waypost.gateway.turn import Turn


class Wire:
    """A connection whose bytes are kept."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.written: list[bytes] = []
        self.transport = SimpleNamespace(write=self.written.append, close=lambda: self.written.append(b"closed"))
        self.stalled = None
        self.default_headers = [(b"date", b"today")]
        self.held: list[bool] = []
        self.done: list[Turn] = []

    def hold(self, back: bool) -> None:
        self.held.append(back)

    def ended(self, turn: Turn) -> None:
        self.done.append(turn)


def turn(wire: Wire, method: str = "POST", version: str = "1.1", **settings: bool) -> Turn:
    given = {"keep_alive": True, "wants_go_ahead": False, **settings}
    return Turn(wire, {"method": method, "http_version": version}, **given)


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, object]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_a_whole_answer_is_one_write():
    wire = Wire()
    one = turn(wire)
    await one(start((b"content-length", b"2")))
    await one(body(b"Hi"))
    assert wire.written == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n\r\nHi"]
    assert wire.done == [one]


async def test_pieces_are_chunks_and_the_first_leaves_with_the_head():
    wire = Wire()
    one = turn(wire)
    await one(start())
    await one(body(b"word", more=True))
    await one(body(b"", more=True))
    await one(body(b"end"))
    assert wire.written == [
        b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n4\r\nword\r\n",
        b"3\r\nend\r\n0\r\n\r\n",
    ]


async def test_for_a_client_of_http_1_0_a_body_ends_with_the_connection():
    wire = Wire()
    one = turn(wire, version="1.0", keep_alive=False)
    await one(start())
    await one(body(b"a", more=True))
    await one(body(b"b"))
    assert wire.written == [b"HTTP/1.1 200 OK\r\ndate: today\r\nconnection: close\r\n\r\na", b"b", b"closed"]


async def test_an_answer_to_head_is_its_head():
    wire = Wire()
    one = turn(wire, "HEAD")
    await one(start((b"content-length", b"2")))
    await one(body(b"Hi"))
    assert wire.written == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n\r\n"]
    assert one.ended


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
async def test_no_value_makes_another_header(value):
    wire = Wire()

    async def app(scope, receive, send):
        await send(start((b"content-length", b"0"), (b"x-model", value)))

    await turn(wire).run(app, set())
    assert wire.written[0].startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in b"".join(wire.written)


@pytest.mark.parametrize("pieces", [[b"Hi!"], [b"H"], [b"H", b"ey"]])
async def test_a_body_that_is_not_as_long_as_was_said_ends_the_connection(pieces):
    wire = Wire()

    async def app(scope, receive, send):
        await send(start((b"content-length", b"2")))
        for piece in pieces[:-1]:
            await send(body(piece, more=True))
        await send(body(pieces[-1]))

    await turn(wire).run(app, set())
    assert wire.written[-1] == b"closed"
    assert not wire.done


async def test_an_application_that_says_nothing_is_a_500():
    wire = Wire()

    async def app(scope, receive, send):
        return

    await turn(wire).run(app, set())
    assert wire.written[0].startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert wire.written[-1] == b"closed"


async def test_a_body_is_read_as_it_comes_and_its_client_held_back_while_it_is_not():
    wire = Wire()
    one = turn(wire)
    one.came(b"a")
    one.came(b"b" * 70_000)
    assert wire.held == [True]
    first = await one.receive()
    assert (len(first["body"]), first["more_body"]) == (70_001, True)
    later = asyncio.create_task(one.receive())
    await asyncio.sleep(0)
    assert wire.held == [True, False]
    one.came(b"c")
    one.whole()
    assert await later == {"type": "http.request", "body": b"c", "more_body": False}


async def test_who_has_left_is_told_of_and_written_to_no_more():
    wire = Wire()
    one = turn(wire)
    one.whole()
    await one.receive()
    waiting = asyncio.create_task(one.receive())
    await asyncio.sleep(0)
    one.leave()
    assert (await waiting)["type"] == "http.disconnect"
    await one(start((b"content-length", b"2")))
    await one(body(b"Hi"))
    assert wire.written == []


async def test_while_the_client_does_not_read_nothing_is_written():
    wire = Wire()
    wire.stalled = wire.loop.create_future()
    one = turn(wire)
    await one(start((b"content-length", b"2")))
    sending = asyncio.create_task(one(body(b"Hi")))
    await asyncio.sleep(0)
    assert wire.written == []
    wire.stalled.set_result(None)
    await sending
    assert wire.done == [one]


async def test_the_last_piece_waits_for_a_client_that_does_not_read():
    wire = Wire()
    wire.stalled = wire.loop.create_future()
    one = turn(wire)
    one.start(200, [(b"content-length", b"2")])
    ending = asyncio.create_task(one.end(b"Hi"))
    await asyncio.sleep(0)
    assert wire.written == []
    wire.stalled.set_result(None)
    await ending
    assert wire.done == [one]


async def test_a_piece_is_written_at_once_and_says_whether_to_wait():
    wire = Wire()
    one = turn(wire)
    one.start(200, [])
    assert one.piece(b"a") is None
    wire.stalled = wire.loop.create_future()
    wait = one.piece(b"b")
    assert wire.written[1:] == [b"1\r\nb\r\n"]
    assert not wait.done()
    wire.stalled.set_result(None)
    await wait
    one.leave()
    assert one.piece(b"c") is None
    assert len(wire.written) == 2


async def test_a_client_that_asks_is_told_to_send_its_body():
    wire = Wire()
    one = turn(wire, wants_go_ahead=True)
    one.whole()
    await one.receive()
    assert wire.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
