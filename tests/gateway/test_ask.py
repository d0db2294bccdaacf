"""What a client may ask for, and which field is named when it may not."""

from __future__ import annotations

import pytest

from waypost.errors import BadRequest, UnknownModel
from waypost.gateway.apis.chat import Chat
from waypost.gateway.ask import parse
from waypost.objective import Objective

MESSAGES = [{"role": "user", "content": "Hi"}]
PROFILES = {"default": Objective(usd=5), "cheap": Objective(usd=500)}


def ask(headers=(), /, **body):
    return parse(Chat(), {"model": "auto", "messages": MESSAGES} | body, list(headers), ["small", "large"], PROFILES)


def test_what_is_not_ours_goes_to_the_model_untouched():
    asked = ask(temperature=0.2, vendor={"a": 1}, stream=True, seed=None, waypost={})
    assert asked.query.parameters == {"temperature": 0.2, "vendor": {"a": 1}}
    assert (asked.query.text, asked.stream) == ("Hi", True)


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        ("auto", Objective(usd=5)),
        ("auto:cheap", Objective(usd=500)),
        ("auto:default", Objective(usd=5)),
        ("small", None),
    ],
)
def test_a_model_is_a_name_or_a_profile_of_auto(model, objective):
    assert ask(model=model).objective == objective


@pytest.mark.parametrize(
    ("model", "close"), [("smal", "small"), ("auto:chep", "auto:cheap"), ("atuo", "auto"), ("large:cheap", "large")]
)
def test_an_unknown_model_is_told_with_the_nearest(model, close):
    with pytest.raises(UnknownModel, match=f"Did you mean .*'{close}'"):
        ask(model=model)


def test_wishes_change_the_profile_and_the_body_has_the_last_word():
    headers = [(b"x-waypost-seconds", b"2"), (b"x-waypost-usd", b"7"), (b"x-waypost-flags", b"smaller=0.2, local=1")]
    asked = ask(headers, model="auto:cheap", waypost={"usd": 9, "min_quality": 0.5})
    assert asked.objective == Objective(usd=9, seconds=2, min_quality=0.5, flags={"smaller": 0.2, "local": 1})
    assert ask([(b"x-waypost-allowed", b"small, large")]).objective.allowed == ("small", "large")
    assert ask([(b"x-waypost-bias", b"large=-0.2")]).objective.bias == {"large": -0.2}
    assert ask([(b"x-waypost-min-quality", b"0.5")]).objective.min_quality == 0.5


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ((b"x-waypost-usd", b"cheap"), "waypost.usd"),
        ((b"x-waypost-usd", b"nan"), "waypost.usd"),
        ((b"x-waypost-flags", b"local"), "waypost.flags"),
        ((b"x-waypost-flags", b"smaler=1"), "waypost.flags"),
        ((b"x-waypost-bias", b"large"), "waypost.bias"),
        ((b"x-waypost-allowed", b","), "waypost.allowed"),
        ((b"x-waypost-quallity", b"1"), "x-waypost-quallity"),
    ],
)
def test_a_bad_header_is_named(header, field):
    with pytest.raises(BadRequest) as error:
        ask([header])
    assert error.value.field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [*MESSAGES, {"content": "Hi"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stop": 5}, "stop"),
        ({"tools": {}}, "tools"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": 7}}, "response_format.type"),
        ({"tools": [1, 2]}, "tools"),
        ({"functions": 5}, "functions"),
        ({"stop": [1]}, "stop"),
        ({"seed": True}, "seed"),
        ({"stream_options": {"include_usage": "no"}}, "stream_options.include_usage"),
        ({"waypost": 5}, "waypost"),
        ({"waypost": {"usd": "x"}}, "waypost.usd"),
        ({"waypost": {"ussd": 1}}, "waypost.ussd"),
        ({"model": "small", "waypost": {"ussd": 1}}, "waypost.ussd"),
        ({"model": "small", "waypost": {"usd": 1}}, "waypost"),
        ({"api_base": "http://evil.example"}, "api_base"),
        ({"base_url": "http://evil.example"}, "base_url"),
        ({"api_key": "sk-1"}, "api_key"),
        ({"user_config": {"model_list": []}}, "user_config"),
        ({"extra_body": {"api_base": "http://evil.example"}}, "extra_body"),
        ({"extra_headers": {"authorization": "Bearer sk-1"}}, "extra_headers"),
    ],
)
def test_a_bad_field_is_named(body, field):
    with pytest.raises(BadRequest) as error:
        ask(**body)
    assert error.value.field == field
    assert field in str(error.value)


def test_headers_may_come_with_every_request_so_a_named_model_does_not_mind_them():
    assert ask([(b"x-waypost-usd", b"5")], model="small", waypost={}).objective is None


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({}, set()),
        ({"tools": []}, set()),
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": {"type": "json_schema"}}, {"json"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}, {"vision"}),
    ],
)
def test_what_a_request_needs_is_read_from_its_body(body, needs):
    assert ask(**body).query.needs == needs


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], {"model": "a" * 1_000_000}),
        ([], {"waypost": {"a" * 1_000_000: 1}}),
        ([], {"waypost": {"allowed": "a" * 1_000_000}}),
        ([], {"waypost": {"flags": {"a" * 1_000_000: 1}}}),
        ([], {"waypost": {"bias": ["a"] * 1_000_000}}),
        ([(b"x-waypost-" + b"a" * 60_000, b"1")], {}),
    ],
)
def test_a_long_word_of_a_client_is_told_in_a_short_sentence(headers, body):
    with pytest.raises((BadRequest, UnknownModel)) as caught:
        ask(headers, **body)
    assert len(str(caught.value)) < 500
