import json

import pytest

from waypost.outcomes.readers._requests import Unusable, answer_of, has_system, parsed, prompt_of


def user(content):
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [user("Hi")]},
        {"messages": [{"role": "system", "content": "Be kind"}, user([{"type": "text", "text": "Hi"}])]},
        {"prompt": "Hi"},
        {"input": "Hi", "instructions": "Be kind"},
        {"input": [user([{"type": "input_text", "text": "Hi"}])]},
        [user("Hi")],
        "Hi",
    ],
)
def test_the_prompt_of_each_api_is_found(body):
    assert prompt_of(body) == "Hi"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "no prompt was stored"),
        (None, "no prompt was stored"),
        ({"messages": []}, "no prompt was stored"),
        ({"messages": ["Hi"]}, "no prompt was stored"),
        ({"messages": [user("  ")]}, "no prompt was stored"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "no prompt was stored"),
        ({"messages": [user("Hi"), user("More")]}, "several user turns"),
        ({"messages": [user([{"type": "image_url", "image_url": {}}])]}, "more than text"),
    ],
)
def test_what_is_not_one_prompt_says_why(body, why):
    with pytest.raises(Unusable, match=why):
        prompt_of(body)


def test_instructions_beside_the_prompt_are_seen():
    assert has_system({"messages": [{"role": "developer", "content": "Be kind"}, user("Hi")]})
    assert has_system({"input": "Hi", "instructions": "Be kind"})
    assert not has_system({"messages": [user("Hi")]})


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]},
        {"choices": [{"text": "Hello"}]},
        {"output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]},
    ],
)
def test_the_answer_of_each_api_is_found(body):
    assert answer_of(body) == "Hello"


@pytest.mark.parametrize("body", [None, {}, {"choices": []}, {"choices": [1]}, {"choices": [{}]}, {"output": "x"}])
def test_no_answer_is_no_text(body):
    assert answer_of(body) == ""


def test_a_cell_of_json_is_read_and_other_text_left():
    assert parsed(json.dumps([user("Hi")])) == [user("Hi")]
    assert parsed("plain {") == "plain {"
    assert parsed("[" * 100_000).startswith("[[")
