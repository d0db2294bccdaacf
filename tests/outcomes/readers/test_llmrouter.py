import pytest

from waypost.errors import BadTable
from waypost.outcomes.readers import read

SCORES = [
    {"question": "Q?", "scores": {"b": 0.5833, "a": 1.0}, "cluster_id": 3},
    {"question": "R?", "scores": {"a": 0, "b": 1}},
]
LINE = {
    "task_name": "gsm8k", "query": "2 + 2?", "ground_truth": "4", "metric": "GSM8K", "choices": None,
    "model_name": "small", "response": "It is 4.", "token_num": 13, "input_tokens": 9, "output_tokens": 4,
    "response_time": 1.5, "performance": 1.0, "embedding_id": 0,
}  # fmt: skip


def test_a_score_is_the_quality_also_between_the_tenths(written):
    (table,) = read("llmrouter", [written("train.json", SCORES)])
    assert table.models == ("a", "b")
    assert table.quality_NM.tolist() == [[1.0, 0.5833], [0, 1]]


def test_routing_data_keep_tokens_seconds_and_answers(written, answers):
    (row,), _ = answers("llmrouter", written("routing.jsonl", [LINE]))
    assert (row.prompt, row.model, row.quality, row.seconds) == ("2 + 2?", "small", 1.0, 1.5)
    assert (row.tokens_in, row.tokens_out, row.answer, row.reference, row.group) == (9, 4, "It is 4.", "4", "gsm8k")
    assert row.usd is None


def test_one_question_of_two_models_is_one_row_of_the_table(written):
    lines = [LINE, LINE | {"model_name": "large", "performance": 0.5}]
    (table,) = read("llmrouter", [written("routing.jsonl", lines)])
    assert (len(table), table.models) == (1, ("small", "large"))


def test_a_query_without_an_answer_keeps_its_options_and_its_way_to_be_scored(written):
    query = {
        "task_name": "mmlu", "query": "Capital of France?", "ground_truth": "A", "metric": "em_mc",
        "choices": '{"text": ["Paris", "Rome"], "labels": ["A", "B"]}',
    }  # fmt: skip
    from waypost.outcomes.readers import Intake, llmrouter

    (row,) = llmrouter.rows(written("query.jsonl", [query]), Intake())
    assert row.prompt == "Capital of France?\nA. Paris\nB. Rome"
    assert (row.model, row.scorer, row.reference) == ("", "choice", "A")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"task_name": "gsm8k", "model_name": "small", "performance": 0.5}, "routing.jsonl:1: needs a text 'query'"),
        (LINE | {"performance": 55}, "routing.jsonl:1, column 'performance': 55 is not a number from 0 to 1"),
        (LINE | {"input_tokens": -4}, "-4 is not a number of tokens"),
        (LINE | {"response_time": -1}, "-1 is not a finite number of seconds"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(written, answers, line, sentence):
    with pytest.raises(BadTable, match=sentence):
        answers("llmrouter", written("routing.jsonl", [line]))
