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
