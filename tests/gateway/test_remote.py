import asyncio
import socket
import time

import pytest

from waypost.errors import BadConfig
from waypost.gateway.remote import Remote
from waypost.pool.secret import Secret


async def test_what_is_written_is_read_by_another(redis_url):
    one, other = (Remote(Secret(redis_url), "cache", patience=30) for _ in range(2))
    one.put(b"key", b"\x00value", 60)
    await asyncio.wait(one._writes, timeout=10)
    assert await other.get(b"key") == b"\x00value"
    assert await other.get(b"other") is None
    await asyncio.gather(one.close(), other.close())


async def test_a_frozen_redis_costs_one_request_a_moment_and_the_next_nothing():
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # accepts, and never says a word
        store = Remote(Secret(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"), "cache")
        start = time.perf_counter()
        assert await store.get(b"key") is None
        first = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(100):
            assert await store.get(b"key") is None
            store.put(b"key", b"value", 60)
        rest = time.perf_counter() - start
        assert not store.available
        assert first < 2 and rest < 1  # on a machine that is busy; a wait for each would take 5 s
        await store.close()


async def test_a_redis_that_comes_back_is_used_again(redis_url, caplog):
    store = Remote(Secret(redis_url), "cache", patience=30)
    store.put(b"key", b"value", 60)
    await asyncio.wait(store._writes, timeout=30)
    store.patience = 0.05
    await store._client.client_pause(300)
    assert await store.get(b"key") is None
    await asyncio.wait([store._probe], timeout=30)
    store.patience = 30
    assert await store.get(b"key") == b"value"
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "does not answer" in caplog.text and "answers again" in caplog.text
    await store.close()


async def test_a_url_that_is_no_redis_is_refused_without_being_shown():
    with pytest.raises(BadConfig, match="must be a URL like redis://") as raised:
        Remote(Secret("http://:hunter2@127.0.0.1"), "cache")
    assert "hunter2" not in str(raised.value)


async def test_what_is_being_written_at_the_end_is_written(redis_url):
    store = Remote(Secret(redis_url), "cache", patience=30)
    store.put(b"last", b"value", 60)
    store.put_field(b"fields", "a", b"1", 60)
    await store.close()
    other = Remote(Secret(redis_url), "cache", patience=30)
    assert await other.get(b"last") == b"value"
    assert await other.fields(b"fields") == {b"a": b"1"}
    assert 0 < await other._client.ttl(other._named(b"fields")) <= 60
    await other.close()


async def test_a_redis_that_refuses_is_not_away_and_says_why_once(redis_url, caplog):
    store = Remote(Secret(redis_url), "cache", patience=30)
    store.put(b"whole", b"value", 60)
    for _ in range(3):
        await asyncio.wait(store._writes, timeout=30)
        store.put_field(b"whole", "a", b"1", 60)  # which has no fields
    await asyncio.wait(store._writes, timeout=30)
    assert store.available
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "'cache.redis' refuses what it is asked" in caplog.text and "WRONGTYPE" in caplog.text
    await store.close()


@pytest.mark.parametrize("options", ["nonsense=hunter2", "socket_timeout=hunter2"])
async def test_options_that_nobody_knows_are_found_before_anything_is_asked(options):
    with pytest.raises(BadConfig, match="with no options but those of Redis' client") as raised:
        Remote(Secret(f"redis://127.0.0.1:6379/0?{options}"), "sessions")
    assert "hunter2" not in str(raised.value)


async def test_bytes_stay_bytes_whatever_the_url_asks_for(redis_url):
    store = Remote(Secret(f"{redis_url}?decode_responses=true"), "cache", patience=30)
    store.put(b"bytes", b"\xff", 60)
    await asyncio.wait(store._writes, timeout=30)
    assert await store.get(b"bytes") == b"\xff"
    await store.close()
