"""``waypost collect``: a table from prompts, with exact experts that need no download."""

import json
import subprocess
import sys

import pytest

from waypost.outcomes import parquet

CONFIG = """
models:
  - {name: sums, kind: arithmetic}
  - {name: more-sums, kind: arithmetic}
  - {name: gone, kind: gguf, path: nowhere.gguf}
"""


@pytest.fixture
def pool(tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(CONFIG)
    return ("--config", config, "--out", tmp_path / "t.parquet")


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [("What is 2 + 2?", "number", "4"), ("What is 3 + 3?", "number", "7"), ("Hello!", "contains", "hello")]
    path.write_text("".join(
        json.dumps({"prompt": p, "scorer": s, "reference": r, "group": "own"}) + "\n" for p, s, r in rows
    ))  # fmt: skip
    return path


def test_a_file_of_prompts_becomes_a_table(rows, prompts, pool, tmp_path):
    first, second = rows("collect", prompts, "--models", "sums,more-sums", *pool)
    assert (first["model"], first["rows"], first["new"], first["declined"]) == ("sums", 3, 3, 1)
    assert second["model"] == "more-sums" and second["quality"] == pytest.approx(1 / 3)
    table = parquet.read(tmp_path / "t.parquet")
    assert sorted(table.prompts) == ["Hello!", "What is 2 + 2?", "What is 3 + 3?"]


def test_a_second_run_pays_nothing(rows, prompts, pool):
    rows("collect", prompts, "--models", "sums", *pool)
    (again,) = rows("collect", prompts, "--models", "sums", *pool)
    assert (again["rows"], again["new"], again["usd"]) == (3, 0, 0.0)


def test_people_see_where_the_rows_are_and_what_they_cost(waypost, prompts, pool, tmp_path):
    out, err = waypost("collect", prompts, "--models", "sums", *pool)
    assert f"3 prompts × 1 models (sums) into {tmp_path / 't.parquet'}" in err
    assert f"{tmp_path / 't.parquet'} holds the rows; this run took" in out and "cost $" in out


def test_builtin_prompts_are_generated(rows, pool, tmp_path):
    (report,) = rows("collect", "builtin", "--n", "30", "--seed", "3", "--models", "sums", *pool)
    assert report["rows"] == 30
    assert len({row.group for row in parquet.rows(tmp_path / "t.parquet")}) > 10


@pytest.mark.parametrize(("words", "said"), [
    (("--models", "sum"), "no model 'sum' in the pool; it has gone, more-sums, sums. Did you mean 'sums'"),
    (("--models", "gone"), "gone cannot be called"),
    (("--models", "sums", "--judge", "no-one"), "no model 'no-one' in the pool"),
])  # fmt: skip
def test_a_model_that_cannot_be_asked_is_said(waypost, prompts, pool, words, said):
    _, err = waypost("collect", prompts, *words, *pool, fails=True)
    assert said in err


def test_a_missing_file_of_prompts_is_said(waypost, pool, tmp_path):
    _, err = waypost("collect", tmp_path / "gone.jsonl", "--models", "sums", *pool, fails=True)
    assert "no file" in err and "gone.jsonl" in err


def test_a_table_must_be_parquet(waypost, prompts, tmp_path):
    _, err = waypost("collect", prompts, "--out", tmp_path / "t.csv", fails=True)
    assert "must end in .parquet" in err


def test_the_command_runs_as_a_process(prompts, pool):
    command = [sys.executable, "-m", "waypost", "collect", prompts, "--models", "sums", *pool, "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rows"] == 3
