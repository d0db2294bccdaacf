"""Keys are kept without their secrets, and come back as they were made."""

from __future__ import annotations

import pytest

from waypost.store.database import Database
from waypost.store.keys import digest
from waypost.store.keystore import KeyStore, UnknownKey
from waypost.store.limits import Limits


@pytest.fixture
def keys(store):
    database = Database(store)
    yield KeyStore(database)
    database.close()


def test_a_key_comes_back_as_it_was_made(keys):
    limits = Limits(requests_per_minute=60, tokens_per_minute=10_000_000_000, parallel=2, usd=50.0, per="month")
    full, secret = keys.create("laptop", team="red", models=["small", "large"], limits=limits, expires=1e10)
    plain, other = keys.create("ci")
    assert keys.find_all() == {digest(secret): full, digest(other): plain}
    assert [key.name for key in keys.list()] == ["laptop", "ci"]
    assert (full.models, full.limits, full.team) == (("small", "large"), limits, "red")
    assert (plain.models, plain.limits, plain.expires) == (None, Limits(), None)


def test_no_model_is_not_all_models(keys):
    _, secret = keys.create("nothing", models=[])
    assert keys.find_all()[digest(secret)].models == ()


def test_a_revoked_key_is_disabled_and_a_rotated_one_has_another_secret(keys):
    revoked, _ = keys.create("a")
    rotated, old = keys.create("b")
    keys.revoke(revoked.id)
    new = keys.rotate(rotated.id)
    found = {key.id: key for key in keys.list()}
    assert found[revoked.id].disabled and not found[rotated.id].disabled
    assert found[rotated.id].digest == digest(new) and digest(old) not in keys.find_all()


def test_an_id_that_no_key_has_is_told_with_the_nearest(keys):
    key, _ = keys.create("a")
    for change in (keys.revoke, keys.rotate):
        with pytest.raises(UnknownKey, match=f"no key has the id '{key.id}x'.*Did you mean '{key.id}'"):
            change(f"{key.id}x")


def test_no_secret_is_in_the_file(tmp_path):
    database = Database(tmp_path / "rows.sqlite")
    keys = KeyStore(database)
    key, first = keys.create("laptop")
    second = keys.rotate(key.id)
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert digest(second).encode() in stored
    for secret in (first, second):
        assert not any(secret[start : start + 8].encode() in stored for start in range(len("wp-"), len(secret) - 7))
    database.close()
