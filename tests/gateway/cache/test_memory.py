from waypost.gateway.cache.memory import Memory


async def test_the_longest_unused_leaves_first():
    store = Memory(max_bytes=2000)
    store.put(b"a", b"x" * 500, 60)
    store.put(b"b", b"x" * 500, 60)
    await store.get(b"a")
    store.put(b"c", b"x" * 500, 60)
    assert await store.get(b"b") is None
    assert await store.get(b"a") == await store.get(b"c") == b"x" * 500


async def test_it_never_holds_more_than_its_bytes():
    store = Memory(max_bytes=10_000)
    for n in range(1000):
        store.put(b"%d" % (n % 70), b"x" * (n % 900), 60)
        assert store.size <= 10_000
        assert store.size == sum(len(value) + 400 for value, _ in store.entries.values())
    store.put(b"huge", b"x" * 10_000, 60)
    assert await store.get(b"huge") is None and store.entries


async def test_what_is_too_old_is_gone():
    store = Memory(max_bytes=10_000)
    store.put(b"a", b"x", 0)
    assert await store.get(b"a") is None
    assert store.size == 0
