"""Bodies in, errors out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadRequest, Declined, ModelFailed, ModelTimeout, ProviderRefused, UnknownModel
from waypost.gateway.cache.control import NotKept
from waypost.gateway.wire import (
    MAX_DEPTH,
    Busy,
    ClientGone,
    TooLarge,
    error_body,
    error_headers,
    error_status,
    read_body,
    read_object,
)
from waypost.store.limits import BudgetSpent, LimitReached, Limits

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def receiver(*parts: bytes, end: bool = True):
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b""} if end else {"type": "http.disconnect"})
    read = []

    async def receive():
        read.append(1)
        return messages[len(read) - 1]

    return receive, read


@settings(max_examples=50, deadline=None)  # large ones take their time to make
@given(st.dictionaries(st.text(), json_values))
def test_every_object_is_read_as_it_was_written(value):
    assert read_object(json.dumps(value).encode()) == value


NO_OBJECTS = [b"", b"{", b"[]", b"12", b'"x"', b"null", b"\xff\xfe", b'{"a": NaN}', b"{'a': 1}"]
NO_VALUES = [b'"\xff"', b'"\\ud800"', b"1e999", b"-1e999", b"9" * 400, b"Infinity", b"01", b'"\0"']


@pytest.mark.parametrize("body", NO_OBJECTS + [b'{"a": %s}' % value for value in NO_VALUES])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(BadRequest) as error:
        read_object(body)
    assert error.value.field == "body"
    assert len(str(error.value)) < 200


def test_of_a_field_that_stands_twice_only_the_last_is_ever_seen_again():
    # What is checked is also what is sent on, written anew, so no one behind us can read the other.
    assert read_object(b'{"model": "cheap", "model": "dear"}') == {"model": "dear"}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 100_000])
@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_json_is_refused_shortly(depth, left, right):
    inner = left * (depth - 1) + b"1" + right * (depth - 1)
    with pytest.raises(BadRequest) as error:
        read_object(b'{"a":' + inner + b"}")
    assert len(str(error.value)) < 200


def test_wide_json_is_not_deep():
    assert len(read_object(b'{"a": [' + b",".join([b"[]"] * 5000) + b"]}")["a"]) == 5000


async def test_a_body_comes_in_pieces():
    receive, _ = receiver(b"ab", b"cd")
    assert await read_body(receive, 4) == b"abcd"


async def test_an_undeclared_length_is_refused_as_soon_as_it_is_too_much():
    receive, read = receiver(b"abc", b"def", b"ghi")
    with pytest.raises(TooLarge):
        await read_body(receive, 4)
    assert len(read) == 2


async def test_a_client_that_leaves_while_sending_is_gone():
    receive, _ = receiver(b"ab", end=False)
    with pytest.raises(ClientGone):
        await read_body(receive, 4)


@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (BadRequest("n", "must be a number"), 400, "invalid_request_error", "invalid_request_error"),
        (UnknownModel("a", ["b"]), 404, "invalid_request_error", "model_not_found"),
        (Busy("full"), 503, "server_error", "overloaded"),
        (ModelFailed("x"), 502, "server_error", "upstream_error"),
        (ModelFailed("x", upstream=500), 502, "server_error", "upstream_error"),
        (ModelFailed("x", upstream=401), 502, "server_error", "upstream_error"),
        (ModelFailed("x", upstream=429), 429, "invalid_request_error", "upstream_error"),
        (ModelFailed("x", upstream=400), 400, "invalid_request_error", "upstream_error"),
        (ModelTimeout("x"), 504, "server_error", "upstream_timeout"),
        (Declined("x"), 422, "invalid_request_error", "declined"),
    ],
)
def test_each_error_has_its_status_and_openai_s_shape(error, status, type_, code):
    body = error_body(error)["error"]
    assert (error_status(error), body["type"], body["code"]) == (status, type_, code)
    assert set(body) == {"message", "type", "param", "code"}


def test_where_a_provider_has_judged_the_request_its_code_is_told():
    told = {"code": "context_length_exceeded", "param": "messages"}
    judged = error_body(ModelFailed("too long", upstream=400, **told))["error"]
    assert (judged["code"], judged["param"]) == ("context_length_exceeded", "messages")
    ours = error_body(ModelFailed("no such deployment", upstream=404, **told))["error"]
    assert (ours["code"], ours["param"]) == ("upstream_error", None)


def test_what_is_in_vain_is_not_to_be_tried_again():
    """OpenAI's and Anthropic's clients try 429 and 5xx again by themselves."""
    for error in (ProviderRefused("no"), NotKept(), BudgetSpent("key:k", Limits(usd=1.0), 0.0, 1.0)):
        assert (b"x-should-retry", b"false") in error_headers(error)
    for error in (ModelFailed("down"), Busy("full"), LimitReached("key:k", "may not", 1.0, limit="requests")):
        assert b"x-should-retry" not in dict(error_headers(error))


def test_retry_after_is_whole_seconds_and_never_too_soon():
    assert error_headers(ModelFailed("x", upstream=429, retry_after=1.2)) == [(b"retry-after", b"2")]
    assert error_headers(ModelFailed("x")) == []
