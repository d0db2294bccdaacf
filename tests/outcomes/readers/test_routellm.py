import numpy as np
import pytest

from waypost.errors import BadTable
from waypost.outcomes.readers import read

ROWS = [
    {"prompt": "2 + 2?\nA. 4", "mistralai/Mixtral": "True", "gpt-4": "False"},
    {"prompt": "More?", "mistralai/Mixtral": "", "gpt-4": "True"},
    {"prompt": "Last?", "mistralai/Mixtral": "0.5", "gpt-4": "1"},
]


def test_right_and_wrong_are_quality(written):
    (table,) = read("routellm", [written("mmlu_anatomy.csv", ROWS)])
    assert table.models == ("mistralai/Mixtral", "gpt-4")
    np.testing.assert_array_equal(table.quality_NM, [[1, 0], [np.nan, 1], [0.5, 1]])
    assert set(table.groups) == {"mmlu_anatomy"} and np.isnan(table.usd_NM).all()


def test_answers_are_no_models(written):
    rows = [{"prompt": "Q?", "x": "True", "y": "False", "x_response": "4", "y_response": "5"}]
    (table,) = read("routellm", [written("gsm8k_responses.csv", rows)])
    assert (table.models, table.groups) == (("x", "y"), ("gsm8k",))
    assert table.answer(0, "y").text == "5"


def test_a_cell_that_says_neither_is_refused(written):
    with pytest.raises(BadTable, match="row 0, column 'y': 'perhaps' is not a number from 0 to 1"):
        read("routellm", [written("a.csv", [{"prompt": "Q?", "x": "True", "y": "perhaps"}])])


def test_a_file_without_prompts_is_refused(written):
    with pytest.raises(BadTable, match="needs a column 'prompt' and one for each model, it has question, x"):
        read("routellm", [written("a.csv", [{"question": "Q?", "x": "True"}])])
