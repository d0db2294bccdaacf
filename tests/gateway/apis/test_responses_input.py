"""What a request to the Responses API becomes for a model that speaks chat."""

from __future__ import annotations

import pytest

from waypost.errors import BadRequest
from waypost.gateway.apis.responses_input import chat


def test_a_whole_conversation_with_calls_and_their_results_becomes_messages():
    said = chat(
        {
            "model": "auto",
            "instructions": "Be brief.",
            "input": [
                {"role": "developer", "content": "Use the tools."},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [
                        {"type": "output_text", "text": "I look ", "annotations": []},
                        {"type": "output_text", "text": "it up.", "annotations": []},
                    ],
                },
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"in":"Paris"}'},
                {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": '{"in":"Rome"}'},
                {"type": "function_call_output", "call_id": "c1", "output": "rain"},
                {
                    "type": "function_call_output",
                    "call_id": "c2",
                    "output": [{"type": "input_text", "text": "sun"}, {"type": "input_text", "text": "wind"}],
                },
                {"type": "function_call", "call_id": "c3", "name": "now", "arguments": "{}"},
            ],
        }
    )
    called = [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"in":"Paris"}'}},
        {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"in":"Rome"}'}},
    ]
    later = [{"id": "c3", "type": "function", "function": {"name": "now", "arguments": "{}"}}]
    assert said.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Use the tools."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look it up.", "tool_calls": called},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun\nwind"},
        {"role": "assistant", "content": None, "tool_calls": later},
    ]
    assert not said.foreign


def test_pictures_and_files_whose_content_is_sent_go_along():
    parts = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
    ]
    said = chat({"input": [{"role": "user", "content": parts}]})
    assert said.messages[0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
    ]
    assert not said.foreign


def test_tools_and_the_form_of_the_answer_are_said_as_chat_says_them():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    said = chat(
        {
            "input": "Hi",
            "tools": [{"type": "function", "name": "now", "description": "d", "parameters": schema, "strict": True}],
            "tool_choice": {"type": "function", "name": "now"},
            "parallel_tool_calls": False,
            "text": {"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}},
            "max_output_tokens": 30,
            "reasoning": {"effort": "low", "summary": "auto"},
            "temperature": 0.5,
            "vendor": {"of": "the provider"},
            "metadata": {"a": "b"},
            "store": True,
            "include": ["reasoning.encrypted_content"],
        }
    )
    function = {"name": "now", "description": "d", "parameters": schema, "strict": True}
    assert said.parameters == {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": schema, "strict": True},
        },
        "max_tokens": 30,
        "reasoning_effort": "low",
        "temperature": 0.5,
        "vendor": {"of": "the provider"},
    }
    assert not said.foreign


def test_a_choice_among_some_of_the_tools_leaves_the_others_out():
    tools = [{"type": "function", "name": name, "parameters": {}} for name in ("a", "b")]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]}
    said = chat({"input": "Hi", "tools": tools, "tool_choice": allowed})
    assert [tool["function"]["name"] for tool in said.parameters["tools"]] == ["b"]
    assert said.parameters["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"input": "Hi", "tools": [{"type": "web_search"}]}, "tools[0] of type 'web_search'"),
        ({"input": "Hi", "previous_response_id": "resp_1"}, "previous_response_id (what providers keep is not kept"),
        ({"previous_response_id": "resp_1"}, "send the whole input instead"),
        ({"input": "Hi", "conversation": "conv_1"}, "conversation (what providers keep is not kept here"),
        ({"input": "Hi", "background": True, "stream": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0] of type 'item_reference' (what providers"),
        ({"input": [{"type": "mcp_call", "id": "mcp_1"}]}, "input[0] of type 'mcp_call'"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
            "input[0].content[0] (a file at a provider: send its content",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "computer_screenshot"}]}]},
            "input[0].output[0] of type 'computer_screenshot'",
        ),
        ({"input": "Hi", "tool_choice": {"type": "mcp"}}, "tool_choice of type 'mcp'"),
        ({"input": "Hi", "text": {"format": {"type": "grammar"}}}, "text.format of type 'grammar'"),
    ],
)
def test_what_chat_cannot_say_is_named_and_left_to_models_that_speak_the_api(body, named):
    (told,) = chat(body).foreign
    assert named in told


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["Hi"]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 3}]}, "input[0].output"),
        ({"input": "Hi", "instructions": ["x"]}, "instructions"),
        ({"input": "Hi", "tools": {}}, "tools"),
        ({"input": "Hi", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "Hi", "text": "json"}, "text"),
        ({"input": "Hi", "text": {"format": "json"}}, "text.format"),
        ({"input": "Hi", "reasoning": "low"}, "reasoning"),
        ({"input": "Hi", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "Hi", "background": True}, "background"),
        ({"input": "Hi", "background": True, "stream": False}, "background"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(body, field):
    with pytest.raises(BadRequest) as error:
        chat(body)
    assert error.value.field == field


@pytest.mark.parametrize("name", [[], {}, None, 7])
def test_a_choice_among_tools_may_have_any_name_and_allows_what_it_names(name):
    tools = [{"type": "function", "name": "weather"}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"name": name}, {"name": "weather"}]}
    said = chat({"model": "auto", "input": "Hi", "tools": tools, "tool_choice": choice})
    assert [tool["function"]["name"] for tool in said.parameters["tools"]] == ["weather"]
