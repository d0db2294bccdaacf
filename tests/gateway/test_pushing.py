"""An answer in pieces is the same to our own server and to any other."""

from __future__ import annotations

from waypost.gateway.pushing import pushing


async def test_another_server_gets_the_messages_of_asgi():
    sent = []

    async def send(message):
        sent.append(message)

    out = pushing(send)
    out.start(200, [(b"x", b"y")])
    await out.piece(b"a")
    await out.piece(b"b")
    await out.end(b"")
    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


def test_our_own_takes_them_itself():
    class Turn:
        def piece(self, body):
            return None

    turn = Turn()
    assert pushing(turn) is turn
