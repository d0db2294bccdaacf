"""Who is taken for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from waypost.gateway.callers.identity import Caller, Identity, ModelNotAllowed, Unauthorized
from waypost.gateway.wire import Busy
from waypost.store.keys import Key, digest, new_secret
from waypost.store.limits import Limits

SECRET = new_secret()
KEY = Key("k1", "laptop", digest(SECRET), team="research", limits=Limits(usd=5.0))
TEAM = Limits(requests_per_minute=10, usd=50.0)


def identity(*keys: Key, mode="required", **settings) -> Identity:
    return Identity(mode, {key.digest: key for key in keys or (KEY,)}, {"research": TEAM}, **settings)


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer " + SECRET.encode()),
        (b"authorization", b"bearer  " + SECRET.encode() + b" "),
        (b"x-api-key", SECRET.encode()),
    ],
)
def test_a_key_is_found_in_the_headers_that_clients_send(header) -> None:
    caller = identity().caller([(b"host", b"x"), header])
    assert caller.key == KEY
    assert caller.tenant == "key:k1"
    assert caller.payers == (("key:k1", KEY.limits), ("team:research", TEAM))
    assert caller.rates == (("team:research", TEAM),)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Basic " + SECRET.encode())],
        [(b"authorization", b"Bearer ")],
        [(b"x-api-key", b"")],
        [(b"authorization", b"Bearer " + SECRET[:-1].encode())],
        [(b"authorization", b"Bearer " + SECRET.encode() * 1000)],
        [(b"authorization", b"Bearer \xff\x00' OR 1=1 --")],
        [(b"x-api-key", KEY.digest.encode())],
    ],
)
def test_anything_else_is_refused_without_a_word_of_what_was_sent(headers) -> None:
    with pytest.raises(Unauthorized) as refused:
        identity().caller(headers)
    assert SECRET[:10] not in str(refused.value)
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")


def test_only_who_has_the_secret_hears_what_is_wrong_with_a_key() -> None:
    sent = [(b"x-api-key", SECRET.encode())]
    expired = Key("k1", "old", digest(SECRET), expires=100.0)
    revoked = Key("k1", "old", digest(SECRET), disabled=True)
    assert identity(expired, clock=lambda: 99.0).caller(sent).key == expired
    with pytest.raises(Unauthorized, match="'k1' has expired"):
        identity(expired, clock=lambda: 100.0).caller(sent)
    with pytest.raises(Unauthorized, match="'k1' was revoked"):
        identity(revoked).caller(sent)


def test_a_key_that_expires_while_it_is_used_is_refused_from_then_on() -> None:
    now = [0.0]
    door = identity(Key("k1", "x", digest(SECRET), expires=100.0), clock=lambda: now[0])
    sent = [(b"x-api-key", SECRET.encode())]
    assert door.caller(sent) is door.caller(sent)
    now[0] = 101.0
    with pytest.raises(Unauthorized):
        door.caller(sent)


def test_off_asks_nobody_and_optional_refuses_wrong_keys_only() -> None:
    assert identity(mode="off").caller([(b"x-api-key", b"unused")]) == Caller(None)
    assert identity(mode="optional").caller([]) == Caller(None)
    assert identity(mode="optional").caller([(b"x-api-key", SECRET.encode())]).key == KEY
    with pytest.raises(Unauthorized):
        identity(mode="optional").caller([(b"x-api-key", b"unused")])


def test_changed_limits_of_a_key_are_in_force_at_once_and_are_told() -> None:
    known, met = {KEY.digest: KEY}, []
    door = Identity("required", known, {}, met=met.append)
    sent = [(b"x-api-key", SECRET.encode())]
    door.caller(sent)
    known[KEY.digest] = Key("k1", "laptop", KEY.digest, limits=Limits(usd=9.0))
    assert door.caller(sent).payers == (("key:k1", Limits(usd=9.0)),)
    assert [caller.payers[0][1].usd for caller in met] == [5.0, 9.0]


def test_keys_that_could_not_be_read_yet_are_the_server_s_fault() -> None:
    class Ring:
        loaded = False

        def get(self, digest: str) -> None:
            return None

    with pytest.raises(Busy, match="cannot be read yet"):
        Identity("required", Ring()).caller([(b"x-api-key", SECRET.encode())])


def test_a_model_that_is_not_the_key_s_is_refused_with_those_that_are() -> None:
    caller = Caller(Key("k1", "x", "d", models=("small", "large")))
    caller.check("small")
    with pytest.raises(ModelNotAllowed, match="may not call 'huge'; it may call small, large"):
        caller.check("huge")
    Caller(None).check("huge")


def test_a_team_that_the_config_does_not_know_is_told_once(caplog):
    strange = replace(KEY, team="reserch")
    again = replace(strange, id="k2", digest=digest("wp-another-secret"))
    identity = Identity("required", {key.digest: key for key in (strange, again)}, {"research": TEAM})
    for secret in (SECRET, "wp-another-secret", SECRET):
        assert identity.caller([(b"x-api-key", secret.encode())]).payers
    assert caplog.text.count("is of the team 'reserch', which has no limits") == 1
    assert "Did you mean 'research'?" in caplog.text
