"""What goes over the line to Redis, and what comes back when something in it fails."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Connection

from waypost.store.redis_link import Command, RedisLink, _packed

WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), max_size=8)


@given(st.lists(WORDS, max_size=4))
def test_commands_are_packed_as_the_client_packs_them(commands) -> None:
    words = [["EVALSHA", *some] for some in commands]
    assert _packed(words) == b"".join(Connection().pack_commands(words))


async def test_after_an_error_no_reply_is_taken_for_that_to_something_else(redis_url) -> None:
    link = RedisLink(redis_url, 10.0, 30.0, lambda: ())
    try:
        assert await link._send([("ECHO", "a"), ("GET",), ("ECHO", "b")], 10.0) is None
        assert await link._send([("ECHO", "c"), ("ECHO", "d")], 10.0) == ["c", "d"]
    finally:
        await link.close()


async def test_a_reply_that_cannot_be_understood_keeps_nobody_waiting_and_ends_nothing(redis_url, caplog) -> None:
    link = RedisLink(redis_url, 10.0, 30.0, lambda: ())
    await link.open()
    try:
        async with asyncio.timeout(20):
            link.owe(Command("beat", [], lambda: (1000,), lambda said: [][said]))
            await link.ask("beat", [], (1000,))
            while not link.up:  # noqa: ASYNC110 - Redis is looked for some times a second
                await asyncio.sleep(0.01)
            assert await link.ask("beat", [], (1000,)) == 0
        assert "what Redis says cannot be understood" in caplog.text
    finally:
        await link.close()
