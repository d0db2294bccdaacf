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
    await asyncio.wait(one._tasks, timeout=10)
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
    await asyncio.wait(store._tasks, timeout=30)
    store.patience = 0.05
    await store._client.client_pause(300)
    assert await store.get(b"key") is None
    await asyncio.wait(store._tasks, timeout=30)  # the look whether it is back
    store.patience = 30
    assert await store.get(b"key") == b"value"
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "does not answer" in caplog.text and "answers again" in caplog.text
    await store.close()


async def test_a_url_that_is_no_redis_is_refused_without_being_shown():
    with pytest.raises(BadConfig, match="must be a URL like redis://") as raised:
        Remote(Secret("http://:hunter2@127.0.0.1"), "cache")
    assert "hunter2" not in str(raised.value)
