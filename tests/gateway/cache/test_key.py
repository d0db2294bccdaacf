from dataclasses import replace

import pytest

from waypost.gateway.apis.chat import Chat
from waypost.gateway.ask import Ask, parse
from waypost.gateway.cache.key import IGNORED, LIVE, same
from waypost.objective import Objective
from waypost.types import Native, Query

QUESTION = {"role": "user", "content": "What is the capital of France?"}
PROFILES = {"default": Objective(), "cheap": Objective(usd=1000)}


def asked(**fields) -> Ask:
    body = {"model": "small", "messages": [QUESTION], **fields}
    return parse(Chat(), body, [], ["small", "large"], PROFILES)


def exact(ask: Ask, tenant: str = "team:a") -> bytes:
    found = same(tenant, ask)
    assert found is not None
    return found.exact


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "large"},
        {"model": "auto"},
        {"model": "auto:cheap"},
        {"model": "auto", "waypost": {"usd": 3}},
        {"messages": [{"role": "user", "content": "What is the capital of Spain?"}]},
        {
            "messages": [
                {"role": "system", "content": "Hi"},
                {"role": "user", "content": "What is the capital of France?"},
            ]
        },
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"seed": 1},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"never_heard_of": 1},
    ],
    ids=str,
)
def test_whatever_can_change_an_answer_makes_another_key(fields):
    assert exact(asked(**fields)) != exact(asked())


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "u-1"},
        {"metadata": {"trace": "7"}},
        {"store": False},
        {"safety_identifier": "s"},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"temperature": None},
    ],
    ids=str,
)
def test_what_cannot_change_an_answer_makes_the_same_key(fields):
    assert exact(asked(**fields)) == exact(asked())


def test_the_fields_left_out_are_all_tried_above():
    assert {
        "stream", "stream_options", "user", "metadata", "store", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention",
    } == IGNORED  # fmt: skip


def test_the_order_in_which_fields_were_written_does_not_matter():
    one = asked(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}, seed=1)
    other = asked(seed=1, response_format={"json_schema": {"schema": {}, "name": "a"}, "type": "json_schema"})
    assert exact(one) == exact(other)


def test_tenants_that_differ_in_their_last_character_share_nothing():
    digest = "f" * 63
    assert exact(asked(), digest + "0") != exact(asked(), digest + "1")
    groups = {same(digest + end, asked(), by_meaning=True).group for end in "01"}
    assert len(groups) == 2 and None not in groups


def test_another_api_is_another_key_and_its_body_counts():
    body = {"model": "small", "input": "Hi", "store": True}
    query = Query(({"role": "user", "content": "Hi"},), native=Native("responses", body))
    responses = replace(asked(), query=query)
    other = replace(responses, query=replace(query, native=Native("completions", body)))
    louder = replace(responses, query=replace(query, native=Native("responses", {**body, "input": "Hi!"})))
    assert len({exact(responses), exact(other), exact(louder)}) == 3


def test_a_header_that_the_provider_gets_makes_another_key():
    query = Query(({"role": "user", "content": "Hi"},), native=Native("messages", {"max_tokens": 9}))
    betas = ("files-api-2025-04-14", "context-1m-2025-08-07")
    found = [replace(query.native, headers={"anthropic-beta": beta}) for beta in betas]
    asks = [replace(asked(), query=replace(query, native=native)) for native in (query.native, *found)]
    assert len({exact(ask) for ask in asks}) == 3


@pytest.mark.parametrize("field", sorted(LIVE))
def test_an_answer_that_depends_on_more_than_the_request_has_no_key(field):
    assert same("t", asked(**{field: {"any": "thing"}})) is None


def test_a_tool_that_the_provider_runs_has_no_key():
    assert same("t", asked(tools=[{"type": "web_search"}])) is None
    assert same("t", asked(tools=[{"type": "function", "function": {"name": "f"}}])) is not None


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
]


def group(**fields) -> bytes | None:
    return same("t", asked(**fields), by_meaning=True).group


def test_only_the_last_turn_may_differ_for_an_answer_by_meaning():
    def ending(text, start=CONVERSATION):
        return group(messages=[*start, {"role": "user", "content": text}], temperature=0)

    assert ending("Who are you?") == ending("What are you?") is not None
    assert ending("Who are you?") != ending("Who are you?", start=CONVERSATION[1:])
    assert ending("Who are you?") != group(messages=[*CONVERSATION, {"role": "user", "content": "Who are you?"}])


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"functions": [{"name": "f"}]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"n": 2},
        {"never_heard_of": 1},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "He"}]},
        {"messages": [{"role": "user", "content": "Hi", "name": "Ann"}]},
        {"messages": [{"role": "user", "content": "word " * 500}]},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_what_is_never_answered_by_its_meaning(fields):
    assert group(**fields) is None


@pytest.mark.parametrize("type", [[], {}, [{}], True])
def test_a_tool_of_no_type_that_there_is_has_no_key(type):
    assert same("team:a", asked(tools=[{"type": type}])) is None
