"""``waypost calibrate`` as a user runs it: a goal, what it will do, and a check of traffic later."""

import json
import shutil

import numpy as np
import pytest
import yaml

from waypost import cli, routers
from waypost.cli import traffic
from waypost.gateway.settings import load
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table, parquet
from waypost.outcomes.calibration import Calibration
from waypost.store import Decided, Writer
from waypost.strategies import Single
from waypost.types import ModelCard, Query

MODELS = ("tiny", "maths-expert", "large")


def own(n, seed=0):
    """The example table with prompts that all differ, as a user's do."""
    table = example_table(n, seed=seed)
    numbers = np.random.default_rng(seed).choice(np.arange(1000, 10_000), n, replace=False)
    prompts = tuple(f"{prompt} ({number})" for prompt, number in zip(table.prompts, numbers, strict=True))
    return Outcomes(table.ids, prompts, table.groups, table.models, table.quality_NM, table.usd_NM)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table, a router trained on a part of it, and a calibration of that router."""
    folder = tmp_path_factory.mktemp("made")
    parquet.write(folder / "own.parquet", own(3000))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train = ("train", "own.parquet", "--router", "domain", "--out", "router")
        assert status(*train, monkeypatch=patch) == 0
        goal = ("calibrate", "own.parquet", "--router", "router", "--keep", "0.95", "--out", "calibration.json")
        assert status(*goal, monkeypatch=patch) == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(*words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["waypost", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_a_goal_gives_a_promise_and_lines_to_paste(folder, waypost):
    out, err = waypost("calibrate", "own.parquet", "--router", "router", "--keep", "0.95")
    assert "of the quality of large" in out and "questions, measured on" in out
    assert "questions that router has not seen" in err
    pasted = yaml.safe_load(out.split("In waypost.yaml:")[1])
    assert pasted["router"] == "router" and pasted["profiles"]["default"]["usd"] > 0


def test_json_says_all_of_it(folder, rows):
    (row,) = rows("calibrate", "own.parquet", "--router", "ridge", "--usd-per-day", 5, "--requests-per-day", 50_000)
    promise = row["promise"]
    low, high = promise["usd"]["ci95"]
    assert low <= promise["usd"]["value"] <= high and row["goal"] == {"usd_per_day": 5.0}
    assert promise["usd_per_day"]["value"] == pytest.approx(50_000 * promise["usd"]["value"])
    assert set(promise["share"]) == {"tiny", "maths-expert", "large"}


@pytest.mark.parametrize(
    ("goal", "asked"),
    [(["--keep", 0.95], "asked 95.0%, measured "), (["--share", "large=0.3"], "asked 30.0%, measured "),
     (["--usd-per-query", 1e-4], "asked $0.0001, measured $"),
     (["--usd-per-day", 5, "--requests-per-day", 50_000], "asked $5, measured $")],
)  # fmt: skip
def test_whether_the_goal_was_met_on_other_questions_is_said(folder, waypost, rows, goal, asked):
    words = ("calibrate", "own.parquet", "--router", "ridge", "--resamples", 100, *goal)
    (line,) = (line for line in waypost(*words)[0].splitlines() if line.startswith("asked "))
    assert line.startswith(asked)
    (row,) = rows(*words)
    reached = row["promise"]["reached"]
    assert line.endswith(f": {reached['verdict']}") and set(reached) == {"asked", "measured", "verdict"}


def test_calls_that_fall_through_to_a_model_are_told(tmp_path, monkeypatch, waypost, rows):
    monkeypatch.chdir(tmp_path)
    words = ("calibrate", "--router", "ridge", "--share", "smollm2-135m=0.3", "--resamples", 50)
    err = waypost(*words)[1]
    assert "smollm2-135m is the first choice for " in err and "what others decline falls to it" in err
    promise = rows(*words)[0]["promise"]
    assert promise["share"]["smollm2-135m"]["value"] > promise["first"]["smollm2-135m"]["value"] + 0.3


def test_where_to_write_is_looked_at_before_anything_is_computed(folder, waypost):
    goal = ("calibrate", "none.parquet", "--router", "ridge", "--keep", 0.9, "--out")
    assert "there is no folder nodir; name a file" in waypost(*goal, "nodir/cal.json", fails=True)[1]
    assert "--out router cannot be written: it is a folder" in waypost(*goal, "router", fails=True)[1]


def test_a_share_is_sent_to_a_model(folder, rows):
    (row,) = rows("calibrate", "own.parquet", "--router", "ridge", "--share", "large=0.3", "--resamples", 100)
    assert set(row["objective"]["bias"]) == {"large"}
    low, high = row["promise"]["share"]["large"]["ci95"]
    assert low < 0.3 < high


def test_the_calibration_is_kept_with_what_drift_is_told_by(folder):
    known = Calibration.read(folder / "calibration.json")
    assert known.goal == {"keep": 0.95} and known.router == "router" and len(known.fingerprint) == 64
    assert known.promise["kept"]["ci95"][0] > 0.5
    assert sum(known.reference.choices.values()) > 500


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "give one goal: --keep, --usd-per-query, --usd-per-day or --share; got none"),
        (["--keep", "0.9", "--usd-per-query", "1"], "got --keep, --usd-per-query"),
        (["--usd-per-day", "3"], "--usd-per-day needs --requests-per-day"),
        (["--share", "large"], "--share must be written model=0.3"),
        (["--share", "large=30"], "with a share between 0 and 1, got 'large=30'"),
        (["--share", "larg=0.3"], "Did you mean 'large'"),
        (["--keep", "0.9", "--objective", "usd=3"], "--objective usd or budget is what is to be found"),
        (["--usd-per-query", "1e-12"], "even the cheapest choices cost $"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(folder, waypost, words, problem):
    assert problem in waypost("calibrate", "own.parquet", "--router", "ridge", *words, fails=True)[1]


def test_a_router_must_be_named_and_must_not_have_seen_it_all(folder, waypost):
    assert "--router: name the router" in waypost("calibrate", "own.parquet", "--keep", 0.9, fails=True)[1]
    waypost("train", "own.parquet", "--router", "domain", "--out", "all", "--all")
    words = ("calibrate", "own.parquet", "--router", "all", "--keep", "0.9")
    assert "all was trained on every row of own" in waypost(*words, fails=True)[1]


def test_a_router_from_elsewhere_is_calibrated_on_the_whole_table(folder, waypost):
    parquet.write(folder / "other.parquet", own(900, seed=5))
    _, err = waypost("calibrate", "other.parquet", "--router", "router", "--keep", "0.9")
    assert "so all of its 900 questions are used" in err


def log(folder, prompts, form="jsonl"):
    path = folder / f"log.{form}"
    if form == "csv":
        path.write_text("time,question\n" + "".join(f'0,"{prompt}"\n' for prompt in prompts))
    else:
        path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    return path


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_traffic_of_the_same_kind_has_not_drifted(folder, waypost, form):
    path = log(folder, own(600, seed=3).prompts, form)
    out, _ = waypost("calibrate", path, "--check", "calibration.json")
    assert "has not drifted: 600 prompts" in out


def test_traffic_of_another_kind_has(folder, capsys, monkeypatch):
    table = own(2000, seed=3)
    maths = [prompt for prompt, group in zip(table.prompts, table.groups, strict=True) if group == "maths"]
    path = log(folder, maths)
    assert status("calibrate", path, "--check", "calibration.json", monkeypatch=monkeypatch) == 1
    out = capsys.readouterr().out
    assert "log.jsonl: drifted:" in out and "choice (PSI" in out
    assert status("calibrate", path, "--check", "calibration.json", "--json", monkeypatch=monkeypatch) == 1
    row = json.loads(capsys.readouterr().out)
    assert row["verdict"] == "drifted" and {"feature", "psi", "p", "drifted"} == set(row["shifts"][0])
    assert status("calibrate", log(folder, maths[:50]), "--check", "calibration.json", monkeypatch=monkeypatch) == 3
    assert "too few: 50 prompts" in capsys.readouterr().out


def store(folder, prompts, objective, keep):
    """The store of a gateway that served some prompts."""
    strategy = Single(routers.load(folder / "router"), {name: ModelCard(name) for name in MODELS})
    writer = Writer(folder / "waypost.sqlite")
    for number, prompt in enumerate(prompts):
        decision = strategy.decide(Query.of(prompt), objective)
        kept = prompt if keep else None
        writer.put(Decided(str(number), float(number), "", kept, "auto", decision, (), "tiny", 0.0, 0.0, 1, 1, 200))
    writer.close()
    return folder / "waypost.sqlite"


@pytest.mark.parametrize("keep", [True, False])
def test_the_store_of_a_gateway_is_a_log_too(folder, rows, waypost, keep):
    objective = Objective.from_mapping(Calibration.read(folder / "calibration.json").objective)
    path = store(folder, own(400, seed=4).prompts, objective, keep)
    (row,) = rows("calibrate", path, "--check", "calibration.json")
    assert (row["verdict"], row["n"]) == ("has not drifted", 400)
    assert ("length" in {shift["feature"] for shift in row["shifts"]}) == keep


def test_of_a_store_only_what_the_calibration_decided_is_looked_at(folder, waypost):
    path = store(folder, own(300, seed=4).prompts, Objective(usd=1.0), keep=True)
    out = waypost("calibrate", path, "--check", "calibration.json", fails=True)[1]
    assert "300 of 300 decisions were made by another trade-off" in out
    assert "has no decision by the calibrated trade-off" in out
    (folder / "waypost.sqlite").write_bytes(b"SQLite format 3\0 and then nothing")
    assert "is no store of waypost serve" in waypost("calibrate", path, "--check", "calibration.json", fails=True)[1]


def test_a_table_is_a_log_too(folder, waypost):
    parquet.write(folder / "new.parquet", own(500, seed=9))
    assert "has not drifted: 500 prompts" in waypost("calibrate", "new.parquet", "--check", "calibration.json")[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"prompt": "Hi"}\n{oops', "log.jsonl:2: this is not JSON"),
        ('{"promt": "Hi"}', "log.jsonl:1: no prompt; a line is a text, or has one of the fields prompt, question"),
        ("", "has no prompts"),
    ],
)
def test_a_log_that_cannot_be_read_is_told_by_line(folder, waypost, content, problem):
    (folder / "log.jsonl").write_text(content)
    assert problem in waypost("calibrate", "log.jsonl", "--check", "calibration.json", fails=True)[1]


def test_a_log_in_another_encoding_is_one_sentence(folder, waypost):
    (folder / "log.csv").write_bytes("prompt\nGrüße\n".encode("latin-1"))
    said = waypost("calibrate", "log.csv", "--check", "calibration.json", fails=True)[1]
    assert "log.csv is no CSV file in UTF-8" in said and "Traceback" not in said


def test_lines_may_be_texts_or_conversations(tmp_path):
    lines = ["Hello", {"messages": [{"role": "user", "content": "What is 2 times 3?"}]}, {"question": "Hi"}]
    (tmp_path / "log.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    assert traffic.prompts(tmp_path / "log.jsonl", "waypost") == ("Hello", "What is 2 times 3?", "Hi")


def test_a_check_wants_the_router_that_was_calibrated(folder, waypost):
    waypost("train", "own.parquet", "--router", "ridge", "--out", "other")
    path = log(folder, ["Hi"] * 300)
    words = ("calibrate", path, "--check", "calibration.json")
    assert "other is not the router that was calibrated" in waypost(*words, "--router", "other", fails=True)[1]
    assert "'ridge' is no such folder" in waypost(*words, "--router", "ridge", fails=True)[1]
    assert "name the log too" in waypost("calibrate", "--check", "calibration.json", fails=True)[1]
    assert "leave out --keep" in waypost(*words, "--keep", "0.9", fails=True)[1]


def test_a_calibration_is_what_a_config_takes(folder):
    (folder / "waypost.yaml").write_text(
        "models: [{name: tiny, kind: arithmetic}, {name: large, kind: arithmetic}]\nrouter: router\n"
        "calibration: calibration.json"
    )
    settings = load(folder / "waypost.yaml", {})
    assert settings.profiles["default"].usd == Calibration.read(folder / "calibration.json").objective["usd"]
