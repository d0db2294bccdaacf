import json
import sys
from dataclasses import replace

import pytest

from waypost import cli
from waypost.outcomes import example_table, parquet

MINE = """
import numpy as np
from waypost import Prediction

class Mine:
    BROKEN = False
    def __init__(self, seed=0):
        self._own = seed
    def fit(self, outcomes):
        self.models = outcomes.models
    def predict(self, prompts):
        if self.BROKEN:
            raise KeyError("weights")
        chosen = np.random.default_rng(self._own).integers(0, 3, len(prompts))
        return Prediction(self.models, np.eye(3)[chosen], *np.zeros((3, len(prompts), 3)))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A table and a class of the user's own, in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_runs", raising=False)
    parquet.write(tmp_path / "own.parquet", example_table(600).rows())
    (tmp_path / "my_runs.py").write_text(MINE)
    return ("eval", "own.parquet", "--resamples", "60", "--out", "rows.jsonl")


def kept(tmp_path):
    return [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]


def test_a_second_run_prints_the_same_and_fits_nothing(own, waypost, tmp_path):
    words = (*own, "--router", "domain,cheapest")
    out, err = waypost(*words)
    before = kept(tmp_path)
    again, quiet = waypost(*words)
    assert again == out
    assert "domain beats large at" in out
    assert "fitting domain" in err and "fitting" not in quiet
    assert "rows.jsonl: 7 rows, 0 of them new" in quiet
    assert kept(tmp_path) == before


def test_a_row_says_all_that_it_depends_on(own, waypost, tmp_path):
    waypost(*own, "--router", "random,ridge", "--seed", "3", "--objective", "usd=10")
    rows = {row["router"]: row for row in kept(tmp_path)}
    assert {row["kind"] for row in rows.values()} == {"asked", "model", "bound"}
    assert (rows["random"]["seed"], rows["ridge"]["seed"], rows["tiny"]["seed"]) == (3, None, None)
    assert rows["ridge"]["parameters"] == {"alpha": None, "encoder": "static-256"}
    assert {row["split"] for row in rows.values()} == {3}
    assert {row["objective"]["usd"] for row in rows.values()} == {10}
    assert len({row["data"] for row in rows.values()}) == 1


def test_another_router_joins_those_that_are_there(own, waypost, tmp_path):
    waypost(*own, "--router", "domain")
    out, err = waypost(*own, "--router", "domain,ridge")
    assert "fitting ridge" in err and "fitting domain" not in err
    assert "\ndomain beats large" in out and "\nridge beats large" in out


def test_an_error_stops_the_run_and_the_next_one_goes_on_from_there(own, waypost, tmp_path, capsys):
    import my_runs

    words = (*own, "--router", "domain,my_runs:Mine,ridge")
    my_runs.Mine.BROKEN = True
    with pytest.raises(KeyError) as stopped:
        cli.app(list(words), standalone_mode=False)
    assert stopped.value.__notes__ == ["while measuring my_runs:Mine on own"]
    assert [row["router"] for row in kept(tmp_path) if row["kind"] == "asked"] == ["domain"]
    capsys.readouterr()
    my_runs.Mine.BROKEN = False
    _, err = waypost(*words)
    assert "fitting domain" not in err
    assert [row["router"] for row in kept(tmp_path) if row["kind"] == "asked"] == ["domain", "my_runs:Mine", "ridge"]


def test_a_torn_last_line_is_said_and_measured_again(own, waypost, tmp_path):
    waypost(*own, "--router", "domain")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    _, err = waypost(*own, "--router", "domain")
    assert "rows.jsonl: the last line was torn and is cut off" in err
    assert "rows.jsonl: 6 rows, 1 of them new" in err


def test_other_data_and_other_code_are_other_rows(own, waypost, tmp_path):
    words = (*own, "--router", "my_runs:Mine")
    waypost(*words)
    (tmp_path / "my_runs.py").write_text(MINE + "# changed\n")
    assert "7 rows, 1 of them new" in waypost(*words)[1]
    parquet.write(tmp_path / "own.parquet", example_table(601).rows())
    assert "13 rows, 6 of them new" in waypost(*words)[1]


def test_seeds_and_splits_show_which_part_of_the_spread_is_which(own, rows, waypost, tmp_path):
    words = (*own, "--router", "domain,my_runs:Mine", "--seeds", "3", "--splits", "2")
    domain, mine = rows(*words)
    assert (domain["router"], domain["verdict"], domain["splits"], domain["seeds"]) == ("domain", "beats", 2, 3)
    assert domain["sd_seeds"] == 0
    assert mine["sd_seeds"] > 0
    assert len(domain["runs"]) == 6
    assert domain["gain_ci95"][0] < domain["gain"] < domain["gain_ci95"][1]
    # What draws nothing is measured once a split, for each split with the five lines beside it.
    assert len(kept(tmp_path)) == 2 * (5 + 1 + 3)
    out, err = waypost(*words)
    assert "own: 2 splits × 3 seeds" in out
    assert "fitting" not in err
    ranked = [line.split()[0] for line in out.splitlines() if line and line.split()[0] in ("oracle", "domain", "large")]
    assert ranked == ["oracle", "domain", "large"]


def test_seeds_need_no_file(own, rows):
    assert rows(*own[:4], "--router", "random", "--seeds", "2")[0]["sd_splits"] is None


def test_test_files_are_not_split(own, waypost):
    words = ("eval", "--train", "own.parquet", "--test", "own.parquet", "--splits", "2")
    assert "--splits 2 needs one TABLE to split" in waypost(*words, fails=True)[1]


def test_each_test_file_has_its_rows(waypost, routerdc, tmp_path):
    train, test = routerdc("a_train", 200), [routerdc("a_test", 60, seed=2), routerdc("b_test", 60, seed=3)]
    words = ("eval", "--format", "routerdc", "--train", train, "--test", *test, "--router", "domain")
    out, err = waypost(*words, "--resamples", "60", "--out", tmp_path / "rows.jsonl")
    assert err.count("fitting domain") == 1
    assert {(row["test"], row["split"]) for row in kept(tmp_path)} == {("a_test", None), ("b_test", None)}
    assert "mean of 2 test files" in out


@pytest.mark.parametrize("name", ["declined", "answer", "source"])
def test_other_answers_and_sources_are_other_rows(own, waypost, tmp_path, name):
    """They leave the fingerprint as it is, and yet change what a strategy earns and what is resampled together."""
    waypost(*own, "--router", "domain")
    path = tmp_path / "own.parquet"
    before = parquet.read(path)
    parquet.write(path, [replace(row, **{name: True if name == "declined" else row.id}) for row in before.rows()])
    assert parquet.read(path).fingerprint == before.fingerprint
    assert "12 rows, 6 of them new" in waypost(*own, "--router", "domain")[1]


def test_a_changed_helper_of_a_class_is_another_row(own, waypost, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "my_runs_helper", raising=False)
    (tmp_path / "my_runs_helper.py").write_text("SHIFT = 0\n")
    (tmp_path / "my_runs.py").write_text("from my_runs_helper import SHIFT\n" + MINE)
    words = (*own, "--router", "my_runs:Mine")
    waypost(*words)
    assert "6 rows, 0 of them new" in waypost(*words)[1]
    (tmp_path / "my_runs_helper.py").write_text("SHIFT = 1\n")
    assert "7 rows, 1 of them new" in waypost(*words)[1]


def test_rows_of_an_experiment_say_how_many_questions_leaked(routerdc, rows, tmp_path):
    train, test = routerdc("a_train", 200), routerdc("a_test", 60, seed=2)
    both = tmp_path / "both.json"
    both.write_text(json.dumps(json.loads(train.read_text())[:30] + json.loads(test.read_text())))
    words = ("eval", "--format", "routerdc", "--train", train, "--test", both, "--router", "domain,random")
    words = (*words, "--resamples", "60")
    plain = rows(*words)
    assert plain[0]["leaked"] >= 30
    kept = rows(*words, "--out", tmp_path / "rows.jsonl")
    assert [row["leaked"] for row in kept] == [row["leaked"] for row in plain]
    assert rows(*words, "--out", tmp_path / "rows.jsonl") == kept
    assert [row["leaked"] for row in rows(*words, "--seeds", "2")] == [row["leaked"] for row in plain]


def test_several_runs_name_what_paid_more_than_the_budget(waypost):
    words = ("eval", "--router", "best_single,domain", "--resamples", "50", "--splits", "2", "--objective")
    assert "domain paid $" in waypost(*words, "budget=0.000003")[1]
    assert "over the budget" not in waypost(*words, "budget=1")[1]


def test_what_cannot_be_fitted_is_left_out_unless_it_was_asked_for(waypost, routerdc, tmp_path):
    """One training question makes no two kinds of questions."""
    train = tmp_path / "one.json"
    train.write_text(json.dumps([{"question": "Hi", "scores": {"tiny": 1, "maths-expert": 1, "large": 0}}]))
    words = ("eval", "--format", "routerdc", "--train", train, "--test", routerdc("a_test", 60), "--resamples", "60")
    for more in ((), ("--out", tmp_path / "rows.jsonl"), ("--seeds", "2")):
        out, err = waypost(*words, *more)
        assert "domain is left out: the domain router needs prompts of at least two kinds" in err
        assert "ridge" in out and "domain" not in out
        assert "the domain router needs" in waypost(*words, *more, "--router", "domain", fails=True)[1]
