"""A key's secret is known to its owner only."""

from __future__ import annotations

import re

from waypost.store.keys import Key, digest, new_secret


def test_secrets_are_long_random_and_safe_in_a_header():
    made = {new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"wp-[A-Za-z0-9_-]{43}", secret) for secret in made)


def test_a_key_says_nothing_of_its_secret():
    secret = new_secret()
    key = Key("k1", "laptop", digest(secret))
    assert secret not in repr(key) and key.digest not in repr(key)


def test_a_disabled_or_expired_key_is_not_valid():
    assert Key("k1", "laptop", "").valid(now=1e12)
    assert not Key("k1", "laptop", "", disabled=True).valid(now=0.0)
    assert not Key("k1", "laptop", "", expires=10.0).valid(now=10.0)
