import asyncio
from dataclasses import replace

import pytest

from waypost.errors import BadRequest
from waypost.gateway.apis.chat import Chat
from waypost.gateway.ask import parse
from waypost.gateway.cache.control import NotKept
from waypost.gateway.cache.lookup import Cache
from waypost.gateway.sections.cache import CacheSettings, SemanticSettings
from waypost.objective import Objective
from waypost.pool.secret import Secret
from waypost.types import Answer

MODELS = ("small", "large")
PARIS = Answer("small", "Paris.", 9, 2, usd=0.5)
ONLY = [(b"x-waypost-cache", b"only")]


def asked(text: str = "What is the capital of France?", **fields):
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
    return parse(Chat(), body, [], MODELS, {"default": Objective()})


async def ask(cache: Cache, request=None, answer=PARIS, tenant="team:a", headers=()):
    """What a request of that tenant gets from the cache; else the model's answer is kept."""
    looked = await cache.look(tenant, request or asked(), list(headers), MODELS)
    if looked is not None and looked.answer is None:
        cache.keep(looked, answer)
    return looked


async def test_the_second_of_two_alike_is_answered_for_nothing():
    cache = Cache(CacheSettings())
    assert (await ask(cache)).answer is None
    again = await ask(cache, asked(stream=True, user="someone"))
    assert (again.how, again.answer) == ("exact", replace(PARIS, usd=0.0))
    assert dict(cache.looks) == {"miss": 1, "exact": 1}


async def test_an_answer_never_crosses_tenants():
    cache = Cache(CacheSettings(semantic=SemanticSettings(threshold=0.5, same_words=False)))
    await ask(cache, tenant="key:" + "a" * 63 + "0")
    assert (await ask(cache, tenant="key:" + "a" * 63 + "1")).answer is None
    assert (await ask(cache, tenant="")).answer is None


async def test_the_semantic_cache_answers_what_says_the_same_and_nothing_else():
    cache = Cache(CacheSettings(semantic=SemanticSettings(threshold=0.9)))
    await ask(cache)
    near = await ask(cache, asked("what's the capital of France"))
    assert (near.how, near.answer.text) == ("semantic", "Paris.")
    for other in (asked("What is the capital of Spain?"), asked("What's the capital of France", temperature=1)):
        assert (await ask(cache, other)).answer is None


async def test_an_answer_that_calls_tools_is_kept_for_the_same_request_only():
    cache = Cache(CacheSettings(semantic=SemanticSettings(threshold=0.9)))
    await ask(cache, answer=Answer("small", "", finish="tool_calls", body={"choices": []}))
    assert (await ask(cache)).how == "exact"
    assert (await ask(cache, asked("what's the capital of France"))).answer is None


async def test_off_neither_reads_nor_writes_and_refresh_only_writes():
    cache = Cache(CacheSettings())
    assert await ask(cache, headers=[(b"cache-control", b"no-store")]) is None
    assert (await ask(cache)).answer is None
    assert await ask(cache, headers=[(b"x-waypost-cache", b"off")]) is None
    fresh = await ask(cache, answer=replace(PARIS, text="Paris!"), headers=[(b"cache-control", b"no-cache")])
    assert fresh.answer is None
    assert (await ask(cache)).answer.text == "Paris!"


async def test_only_gives_a_kept_answer_or_says_that_there_is_none():
    cache = Cache(CacheSettings())
    with pytest.raises(NotKept, match="no answer to this request is kept"):
        await ask(cache, headers=ONLY)
    with pytest.raises(NotKept):
        await ask(cache, asked(tools=[{"type": "web_search"}]), headers=ONLY)
    await ask(cache)
    assert (await ask(cache, headers=ONLY)).how == "exact"


async def test_max_age_refuses_what_is_older():
    cache = Cache(CacheSettings())
    await ask(cache)
    assert (await ask(cache, headers=[(b"cache-control", b"max-age=60")])).how == "exact"
    assert (await ask(cache, headers=[(b"cache-control", b"max-age=0")])).answer is None


async def test_a_word_that_means_nothing_is_the_clients_mistake():
    with pytest.raises(BadRequest):
        await ask(Cache(CacheSettings()), headers=[(b"x-waypost-cache", b"never")])


async def test_the_answer_of_a_model_that_left_the_pool_is_not_given():
    cache = Cache(CacheSettings())
    await ask(cache)
    assert (await cache.look("team:a", asked(), [], ("large",))).answer is None


def in_redis(url: str, count: int = 1) -> list[Cache]:
    caches = [Cache(CacheSettings(redis=Secret(url))) for _ in range(count)]
    for cache in caches:
        cache.store.patience = 30.0  # the machine may be busy
    return caches


async def test_corrupt_content_is_a_miss(redis_url):
    import redis

    (cache,) = in_redis(redis_url)
    await ask(cache)
    await asyncio.wait(cache.store._writes, timeout=10)
    assert (await ask(cache)).how == "exact"
    with redis.Redis.from_url(redis_url) as client:
        (key,) = client.keys("waypost:cache:*")
        assert 0 < client.ttl(key) <= 3600
        client.set(key, client.get(key)[:40])
    assert (await ask(cache)).answer is None
    await cache.close()


async def test_two_gateways_share_what_redis_keeps(redis_url):
    one, other = in_redis(redis_url, 2)
    await ask(one)
    await asyncio.wait(one.store._writes, timeout=10)
    assert (await ask(other)).how == "exact"
    assert (await ask(other, tenant="team:b")).answer is None
    await asyncio.gather(one.close(), other.close())
