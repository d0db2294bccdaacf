"""Which requests are one conversation, whose it is, and how long its models know it."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.gateway.choice.sessions import Sessions
from waypost.gateway.remote import Remote
from waypost.pool.secret import Secret
from waypost.types import Answer, ModelCard, Query

CACHED = ModelCard("m", 1.0, 2.0, usd_per_mtok_cached=0.1)
WRITTEN = ModelCard("w", 1.0, 2.0, usd_per_mtok_cached=0.1, usd_per_mtok_written=1.25)
TEXTS = st.text(max_size=30)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def turns(*texts: str, **parameters: object) -> Query:
    roles = ["user", "assistant"] * len(texts)
    return Query(
        tuple({"role": role, "content": text} for role, text in zip(roles, texts, strict=False)), dict(parameters)
    )


@settings(max_examples=40)
@given(TEXTS, TEXTS, st.sampled_from(["key:1", "key:12", "anyone"]), st.sampled_from(["key:2", "key:1\0"]), TEXTS)
def test_no_two_tenants_ever_share_a_session(opening, told, tenant, other, key) -> None:
    sessions = Sessions(300.0)
    header = [(b"x-waypost-session", told.encode())] if told else []
    query = turns(opening, prompt_cache_key=key) if key else turns(opening)
    mine = sessions.of(tenant, query, header)
    assert mine != sessions.of(other, query, header)
    # Whatever another tenant says, even with what divides our words in it.
    assert mine != sessions.of("key:9", turns(f"{tenant}\0{opening}"), [])


@given(st.lists(TEXTS, min_size=2, max_size=6))
def test_a_conversation_is_known_again_however_far_it_has_gone(texts) -> None:
    sessions = Sessions(300.0)
    assert len({sessions.of("t", turns(*texts[:length]), []) for length in range(1, len(texts) + 1)}) == 1


def test_the_header_goes_before_the_cache_key_and_that_before_the_opening() -> None:
    sessions = Sessions(300.0)
    named = [(b"x-waypost-session", b"one")]
    assert sessions.of("t", turns("a", prompt_cache_key="k"), named) == sessions.of("t", turns("b"), named)
    assert sessions.of("t", turns("a", prompt_cache_key="k"), []) == sessions.of(
        "t", turns("b", prompt_cache_key="k"), []
    )
    assert sessions.of("t", turns("a"), []) != sessions.of("t", turns("b"), [])
    assert sessions.of("t", turns("a", prompt_cache_key=["odd"]), []) == sessions.of("t", turns("a"), [])


def test_a_system_prompt_is_part_of_the_opening() -> None:
    sessions = Sessions(300.0)
    first, second = (
        Query(({"role": "system", "content": text}, {"role": "user", "content": "Hi"})) for text in ("Be brief", "Sing")
    )
    assert sessions.of("t", first, []) != sessions.of("t", second, [])


def test_a_cache_is_forgotten_when_its_time_is_over_and_kept_by_use() -> None:
    clock = Clock()
    sessions = Sessions(300.0, clock=clock)
    sessions.put("s", CACHED, Answer("m", tokens_in=2000, tokens_out=10))
    clock.now = 299.0
    assert sessions.cached("s") == {"m": 2010}
    sessions.put("s", CACHED, Answer("m", tokens_in=3000, tokens_out=10))
    clock.now = 500.0
    assert sessions.cached("s") == {"m": 3010}
    clock.now = 599.0
    assert sessions.cached("s") == {}


@pytest.mark.parametrize(
    ("card", "answer", "cached"),
    [
        (CACHED, Answer("m", tokens_in=1000, tokens_out=20), {}),  # less than providers begin with
        (ModelCard("m", 1.0, 2.0), Answer("m", tokens_in=9000), {}),  # no price of its own
        (WRITTEN, Answer("w", tokens_in=9000, tokens_out=500), {}),  # nobody has asked it to
        (WRITTEN, Answer("w", tokens_in=9000, tokens_cached=5000, tokens_written=1000), {"w": 6000}),
    ],
)
def test_only_what_a_provider_has_cached_counts(card, answer, cached) -> None:
    sessions = Sessions(300.0)
    sessions.put("s", card, answer)
    assert sessions.cached("s") == cached


def test_the_latest_conversations_are_remembered_and_no_more() -> None:
    sessions = Sessions(300.0, most=2)
    for session in ("a", "b", "a", "c"):
        sessions.put(session, CACHED, Answer("m", tokens_in=2000))
    assert [bool(sessions.cached(session)) for session in "abc"] == [True, False, True]


@pytest.fixture
async def two(redis_url):
    """The sessions of two gateways on one Redis, whose own clocks began at different times."""
    both = [
        Sessions(
            300.0,
            clock=lambda began=began: time.monotonic() - began,
            remote=Remote(Secret(redis_url), "sessions", patience=30),  # this machine may be busy
        )
        for began in (0.0, 5000.0)
    ]
    yield both
    for sessions in both:
        await sessions.close()


async def written(sessions: Sessions) -> None:
    """Wait until what was put is in Redis."""
    if sessions.remote._writes:
        await asyncio.wait(sessions.remote._writes, timeout=30)


async def test_what_one_gateway_notes_another_recalls(two) -> None:
    one, other = two
    session = one.of("t", turns("Hi there"), [])
    one.put(session, CACHED, Answer("m", tokens_in=2000, tokens_out=10))
    await written(one)
    assert other.cached(session) == {}
    await other.recall(session)
    assert other.cached(session) == {"m": 2010}
    other.put(session, WRITTEN, Answer("w", tokens_in=2000, tokens_out=10, tokens_cached=500, tokens_written=1000))
    await written(other)
    await one.recall(session)
    assert one.cached(session) == other.cached(session) == {"m": 2010, "w": 1500}


async def test_of_two_notes_the_later_counts_and_both_end_when_they_would_have(two) -> None:
    one, other = two
    session = one.of("t", turns("Good evening"), [])
    one.put(session, CACHED, Answer("m", tokens_in=2000))
    await written(one)
    await other.recall(session)
    other.put(session, CACHED, Answer("m", tokens_in=9000))
    await other.recall(session)
    assert other.cached(session) == {"m": 9000}
    (_, until), (_, also) = (sessions._known[session]["m"] for sessions in two)
    assert also + 5000.0 == pytest.approx(until, abs=5)  # seconds of 300, by the clock of one


async def test_notes_of_two_gateways_at_once_are_both_kept(two) -> None:
    one, other = two
    session = one.of("t", turns("Good day"), [])
    one.put(session, CACHED, Answer("m", tokens_in=2000))
    other.put(session, WRITTEN, Answer("w", tokens_in=3000, tokens_cached=1500))
    await asyncio.gather(written(one), written(other))
    for sessions in two:
        await sessions.recall(session)
        assert sessions.cached(session) == {"m": 2000, "w": 1500}


async def test_a_note_is_good_for_no_longer_than_this_gateway_says_whatever_another_s_clock(two, redis_url) -> None:
    ahead, _ = two
    ahead.wall = lambda: time.time() + 3600
    session = ahead.of("t", turns("Good afternoon"), [])
    ahead.put(session, CACHED, Answer("m", tokens_in=2000))
    await written(ahead)
    clock = Clock()
    brief, never = (
        Sessions(seconds, clock=clock, remote=Remote(Secret(redis_url), "sessions", patience=30))
        for seconds in (10.0, 0.0)
    )
    for sessions in (brief, never):
        await sessions.recall(session)
    assert brief.cached(session) == {"m": 2000} and never.cached(session) == {}
    clock.now = 10.0
    assert brief.cached(session) == {}
    await asyncio.gather(brief.close(), never.close())


async def test_what_is_no_note_is_passed_over_and_drives_nothing_out(two) -> None:
    one, other = two
    other.most = 1
    kept, session = (one.of("t", turns(text), []) for text in ("Good night", "Farewell"))
    other.put(kept, CACHED, Answer("m", tokens_in=2000))
    later = time.time() + 100
    for strange in (
        *(b"[]", b"{}", b"not JSON", b"[1]", b"7", b"null", b'"m1"'),
        *(b"[%b, %f]" % (tokens, later) for tokens in (b"-5", b"0", b"1e300", b"true", b'"many"', b"1.5", b"9" * 30)),
        *(b"[2000, %b]" % until for until in (b"0.5", b"null", b'"nan"', b"true", b"{}", b"5")),
    ):
        one.remote.put_field(bytes.fromhex(session), "m", strange, 60)
        await written(one)
        await other.recall(session)
        assert other.cached(session) == {}, strange
        assert other.cached(kept) == {"m": 2000}


async def test_a_redis_that_says_nothing_holds_up_no_conversation() -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # accepts, and never says a word
        sessions = Sessions(300.0, remote=Remote(Secret(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"), "sessions"))
        session = sessions.of("t", turns("Hi"), [])
        start = time.perf_counter()
        for _ in range(50):
            await sessions.recall(session)
            sessions.put(session, CACHED, Answer("m", tokens_in=2000))
        assert time.perf_counter() - start < 2  # on a machine that is busy; a wait for each would take longer
        assert sessions.cached(session) == {"m": 2000}
        await sessions.close()
