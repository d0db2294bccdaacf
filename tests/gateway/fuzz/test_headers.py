"""Headers with anything in them: a wish is understood or refused by its name, and a wrong key is only a wrong key."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waypost.gateway.ask import WISHES

CHAT = "/v1/chat/completions"
ASKED = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What is 15% of 80?"}]}).encode()
# What HTTP allows in a value: no control character but the tab, and every byte above.
VALUES = st.binary(max_size=40).map(lambda raw: bytes(b for b in raw if b == 9 or (b > 31 and b != 127)))
NUMBERS = st.one_of(
    st.sampled_from(["nan", "inf", "-inf", "1e999", "-0", "0x10", "1_0", "١", "", "1e15", "1e16", "5e-324"]),
    st.floats().map(str),
    st.integers().map(str),
)
WORDS = st.one_of(
    VALUES,
    NUMBERS.map(str.encode),
    st.lists(
        st.sampled_from(["arithmetic", "chat", "local", "open", "nobody", "", "=", "arithmetic=1", "local=x=2"])
    ).map(lambda words: ",".join(words).encode()),
)
NAMES = st.one_of(
    st.sampled_from([f"x-waypost-{name.replace('_', '-')}" for name in WISHES]),
    st.sampled_from(["x-waypost-cache", "x-waypost-session", "X-Waypost-USD", "x-waypost-", "x-waypost-min_quality"]),
    st.text(st.sampled_from("abz-_09."), max_size=80).map(lambda name: f"x-waypost-{name}"),
    st.sampled_from(["cache-control", "anthropic-version", "anthropic-beta", "accept", "content-type"]),
)


def test_a_wish_is_understood_or_refused_by_its_name(fuzzed, client, search, sound) -> None:
    asking = client(fuzzed())

    @search(300)
    @given(st.dictionaries(NAMES, WORDS, max_size=3))
    @example({"x-waypost-budget": b"5e-324"})
    @example({"x-waypost-" + "a" * 5000: b"1"})
    def one(headers: dict[str, bytes]) -> None:
        reply = asking.ask(CHAT, ASKED, headers)
        if reply.status == 504:  # as HTTP has it for an answer that is wanted from the cache only
            assert reply.error["code"] == "not_cached"
            return
        sound(reply, CHAT)
        if reply.status == 400:
            assert reply.error["param"], reply.error

    one()


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/models", "/v1/decisions/" + "0" * 24])
def test_a_wrong_key_is_refused_whatever_it_is(fuzzed, client, search, sound, path: str) -> None:
    asking = client(fuzzed("keys: required"))
    secrets = st.one_of(VALUES, st.text(st.sampled_from("wp-Bearer \t,="), max_size=60).map(str.encode))

    @search(60)
    @given(
        st.dictionaries(
            st.sampled_from(["authorization", "Authorization", "x-api-key", "X-API-Key", "proxy-authorization"]),
            st.builds(bytes.__add__, st.sampled_from([b"", b"Bearer ", b"bearer\t", b"Basic "]), secrets),
            max_size=3,
        )
    )
    @example({"authorization": b"Bearer " + b"x" * 20_000})
    def one(headers: dict[str, bytes]) -> None:
        reply = asking.ask(path, ASKED if path in (CHAT, "/v1/messages") else None, headers)
        sound(reply, path)
        assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        for value in headers.values():
            assert len(value) < 12 or value.strip() not in reply.body

    one()
