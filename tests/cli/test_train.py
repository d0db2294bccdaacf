import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from waypost import routers
from waypost.outcomes import example_table, parquet


@pytest.fixture
def table(routerbench):
    return routerbench("own", 200)


def test_a_router_is_fitted_on_the_training_part_and_saved(table, rows, tmp_path):
    out = tmp_path / "deep" / "router"
    (report,) = rows("train", table, "--format", "routerbench", "--router", "ridge", "--out", out)
    assert report["rows"] + report["held_out"] == 200
    assert report["verdict"] in {"beats", "matches", "loses"}
    assert [model["model"] for model in report["models"]] == ["tiny", "maths-expert", "large"]
    expected = routers.load(out).predict(["What is 17 plus 26?"])
    assert expected.models == ("tiny", "maths-expert", "large")


def test_all_fits_on_every_row_and_measures_nothing(table, rows, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "best_single", "--out", tmp_path / "r")
    (report,) = rows(*words, "--all")
    assert report["rows"] == 200
    assert "held_out" not in report
    expected = routers.load(tmp_path / "r").predict(["any"]).quality_NM[0]
    np.testing.assert_allclose(expected, [model["quality"] for model in report["models"]])


def test_settings_reach_the_router(table, rows, tmp_path):
    rows("train", table, "--format", "routerbench", "--router", "knn", "--out", tmp_path / "r", "--set", "k=7")
    assert json.loads((tmp_path / "r" / "router.json").read_text())["settings"]["k"] == 7


def test_tune_tries_settings_within_training_and_keeps_the_best(table, rows, waypost, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "ridge", "--out", tmp_path / "r", "--tune")
    (report,) = rows(*words)
    tried = [trial["settings"] for trial in report["trials"]]
    assert {} in tried and {"alpha": 10.0} in tried
    assert report["trials"][0]["score"] == max(trial["score"] for trial in report["trials"])
    saved = json.loads((tmp_path / "r" / "router.json").read_text())["settings"]
    assert saved["alpha"] == report["settings"].get("alpha")
    out, err = waypost(*words)
    assert "five folds of the" in out and "the defaults" in out
    assert "trying alpha=10.0 (" in err


def test_tune_of_a_router_without_settings_is_a_sentence(table, waypost, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "best_single", "--out", tmp_path / "r", "--tune")
    _, err = waypost(*words, fails=True)
    assert "router 'best_single' has no settings to try" in err


def test_a_missing_extra_is_one_line_that_brings_it(table, waypost, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    words = ("train", table, "--format", "routerbench", "--router", "tryage", "--out", tmp_path / "r")
    _, err = waypost(*words, fails=True)
    assert err.splitlines()[-1].endswith("pip install 'waypost[train]'")
    assert not (tmp_path / "r").exists()


def test_how_far_a_long_fit_came_is_said_at_its_end(table, waypost, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "tryage", "--out", tmp_path / "r")
    _, err = waypost(*words, "--set", "epochs=3", "hidden=4")
    assert re.search(r"held-out loss [0-9.]+ at 3 of 3\)", err)


def test_the_seed_reaches_a_router_that_draws(table, rows, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "random", "--out", tmp_path / "r", "--seed", "5")
    rows(*words)
    assert routers.load(tmp_path / "r").seed == 5


@pytest.mark.parametrize(("head", "settings"), [("cascade", ()), ("safe_route", ("--set", "units=4,epochs=2"))])
def test_the_head_of_a_cascade_is_trained_and_measured_alike(table, rows, tmp_path, head, settings):
    words = (table, "--format", "routerbench")
    (report,) = rows("train", *words, "--router", head, "--out", tmp_path / "r", *settings)
    assert 0 < report["quality"] <= 1
    assert isinstance(routers.load(tmp_path / "r"), routers.HEADS[head])
    found = rows("eval", *words, "--router", "cheapest", "--strategy", tmp_path / "r")
    assert found[-1]["quality"] == report["quality"]


def test_people_are_told_what_was_learned_and_what_to_do_next(table, waypost, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "domain", "--out", tmp_path / "r")
    out, err = waypost(*words)
    assert "maths-expert" in out
    assert f"waypost route --router {tmp_path / 'r'}" in out
    assert "prompts held out its quality is" in out
    assert "the best single model there, large with" in out
    assert "fitting domain on" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--router", "rigde"), "no router 'rigde'; there are best_single"),
        (("--router", "knn", "--set", "kk=3"), "'knn' has no setting 'kk'; it has"),
        (("--router", "knn", "--set", "k"), "'k' must be written name=value"),
        (("--router", "ridge", "--set", "encoder=sttic"), "encoder"),
    ],
)
def test_what_cannot_be_used_is_said_before_any_work(table, waypost, tmp_path, words, sentence):
    words = ("train", table, "--format", "routerbench", "--out", tmp_path / "r", *words)
    _, err = waypost(*words, fails=True)
    assert sentence in err
    assert not (tmp_path / "r").exists()


def test_a_folder_that_cannot_be_written_is_one_line(table, waypost, tmp_path):
    (tmp_path / "file").touch()
    words = ("train", table, "--format", "routerbench", "--router", "best_single", "--out", tmp_path / "file" / "r")
    _, err = waypost(*words, fails=True)
    assert err.splitlines()[-1].startswith("waypost: ")
    assert "Traceback" not in err


def test_a_sample_from_all_over_the_table_is_saved_so_that_a_budget_can_be_solved(rows, tmp_path):
    table = example_table(1200)
    answered = [replace(row, answer="Yes.") for row in table.select(np.argsort(table.groups, kind="stable")).rows()]
    parquet.write(tmp_path / "t.parquet", answered)
    for router in ("domain", "cascade"):
        rows("train", tmp_path / "t.parquet", "--router", router, "--out", tmp_path / router, "--all")
        models = routers.load(tmp_path / router).models
        sample = routers.load_sample(tmp_path / router, models)
        assert 300 < len(sample.usd_NM) <= 500
        means = table.only(models).quality_NM.mean(axis=0)
        np.testing.assert_allclose(sample.quality_NM.mean(axis=0), means, atol=0.1)


def test_a_router_is_fitted_on_one_thread(table, rows, tmp_path, monkeypatch):
    seen = []

    def watched(self, outcomes, fit=routers.Ridge.fit):
        seen.append({found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"})
        return fit(self, outcomes)

    monkeypatch.setattr(routers.Ridge, "fit", watched)
    rows("train", table, "--format", "routerbench", "--router", "ridge", "--out", tmp_path / "r")
    assert seen == [{1}]


def test_the_objective_counts_in_tuning_and_in_what_is_said_of_the_held_out(table, rows, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "ridge", "--out", tmp_path / "r")
    (free,), (thrifty,) = (rows(*words, *more) for more in ((), ("--objective", "usd=1000000", "--tune")))
    assert thrifty["usd"] < free["usd"]
    assert thrifty["trials"][0]["score"] < free["quality"]


def test_flags_of_the_objective_need_cards(table, waypost, tmp_path):
    words = ("train", table, "--format", "routerbench", "--router", "ridge", "--out", tmp_path / "r")
    _, err = waypost(*words, "--objective", "smaller=0.2", fails=True)
    assert "--config" in err


@pytest.mark.parametrize(("setting", "sentence"), [
    ("squared=False", None),
    ("squared=no", "squared must be true or false, got 'no'"),
    ("c=high", "c must be a number"),
])  # fmt: skip
def test_settings_are_written_as_they_are_shown(table, waypost, tmp_path, setting, sentence):
    words = ("train", table, "--format", "routerbench", "--router", "svm", "--out", tmp_path / "r", "--set", setting)
    _, err = waypost(*words, fails=sentence is not None)
    assert sentence is None or sentence in err
