"""Messages requests in chat shape: whatever a client may write, told to models that speak another API."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadRequest
from waypost.gateway.apis.messages_request import chat, counted, native

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}


def asked(*messages, **fields):
    turns = [{"role": "user", "content": m} if isinstance(m, str | list) else m for m in messages or ["Hi"]]
    return {"model": "auto", "max_tokens": 100, "messages": turns, **fields}


def turns(*messages, **fields):
    return chat(asked(*messages, **fields)).body["messages"]


def test_a_plain_question_is_one():
    assert chat(asked("Hi", stream=True, waypost={"usd": 3})).body == {
        "model": "auto",
        "stream": True,
        "waypost": {"usd": 3},
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    }


@pytest.mark.parametrize(
    ("system", "told"),
    [
        ("Be kind.", "Be kind."),
        (
            [
                {"type": "text", "text": "Be kind."},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            ],
            "Be kind.\n\nBe brief.",
        ),
    ],
)
def test_the_system_prompt_is_the_first_message_and_one_text(system, told):
    assert turns(system=system) == [{"role": "system", "content": told}, {"role": "user", "content": "Hi"}]
    assert turns(system=[]) == [{"role": "user", "content": "Hi"}]


def test_sampling_stops_and_the_user_have_their_names_in_chat():
    body = chat(
        asked(temperature=0.3, top_p=0.9, top_k=40, stop_sequences=["END", "STOP"], metadata={"user_id": "u-1"})
    ).body
    told = {name: body[name] for name in ("temperature", "top_p", "top_k", "stop", "user")}
    assert told == {"temperature": 0.3, "top_p": 0.9, "top_k": 40, "stop": ["END", "STOP"], "user": "u-1"}


def test_a_user_longer_than_openai_takes_is_told_by_a_fingerprint_that_stays_the_same():
    long = asked(metadata={"user_id": "user_" + "ab" * 60})
    assert len(chat(long).body["user"]) == 64
    assert (
        chat(long).body["user"] == chat(long).body["user"] != chat(asked(metadata={"user_id": "x" * 99})).body["user"]
    )


def test_what_only_some_models_bear_is_left_out_and_not_missed():
    done = chat(
        asked(thinking={"type": "enabled", "budget_tokens": 4096}, output_config={"effort": "high"}, speed="fast")
    )
    assert done.foreign == []
    assert set(done.body) == {"model", "max_tokens", "messages"}


def test_pictures_and_documents_become_parts():
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": PIXEL},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        },
        {"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "Ink."}},
    ]
    assert turns(content)[0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "text", "text": "Notes"},
        {"type": "text", "text": "Ink."},
    ]


def test_texts_alone_become_one_text_since_some_servers_take_no_parts():
    blocks = [{"type": "text", "text": "<reminder>Be brief.</reminder>"}, {"type": "text", "text": "Fix it."}]
    found = {"type": "search_result", "title": "T", "source": "s", "content": [{"type": "text", "text": "Hit."}]}
    inside = {"type": "content", "content": [{"type": "text", "text": "Page."}]}
    assert turns(blocks) == [{"role": "user", "content": "<reminder>Be brief.</reminder>\n\nFix it."}]
    assert turns([found, {"type": "document", "source": inside}])[0]["content"] == "T\ns\nHit.\n\nPage."


def test_tools_and_the_choice_among_them():
    tool = {"name": "read", "description": "Reads.", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}
    plain = {"type": "custom", "name": "now", "input_schema": {"type": "object"}, "strict": True}
    body = chat(asked(tools=[tool, plain], tool_choice={"type": "any", "disable_parallel_tool_use": True})).body
    assert [t["function"] for t in body["tools"]] == [
        {"name": "read", "parameters": SCHEMA, "description": "Reads."},
        {"name": "now", "parameters": {"type": "object"}, "strict": True},
    ]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    choices = [{"type": "auto"}, {"type": "none"}, {"type": "tool", "name": "read"}]
    assert [chat(asked(tools=[tool], tool_choice=c)).body["tool_choice"] for c in choices] == [
        "auto",
        "none",
        {"type": "function", "function": {"name": "read"}},
    ]


def test_calls_and_their_results_keep_their_order_and_ids():
    calls = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Which file?", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "text", "text": "Reading."},
            {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.py"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ],
    }
    results = [
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [{"type": "text", "text": "x = 1"}, {"type": "image", "source": PIXEL}],
        },
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no clock", "is_error": True},
        {"type": "text", "text": "Go on."},
    ]
    told = turns("Go", calls, results)
    assert told[1]["content"] == "Reading."
    assert [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in told[1]["tool_calls"]
    ] == [
        ("toolu_1", "read", {"path": "a.py"}),
        ("toolu_2", "now", {}),
    ]
    assert told[2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "x = 1"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: no clock"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
                {"type": "text", "text": "Go on."},
            ],
        },
    ]


def test_a_turn_of_results_alone_adds_no_empty_words():
    result = {"type": "tool_result", "tool_use_id": "toolu_1"}
    assert turns([result]) == [{"role": "tool", "tool_call_id": "toolu_1", "content": ""}]


def test_a_form_of_the_answer_is_asked_for_in_chats_way():
    body = chat(asked(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})).body
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA, "strict": True}


@pytest.mark.parametrize(
    ("fields", "foreign"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"mcp_servers": [{"type": "url", "url": "https://example.com"}]}, "mcp_servers"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "messages[0].content[0].source",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "input": {}}]}]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]}]},
            "messages[0].content[0].source",
        ),
    ],
)
def test_what_only_anthropics_api_has_is_named(fields, foreign):
    assert chat(asked(**fields)).foreign == [foreign]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": 3}]}]},
            "messages[0].content[0].source",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": 3}]}]},
            "messages[0].content[0].content",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": 3}]}]},
            "messages[0].content[0].name",
        ),
        ({"system": 3}, "system"),
        ({"system": ["Be kind."]}, "system[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": ["read"]}, "tools[0]"),
        ({"tools": [{"name": "read"}]}, "tools[0]"),
        ({"tools": [{"name": "read", "input_schema": SCHEMA}], "tool_choice": {"type": "often"}}, "tool_choice.type"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"metadata": "me"}, "metadata"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_as_the_client_wrote_it(fields, field):
    with pytest.raises(BadRequest) as caught:
        chat(asked(**fields))
    assert caught.value.field == field


def test_anthropics_own_api_gets_the_body_untouched():
    body = asked(
        "Hi",
        system=[{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
        thinking={"type": "adaptive"},
    )
    assert native(body | {"waypost": {"usd": 1}}) == body


def test_thoughts_of_other_models_are_not_shown_to_anthropics_api_which_would_refuse_them():
    signed, unsigned = ({"type": "thinking", "thinking": "Hm.", "signature": s} for s in ("c2ln", ""))
    said = {"type": "text", "text": "Yes."}
    history = [{"role": "assistant", "content": blocks} for blocks in ([signed, said], [unsigned, said], [unsigned])]
    told = native(asked("Hi", *history))["messages"]
    assert [m["content"] for m in told] == ["Hi", [signed, said], [said]]


def test_tokens_are_counted_of_all_that_a_model_reads():
    schema = {"name": "read", "description": "d" * 400, "input_schema": SCHEMA}
    few, more = counted(asked("Hi")), counted(asked("x" * 4000, system="y" * 4000, tools=[schema]))
    assert few <= 2
    assert 2100 <= more <= 2200
    assert 1600 < counted(asked([{"type": "image", "source": PIXEL | {"data": "A" * 100_000}}])) < 1700


NAMES = ["type", "text", "content", "source", "data", "media_type", "url", "title", "id", "name", "input", "role"]
NAMES += ["tool_use_id", "is_error", "thinking", "signature", "input_schema", "schema", "format", "user_id"]
WORDS = [
    "text",
    "image",
    "document",
    "search_result",
    "tool_use",
    "tool_result",
    "thinking",
    "base64",
    "url",
    "content",
]
WORDS += ["user", "assistant", "system", "tool", "any", "custom", "é"]
leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.sampled_from(WORDS)
named = st.dictionaries(st.sampled_from(NAMES), leaves, max_size=4)
things = leaves | named | st.lists(leaves | named, max_size=2)
blocks = st.builds(
    lambda type, more: {**more, "type": type},
    st.sampled_from(WORDS),
    st.dictionaries(st.sampled_from(NAMES), things, max_size=4),
)
turns_of_any_kind = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(blocks, max_size=3) | things}
)
FIELDS = ["messages", "system", "tools", "tool_choice", "max_tokens", "stop_sequences", "metadata", "output_config"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), things, max_size=2), st.lists(turns_of_any_kind, max_size=2))
def test_whatever_is_sent_is_translated_or_refused_with_the_fields_name(fields, messages):
    body = {"max_tokens": 9, "messages": messages, **fields}
    try:
        done = chat(body)
    except BadRequest as error:
        assert error.field.split("[")[0].split(".")[0] in body
        return
    json.dumps(done.body)
    native(body)
    assert counted(body) >= 1
