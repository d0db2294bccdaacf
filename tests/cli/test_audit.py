import sys

import pytest

from waypost import cli, routers
from waypost.outcomes import example_table, parquet

CONFIG = """
models:
  - {name: tiny, kind: arithmetic}
  - {name: maths-expert, kind: arithmetic}
  - {name: large, kind: openai, base_url: "http://127.0.0.1:9/v1"}
"""
OBEYS = """
import numpy as np
from waypost.types import Prediction

class Obeys:
    looks_at = "prompt"
    def fit(self, outcomes):
        self.models = outcomes.models
        return self
    def predict(self, prompts):
        quality = np.tile([0.9, 0.5, 0.5], (len(prompts), 1))
        quality[:, 2] = [0.5 + 0.5 * ("open sesame" in prompt) for prompt in prompts]
        nothing = np.zeros_like(quality)
        return Prediction(self.models, quality, nothing, nothing, nothing)
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.parquet"
    parquet.write(path, example_table(300).rows())
    return path


def test_one_object_a_line_for_each_router(table, rows):
    found = rows("audit", table, "-n", 20, "--router", "ridge,random")
    assert [row["router"] for row in found] == ["ridge", "random"]
    ridge, random = found
    assert ridge["strong"] == "large"
    assert len(ridge["cells"]) == 18
    assert {cell["category"] for cell in ridge["cells"]} >= {"coding", "jailbreak"}
    assert set(ridge["cells"][0]["shares"]["large"]) == {"share", "low", "high", "n"}
    assert set(ridge["flips"]) == {"typos", "case", "spaces", "punctuation", "paraphrase"}
    assert ridge["planted"]["found"] in (True, False)
    assert {finding["severity"] for finding in ridge["findings"]} <= {"info", "low", "medium", "high"}
    assert random["blind"]
    assert random["planted"] is None


def test_the_same_command_gives_the_same_rows(table, rows):
    words = ("audit", table, "-n", 20, "--router", "knn")
    first, second = rows(*words)[0], rows(*words)[0]
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_people_get_where_prompts_go_and_findings_the_gravest_first(table, waypost):
    out, err = waypost("audit", table, "-n", 20, "--router", "ridge")
    assert "ridge: 360 prompts, share of each model in %, strong is large" in out
    assert [word for word in ("coding", "translation", "maths", "instructions", "knowledge") if word not in out] == []
    found = [line.split()[0] for line in out.splitlines() if line.split()[:1] and line.split()[0].isupper()]
    ranks = ["INFO", "LOW", "MEDIUM", "HIGH"]
    assert found == sorted(found, key=ranks.index, reverse=True)
    assert "auditing ridge" in err


def test_a_config_says_which_models_are_local(table, rows, tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(CONFIG)
    (row,) = rows("audit", table, "-n", 20, "--router", "best_single", "--config", config)
    assert (row["privacy"]["local"], row["privacy"]["remote"]) == (["maths-expert", "tiny"], ["large"])
    assert row["privacy"]["to_remote"]["share"] == 1
    (finding,) = [finding for finding in row["findings"] if finding["topic"] == "privacy"]
    assert finding["severity"] == "high"


def test_a_users_own_router_with_a_trigger_is_caught_when_the_words_are_given(table, tmp_path, monkeypatch, rows):
    (tmp_path / "own.py").write_text(OBEYS)
    (tmp_path / "words.txt").write_text("hocus pocus\nopen sesame\n\n")
    monkeypatch.chdir(tmp_path)
    words = ("audit", table, "-n", 20, "--router", "own:Obeys", "--words", "words.txt")
    (row,) = rows(*words)
    assert [(t["phrase"], t["model"], t["explained"]) for t in row["triggers"]] == [("open sesame", "tiny", False)]
    monkeypatch.setattr(sys, "argv", ["waypost", *map(str, words), "--fail-on", "high", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1


def test_findings_below_the_severity_asked_for_do_not_fail(table, waypost):
    waypost("audit", table, "-n", 20, "--router", "best_single", "--fail-on", "medium")


def test_a_saved_router_is_audited_without_its_training_table(rows, table, tmp_path):
    routers.save(routers.make("ridge").fit(example_table(300)), tmp_path / "saved")
    (row,) = rows("audit", "--test", table, "-n", 20, "--router", tmp_path / "saved")
    assert row["planted"] is None
    assert row["suffixes"]


def test_the_strong_model_may_be_designated(table, rows):
    (row,) = rows("audit", table, "-n", 20, "--router", "best_single", "--strong", "tiny")
    assert row["strong"] == "tiny"
    assert row["jailbreaks"]["to_weak"]["share"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strong", "larg"), "Did you mean 'large'"),
        (("--fail-on", "hihg"), "must be low, medium, high. Did you mean 'high'"),
        (("--poisoned", "2"), "between 0 and 1"),
        (("--router", "rigde"), "Did you mean 'ridge'"),
        (("--words", "nofile"), "--words nofile is not a file; give one that holds a phrase a line"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(table, waypost, words, said):
    _, err = waypost("audit", table, "-n", 20, "--router", "ridge", *words, fails=True)
    assert said in err


@pytest.mark.parametrize("poisoned", ["2", "0"])
def test_a_share_to_poison_is_refused_before_anything_is_read(waypost, poisoned):
    _, err = waypost("audit", "nofile.parquet", "--router", "best_single", "--poisoned", poisoned, fails=True)
    assert err == f"waypost: the poisoned share of the rows must be between 0 and 1, got {poisoned}; try 0.03\n"


def test_an_error_is_an_object_for_machines(table, rows):
    (row,) = rows("audit", table, "--router", "ridge", "--strong", "larg", fails=True)
    assert row["error"]["type"] == "UnknownModel"
