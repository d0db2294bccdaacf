"""``waypost estimate``: from a log of chance decisions to a sentence."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from waypost.evaluation import play
from waypost.objective import Objective
from waypost.outcomes import example_table, parquet
from waypost.routers import make, save

CHANCES = {"tiny": 0.5, "maths-expert": 0.2, "large": 0.3}


@pytest.fixture(scope="module")
def tables():
    return example_table(2500, seed=1).split(0.4)


@pytest.fixture
def train(tables, tmp_path):
    path = tmp_path / "train.parquet"
    parquet.write(path, tables[0].rows())
    return path


@pytest.fixture
def log(tables, tmp_path):
    """What a policy that draws by CHANCES would have logged; ``change`` alters each row."""

    def write(change=lambda row: row, name="log.jsonl"):
        live, rng = tables[1], np.random.default_rng(0)
        rows = []
        for n, prompt in enumerate(live.prompts):
            model = str(rng.choice(list(CHANCES), p=list(CHANCES.values())))
            m = live.models.index(model)
            earned = {"quality": float(live.quality_NM[n, m]), "usd": float(live.usd_NM[n, m])}
            rows.append(change({"prompt": prompt, "model": model, "propensities": CHANCES, **earned}))
        path = tmp_path / name
        path.write_text("\n".join(map(json.dumps, rows)))
        return path

    return write


def test_a_router_is_estimated_as_the_whole_table_says(tables, log, train, rows):
    [found] = rows("estimate", log(), "--router", "domain", "--train", train)
    truth = play(make("domain").fit(tables[0]), tables[1], Objective())
    for name, one in found["estimates"].items():
        low, high = one["quality"]["ci95"]
        assert name == "direct" or low <= truth.quality <= high, name
        assert one["usd"]["value"] == pytest.approx(truth.usd, rel=0.2), name
    assert found["verdict"] == "better" and found["best"] == "doubly robust"
    assert (found["n"], found["supported"], found["doubts"]) == (len(tables[1]), 1.0, [])
    assert 0 < found["effective"] < found["n"]


def test_people_read_each_estimator_and_a_plain_sentence(log, train, waypost):
    out, err = waypost("estimate", log(), "--router", "domain,cheapest", "--train", train)
    words = ("served", "ips", "snips", "direct", "doubly robust", "vs served", "decisions, domain")
    assert [word for word in words if word not in out] == []
    assert "domain would have been better than what was served: quality +" in out
    assert "cheapest would have been worse than what was served: quality -" in out
    assert "instead of $" in out and "per 1,000" in out
    assert "fitting ridge on four fifths of the log, five times" in err


def test_what_the_log_cannot_tell_is_said(log, train, waypost):
    few = log().read_text().splitlines()[:60]
    path = train.with_name("few.jsonl")
    path.write_text("\n".join(few))
    out, _ = waypost("estimate", path, "--router", "best_single", "--objective", "usd=3000", "--train", train)
    assert "Doubtful: the effective sample is" in out
    assert "Whether best_single would have been better or worse" in out and "this log cannot tell" in out
    assert "of 60 decisions." in out


def test_a_saved_router_needs_no_training_table(tables, log, tmp_path, rows):
    save(make("domain").fit(tables[0]), tmp_path / "saved")
    [saved] = rows("estimate", log(), "--router", tmp_path / "saved")
    assert saved["estimates"]["doubly robust"]["quality"]["value"] > 0.8


def test_the_trade_off_and_a_budget_are_kept(log, train, rows):
    for trade_off, most in (("usd=1e6", 1e-5), ("budget=0.0001", 0.00013)):
        [row] = rows("estimate", log(), "--router", "domain", "--train", train, "--objective", trade_off)
        assert row["estimates"]["snips"]["usd"]["value"] < most


def test_decisions_without_a_quality_and_prompts_seen_in_training_are_said(tables, log, train, waypost):
    unrated = log(lambda row: {**row, "quality": None} if row["model"] == "tiny" and "1" in row["prompt"] else row)
    _, err = waypost("estimate", unrated, "--router", "domain", "--train", train)
    assert "decisions have no quality and are left out" in err
    again = log(lambda row: {**row, "prompt": tables[0].prompts[0]} if row["model"] == "large" else row)
    _, err = waypost("estimate", again, "--router", "domain", "--train", train)
    assert "logged prompts are also in --train, which flatters" in err


def test_a_log_without_support_is_refused_with_the_way_out(log, train, waypost):
    certain = log(lambda row: {**row, "propensities": None, "propensity": 1})
    _, err = waypost("estimate", certain, "--router", "domain", "--train", train, fails=True)
    assert "could not have chosen there" in err and "Every choice in it was certain" in err
    never = log(lambda row: {**row, "model": "tiny" if row["model"] == "large" else row["model"],
                             "propensities": {"tiny": 0.8, "maths-expert": 0.2}})  # fmt: skip
    _, err = waypost("estimate", never, "--router", "domain", "--train", train, fails=True)
    assert "large in " in err
    limited = ("--objective", "allowed=tiny|maths-expert")
    waypost("estimate", never, "--router", "domain", "--train", train, *limited)


def test_a_gateways_store_and_a_router_without_training_are_refused(log, tmp_path, waypost):
    with closing(sqlite3.connect(tmp_path / "waypost.sqlite")) as connection:
        connection.execute("CREATE TABLE decisions (id)")
    _, err = waypost("estimate", tmp_path / "waypost.sqlite", "--router", "domain", fails=True)
    assert "every choice has propensity 1" in err
    _, err = waypost("estimate", log(), "--router", "domain", fails=True)
    assert "'domain' has to be fitted" in err
