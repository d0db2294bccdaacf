import pytest

from waypost.errors import BadTable
from waypost.outcomes.readers import read


def row(prompt_id="7", model="org__x", label="1", **changes):
    return {
        "prompt_id": prompt_id, "model_id": "0", "category_id": "2", "label": label, "prompt": f"Q{prompt_id}?",
        "model_name": model, "category": "gsm8k", **changes,
    }  # fmt: skip


def test_long_rows_become_a_table(written):
    rows = [row(), row(model="org__y", label="0"), row("8"), row("8", "org__y")]
    (table,) = read("embedllm", [written("test.csv", rows)])
    assert (table.models, table.ids, set(table.groups)) == (("org__x", "org__y"), ("7", "8"), {"gsm8k"})
    assert table.quality_NM.tolist() == [[1, 0], [1, 1]]


def test_the_first_of_several_labels_counts_and_it_is_said(written):
    said = []
    rows = [row(label="0"), row(label="1"), row(model="org__y"), row("8"), row("8", "org__y")]
    (table,) = read("embedllm", [written("test.csv", rows)], said.append)
    assert table.quality_NM[0, 0] == 0
    assert "1 of 5 answers because the same model has answered the same question before it" in said[0]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (row(label="2"), "column 'label': '2' is not a number from 0 to 1"),
        (row(model="", model_id=""), "needs prompt_id, label, prompt and model_name"),
    ],
)
def test_a_bad_row_is_refused(written, bad, sentence):
    with pytest.raises(BadTable, match=sentence):
        read("embedllm", [written("test.csv", [bad])])
