import pytest

from waypost.errors import BadTable
from waypost.outcomes import Outcomes
from waypost.outcomes.readers import read


def line(model="haiku", score=1.0, usd=0.0002, index="AIME_112", **changes):
    result = {"score": score, "inference_cost": usd, "ground_truth": "610", "metric": "math_metric"}
    return {
        "global_index": index, "question": f"Q {index}?", "llm_selected": model, "generated_answer": "610",
        "token_usage": {"input_tokens": 349, "output_tokens": 120}, "success": True, "error": None,
        "evaluation_result": result, **changes,
    }  # fmt: skip


def test_files_of_one_model_each_become_one_table(written, answers):
    first = written("haiku.jsonl", [line(), line(index="MMLUPro_law_3", score=0.5)])
    second = written("gemini.jsonl", [line("gemini", index="MMLUPro_law_3"), line("gemini", score=0)])
    rows, intake = answers("routerarena", first, second)
    table = Outcomes.from_rows(rows)
    assert (table.models, table.groups) == (("haiku", "gemini"), ("AIME", "MMLUPro"))
    assert table.quality_NM.tolist() == [[1, 0], [0.5, 1]]
    assert table.usd_NM.tolist() == [[0.0002] * 2] * 2
    assert (rows[0].tokens_in, rows[0].tokens_out, rows[0].reference) == (349, 120, "610")
    assert intake.sentences() == []


def test_one_model_alone_is_no_table(written):
    with pytest.raises(BadTable, match="1 model"):
        read("routerarena", [written("haiku.jsonl", [line()])])


def test_a_score_a_little_below_zero_counts_as_zero_and_is_said(written, answers):
    rows, intake = answers("routerarena", written("a.jsonl", [line(score=-0.033), line("gemini")]))
    assert rows[0].quality == 0.0
    assert "which count as 0: 1" in intake.sentences()[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"success": False}, "the call failed"),
        ({"error": "timeout"}, "the call failed"),
        ({"evaluation_result": None}, "it was not evaluated"),
        ({"evaluation_result": {}}, "it was not evaluated"),
    ],
)
def test_what_has_no_score_is_left_out_and_never_zero(written, answers, changes, reason):
    rows, intake = answers("routerarena", written("a.jsonl", [line(), line("gemini", **changes)]))
    assert len(rows) == 1 and list(intake.left) == [reason]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (line(score=-3), "a.jsonl:1, column 'score': -3 is not"),
        (line(usd=-1), "column 'inference_cost': -1 is not a finite number of USD"),
        (line(llm_selected=None), "a.jsonl:1: needs a text 'llm_selected'"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(written, answers, bad, sentence):
    with pytest.raises(BadTable, match=sentence):
        answers("routerarena", written("a.jsonl", [bad]))
