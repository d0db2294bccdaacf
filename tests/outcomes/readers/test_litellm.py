import json

import pytest

from waypost.errors import BadInput
from waypost.outcomes.readers import read

REQUEST = {"model": "fast", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}


def call(**changes):
    return {
        "request_id": "r1", "call_type": "acompletion", "spend": 0.0004, "total_tokens": 12, "prompt_tokens": 9,
        "completion_tokens": 3, "startTime": "2026-01-05T10:00:00.000Z", "endTime": "2026-01-05T10:00:01.500Z",
        "model": "gpt-4o-mini", "model_group": "fast", "cache_hit": "False", "status": "success", "messages": {},
        "response": RESPONSE, "proxy_server_request": REQUEST, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["log.jsonl", "log.json"])
def test_a_call_is_an_answer_with_its_cost_and_time_and_no_score(written, answers, name):
    (row,), intake = answers("litellm", written(name, [call()]))
    assert (row.prompt, row.model, row.answer, row.quality) == ("Hi", "fast", "Hello", None)
    assert (row.usd, row.seconds, row.tokens_in, row.tokens_out) == (0.0004, 1.5, 9, 3)
    assert intake.sentences() == []


def test_csv_with_json_in_its_cells_is_read(written, answers):
    row = call(proxy_server_request=json.dumps(REQUEST), response=json.dumps(RESPONSE), messages="{}")
    (found,), _ = answers("litellm", written("log.csv", [row]))
    assert (found.prompt, found.answer, found.usd) == ("Hi", "Hello", 0.0004)


def test_the_prompt_may_stand_in_either_column(written, answers):
    row = call(proxy_server_request={}, messages=REQUEST["messages"])
    (found,), _ = answers("litellm", written("log.jsonl", [row]))
    assert found.prompt == "Hi"


def test_what_the_cache_answered_has_no_cost_and_no_time(written, answers):
    (row,), intake = answers("litellm", written("log.jsonl", [call(cache_hit="True", spend=0.0)]))
    assert (row.usd, row.seconds) == (None, None)
    assert "from the proxy's cache, whose cost and time are left empty: 1" in intake.notes[0]


def test_a_spend_of_nothing_for_tokens_is_unknown(written, answers):
    lines = [call(spend=0.0), call(spend=0, prompt_tokens=0, completion_tokens=0)]
    (unpriced, unused), intake = answers("litellm", written("log.jsonl", lines))
    assert (unpriced.usd, unpriced.seconds, unused.usd) == (None, 1.5, 0)
    assert intake.notes == ["log.jsonl: calls with tokens and a spend of 0, whose cost is left unknown: 1"]


def test_a_system_message_is_said_to_be_lost(written, answers):
    body = {"messages": [{"role": "system", "content": "Be kind"}, *REQUEST["messages"]]}
    _, intake = answers("litellm", written("log.jsonl", [call(proxy_server_request=body)]))
    assert "with a system message, which a prompt alone does not carry: 1" in intake.notes[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failure"}, "the call failed"),
        ({"call_type": "aembedding"}, "the call was no chat"),
        ({"model": "", "model_group": None}, "it names no model"),
        ({"proxy_server_request": {}}, "no prompt was stored with it"),
        ({"spend": -1}, "its spend is negative or no number"),
        ({"spend": float("nan")}, "its spend is negative or no number"),
    ],
)
def test_what_is_no_use_is_left_out_with_its_reason(written, answers, changes, reason):
    rows, intake = answers("litellm", written("log.jsonl", [call(), call(**changes)]))
    assert len(rows) == 1 and list(intake.left) == [reason]


@pytest.mark.parametrize("moment", [None, "", "yesterday", "2026-01-05T10:00:02.000Z"])
def test_a_time_that_is_unknown_or_runs_backwards_is_missing(written, answers, moment):
    (row,), _ = answers("litellm", written("log.jsonl", [call(startTime=moment)]))
    assert row.seconds is None


def test_a_log_is_no_table(written):
    with pytest.raises(BadInput, match="litellm is a log without scores; make prompts of it"):
        read("litellm", [written("log.jsonl", [call()])])
