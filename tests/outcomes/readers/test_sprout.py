import duckdb
import pytest

from waypost.errors import BadTable
from waypost.outcomes.readers import read

CELL = "{'num_input_tokens': 12, 'num_output_tokens': 3, 'response': '4', 'score': %s}"


@pytest.fixture
def sprout(tmp_path):
    def write(*scores):
        path = tmp_path / "train.parquet"
        cells = ", ".join(f'{CELL % score} AS "openai-{name}"' for name, score in zip("ab", scores, strict=True))
        duckdb.sql(
            f"SELECT 'k1' AS key, 'gsm8k' AS dataset, '2 + 2?' AS prompt, '4' AS \"golden answer\", {cells}"
        ).write_parquet(str(path))
        return path

    return write


def test_scores_tokens_and_answers_are_read(sprout, answers):
    rows, _ = answers("sprout", sprout("1.0", "0.25"))
    assert [(row.model, row.quality) for row in rows] == [("openai-a", 1.0), ("openai-b", 0.25)]
    row = rows[0]
    assert (row.id, row.group, row.reference, row.answer) == ("k1", "gsm8k", "4", "4")
    assert (row.tokens_in, row.tokens_out, row.usd) == (12, 3, None)


def test_an_answer_without_a_score_is_left_out(sprout, answers):
    rows, intake = answers("sprout", sprout("1.0", "CAST(NULL AS DOUBLE)"))
    assert len(rows) == 1 and intake.left["it has no score"].answers == 1


def test_a_score_in_percent_is_refused(sprout):
    with pytest.raises(BadTable, match=r"row 0, column 'openai-a': .*87.* is not a number from 0 to 1; .*--scale 100"):
        read("sprout", [sprout("87.0", "1.0")])


def test_json_of_the_same_form_is_read_and_a_row_without_a_model_refused(written):
    cell = {"num_input_tokens": 1, "num_output_tokens": 1, "response": "", "score": 1.0}
    row = {"key": "k", "dataset": "d", "prompt": "Q?", "golden_answer": ""}
    (table,) = read("sprout", [written("a.jsonl", [row | {"x": cell, "y": cell}])])
    assert table.models == ("x", "y")
    with pytest.raises(BadTable, match="no model; a model is a struct"):
        read("sprout", [written("b.jsonl", [row])])
