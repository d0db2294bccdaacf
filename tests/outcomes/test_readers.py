import json
from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput, BadTable
from waypost.outcomes import example_table, parquet
from waypost.outcomes.readers import READERS, read


@pytest.fixture
def files(tmp_path):
    def write(name, scores):
        path = tmp_path / name
        path.write_text(json.dumps([{"question": f"Q{i}", "scores": row} for i, row in enumerate(scores)]))
        return path

    return write


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(BadInput, match=r"no format 'routerbenhc'.*Did you mean 'routerbench'"):
        read("routerbenhc", [])


@pytest.mark.parametrize("name", [name for name, format in READERS.items() if format.scored])
def test_a_missing_file_is_named(name, tmp_path):
    with pytest.raises(BadTable, match="gone"):
        read(name, [tmp_path / "gone"])


@pytest.mark.parametrize("name", ["routerdc", "routerbench", "routereval", "sprout", "llmrouter"])
def test_a_folder_is_no_table(name, tmp_path):
    with pytest.raises(BadTable, match=f"cannot read .* as {name}: Is a directory"):
        read(name, [tmp_path])


def test_our_own_format_is_read_with_its_answers(tmp_path):
    table = example_table(20)
    parquet.write(tmp_path / "own.parquet", [replace(row, answer="Hello") for row in table.rows()])
    (found,) = read("waypost", [tmp_path / "own.parquet"])
    assert sorted(found.prompts) == sorted(table.prompts)
    assert found.answer(0, "large").text == "Hello"


def test_models_come_in_the_order_of_the_first_file(files):
    first = files("a_train.json", [{"x": 1, "y": 0}])
    second = files("b_train.json", [{"y": 0, "x": 1}, {"y": 1, "x": 0}])
    tables = read("routerdc", [first, second])
    assert [t.models for t in tables] == [("x", "y"), ("x", "y")]
    np.testing.assert_array_equal(tables[1].quality_NM, [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    ("models", "sentence"),
    [("xz", "b_train.json has no scores of 'y', which"), ("xyz", "b_train.json has scores of 'z', which")],
)
def test_files_with_other_models_are_refused(files, models, sentence):
    first = files("a_train.json", [{"x": 1, "y": 0}])
    second = files("b_train.json", [dict.fromkeys(models, 1)])
    with pytest.raises(BadTable, match=sentence):
        read("routerdc", [first, second])


def test_files_that_are_read_together_have_one_unit(tmp_path):
    head = "sample_id,prompt,eval_name,x,y,x|total_cost,y|total_cost\n"
    for name, usd in (("a", 0.0009), ("b", 0.9), ("c", 9)):
        rows = (f"{name}{i},{name} {i}?,maths,1,0,{usd},{usd}\n" for i in range(30))
        (tmp_path / f"{name}.csv").write_text(head + "".join(rows))
    with pytest.raises(BadTable, match=r"'x' costs \$0.9 per query in .*b.csv and \$0.0009 in .*a.csv"):
        read("routerbench", [tmp_path / "a.csv", tmp_path / "b.csv"])
    with pytest.raises(
        BadTable, match=r"c.csv: more than half of the queries cost above \$1 with 'x'.*--per 1000.*import --force"
    ):
        read("routerbench", [tmp_path / "c.csv"])
