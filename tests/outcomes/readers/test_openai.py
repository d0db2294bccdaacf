import pytest

REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"message": {"role": "assistant", "content": "Hello"}}],
    "usage": {
        "prompt_tokens": 9, "completion_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 20},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        {"request": REQUEST, "response": RESPONSE},
        {"request": {"body": REQUEST}, "response": {"status_code": 200, "body": RESPONSE}},
    ],
)
def test_a_request_and_its_response_are_an_answer(written, answers, line):
    (row,), _ = answers("openai", written("log.jsonl", [line]))
    assert (row.prompt, row.model, row.answer, row.quality, row.usd) == ("Hi", "gpt-4o-mini", "Hello", None, None)
    assert (row.tokens_in, row.tokens_cached, row.tokens_out, row.tokens_reasoning) == (9, 4, 30, 20)


def test_the_tokens_of_a_responses_call_are_read(written, answers):
    response = {"model": "o", "output": [], "usage": {"input_tokens": 5, "output_tokens": 6}}
    (row,), _ = answers("openai", written("log.jsonl", [{"request": {"input": "Hi"}, "response": response}]))
    assert (row.model, row.tokens_in, row.tokens_out) == ("o", 5, 6)


def test_the_files_of_a_batch_find_each_other(written, answers):
    asked = written("in.jsonl", [{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": REQUEST}])
    output = {"id": "b", "custom_id": "1", "response": {"status_code": 200, "body": RESPONSE}, "error": None}
    rows, _ = answers("openai", asked, written("out.jsonl", [output]))
    assert [(row.model, row.answer) for row in rows] == [("", ""), ("gpt-4o-mini", "Hello")]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 3100}, (1000, 2100, 0, 0, 2000)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 50}},
         (10, 55, 0, 0, 50)),
        ({"input_tokens": 10, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 40}}, (50, 5, 40, 0, 0)),
        ({"input_tokens": 10, "output_tokens": 5, "prompt_tokens": None}, (10, 5, 0, 0, 0)),
    ],
)  # fmt: skip
def test_tokens_are_those_that_the_pool_would_bill(written, answers, usage, tokens):
    line = {"request": REQUEST, "response": RESPONSE | {"usage": usage}}
    (row,), intake = answers("openai", written("log.jsonl", [line]))
    counts = row.tokens_in, row.tokens_out, row.tokens_cached, row.tokens_written, row.tokens_reasoning
    assert counts == tokens and intake.notes == []


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        {"prompt_tokens": 1000},
        {"completion_tokens": 9},
        {"prompt_tokens": "many", "completion_tokens": 1},
        {"prompt_tokens": float("inf"), "completion_tokens": 1},
        {"prompt_tokens": 1 << 31, "completion_tokens": 1},
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": [1]},
    ],
    ids=repr,
)
def test_a_usage_that_does_not_say_what_is_billed_is_unknown_and_said(written, answers, usage):
    line = {"request": REQUEST, "response": RESPONSE | {"usage": usage}}
    (row,), intake = answers("openai", written("log.jsonl", [line]))
    assert (row.tokens_in, row.tokens_out, row.tokens_cached) == (0, 0, 0)
    assert intake.notes == ["log.jsonl: answers that do not say what tokens were billed, which have no cost: 1"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"custom_id": "9", "response": {"status_code": 200, "body": RESPONSE}}, "its request is in no file before it"),
        ({"request": REQUEST, "response": {"status_code": 429, "body": {}}}, "the call failed"),
        ({"request": REQUEST, "response": None, "error": {"message": "no"}}, "the call failed"),
        ({"request": {"messages": []}, "response": RESPONSE}, "no prompt was stored with it"),
        ({"custom_id": "9"}, "it is neither a request nor a response"),
    ],
)
def test_what_is_no_use_is_left_out_with_its_reason(written, answers, line, reason):
    rows, intake = answers("openai", written("log.jsonl", [line]))
    assert rows == [] and next(iter(intake.left)).startswith(reason)
