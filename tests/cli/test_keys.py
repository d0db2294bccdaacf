"""Keys from the command line: the secret is shown once, and the rest can be listed and changed."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from waypost import cli
from waypost.store import Decided, Writer
from waypost.store.database import Database
from waypost.store.keys import digest
from waypost.store.keystore import KeyStore
from waypost.store.limits import Limits
from waypost.store.schema import HEAD
from waypost.types import Decision


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["waypost", *map(str, argv)])
        try:
            cli.main()
        except SystemExit as ended:
            if ended.code:
                return ended.code, capsys.readouterr().err
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return run


def stored(path="rows.sqlite"):
    database = Database(path)
    try:
        return KeyStore(database).find_all()
    finally:
        database.close()


def test_a_key_is_made_with_all_its_limits_and_shown_once(run):
    limits = ["--requests-per-minute", 60, "--tokens-per-minute", 100_000, "--parallel", 4, "--usd", 50, "--per", "day"]
    who = ["--name", "laptop", "--team", "red", "--models", "small, large", "--expires", "30d"]
    (made,) = run("keys", "create", *who, *limits, "--store", "rows.sqlite", "--json")
    key = stored()[digest(made["secret"])]
    assert (key.id, key.name, key.team, key.models) == (made["id"], "laptop", "red", ("small", "large"))
    assert (key.limits.requests_per_minute, key.limits.tokens_per_minute, key.limits.parallel) == (60, 100_000, 4)
    assert (key.limits.usd, key.limits.per) == (50.0, "day")
    assert abs(key.expires - time.time() - 30 * 86_400) < 60
    (listed,) = run("keys", "list", "--store", "rows.sqlite", "--json")
    assert (listed["id"], listed["state"], listed["usd"]) == (made["id"], "valid", 50.0)
    assert made["secret"] not in json.dumps(listed) and key.digest not in json.dumps(listed)


def test_a_key_is_revoked_and_another_rotated(run):
    first, second = (run("keys", "create", "--name", n, "--store", "a.sqlite", "--json")[0] for n in ("a", "b"))
    run("keys", "revoke", first["id"], "--store", "a.sqlite")
    (rotated,) = run("keys", "rotate", second["id"], "--store", "a.sqlite", "--json")
    rows = {row["id"]: row["state"] for row in run("keys", "list", "--store", "a.sqlite", "--json")}
    assert rows == {first["id"]: "revoked", second["id"]: "valid"}
    assert digest(rotated["secret"]) in stored("a.sqlite") and digest(second["secret"]) not in stored("a.sqlite")


def test_the_store_of_the_config_is_meant_where_none_is_named(run, tmp_path):
    config = "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\n"
    (tmp_path / "waypost.yaml").write_text(config + "store: mine.sqlite")
    (made,) = run("keys", "create", "--name", "laptop", "--json")
    assert digest(made["secret"]) in stored(tmp_path / "mine.sqlite")
    (tmp_path / "waypost.yaml").write_text(config)
    assert "has no `store`" in run("keys", "list")[1]


def test_no_store_is_made_where_the_gateway_s_is_not_known(run, tmp_path):
    for command in (["keys", "create", "--name", "laptop"], ["shadow"], ["canary"], ["migrate"]):
        code, said = run(*command)
        assert code == 2 and "name the gateway's with --config, or --store" in said
    assert not list(tmp_path.iterdir())


def test_a_url_may_take_its_password_from_the_environment(run, monkeypatch, postgres_url):
    monkeypatch.setenv("STORE_URL", postgres_url)
    (made,) = run("keys", "create", "--name", "laptop", "--store", postgres_url, "--json")
    monkeypatch.setenv("HOST", postgres_url.partition("//")[2])
    (listed,) = run("keys", "list", "--store", "postgresql://${HOST}", "--json")
    assert listed["id"] == made["id"]
    assert "NOT_THERE, which is not set" in run("keys", "list", "--store", "postgresql://${NOT_THERE}@host/rows")[1]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["create", "--name", "a", "--per", "year"], "--per must be one of day, week, month, total, got 'year'"),
        (["create", "--name", "a", "--expires", "soon"], "such as 30d; got 'soon'"),
        (["create", "--name", "a", "--expires", "999999w"], "at most 100 years, got '999999w'"),
        (["create", "--name", "a", "--usd", "inf"], "--usd must be at most 1,000,000,000, got inf"),
        (["revoke", "nobody"], "no key has the id 'nobody'"),
        (["change", "nobody", "--usd", "5"], "no key has the id 'nobody'"),
        (["change", "nobody", "--clear", "usdd"], "got 'usdd'. Did you mean 'usd'?"),
    ],
)
def test_what_cannot_be_meant_is_told(run, argv, says):
    Database("rows.sqlite").migrate()
    code, told = run("keys", *argv, "--store", "rows.sqlite")
    assert code == 2 and says in told


def test_a_key_is_changed_and_keeps_what_is_not_said(run):
    limits = ["--usd", 5, "--per", "day", "--requests-per-minute", 60, "--team", "red", "--models", "small"]
    (made,) = run("keys", "create", "--name", "laptop", *limits, "--store", "a.sqlite", "--json")
    said = ["--usd", 50, "--models", "small,large", "--clear", "team,requests-per-minute", "--expires", "30d"]
    (told,) = run("keys", "change", made["id"], *said, "--store", "a.sqlite", "--json")
    assert (told["usd"], told["per"], told["models"]) == (50.0, "day", ["small", "large"])
    assert (told["team"], told["requests_per_minute"], told["name"]) == (None, None, "laptop")
    key = stored("a.sqlite")[digest(made["secret"])]
    assert (key.limits, key.models, key.team) == (Limits(usd=50.0, per="day"), ("small", "large"), None)
    assert abs(key.expires - time.time() - 30 * 86_400) < 60


def test_what_a_key_has_spent_of_its_budget_is_listed(run):
    (rich,) = run("keys", "create", "--name", "a", "--usd", 5, "--store", "a.sqlite", "--json")
    (free,) = run("keys", "create", "--name", "b", "--store", "a.sqlite", "--json")
    writer = Writer(Path("a.sqlite"))
    decision = Decision("cheapest", ("small",), {}, {}, {}, {}, {}, {}, "why")
    for number, when in enumerate((time.time(), 1000.0)):
        paid = Decided(str(number), when, "", None, "auto", decision, (), "small", 0.25, 0.1, 9, 5, 200, key=rich["id"])
        writer.put(paid)
    writer.close()
    rows = {row["id"]: row["spent"] for row in run("keys", "list", "--store", "a.sqlite", "--json")}
    assert rows == {rich["id"]: 0.25, free["id"]: None}


def test_a_revoked_key_gets_no_new_secret(run):
    (made,) = run("keys", "create", "--name", "a", "--store", "a.sqlite", "--json")
    run("keys", "revoke", made["id"], "--store", "a.sqlite")
    code, told = run("keys", "rotate", made["id"], "--store", "a.sqlite")
    assert code == 2 and "was revoked" in told
    assert digest(made["secret"]) in stored("a.sqlite")


def test_a_mistyped_store_is_told_and_not_made(run, tmp_path):
    for argv in (
        ["keys", "list"],
        ["keys", "revoke", "k"],
        ["keys", "rotate", "k"],
        ["keys", "change", "k", "--usd", 1],
        ["migrate", "--check"],
        ["shadow"],
    ):
        code, told = run(*argv, "--store", "wayposd.sqlite")
        assert code == 2 and "there is no store wayposd.sqlite" in told
    assert not list(tmp_path.iterdir())


def test_a_team_that_the_config_does_not_know_is_told(run, tmp_path, monkeypatch, capsys):
    config = "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\nstore: a.sqlite\n"
    (tmp_path / "waypost.yaml").write_text(config + "teams: {research: {usd: 5}}\n")
    for team, warned in (("reserch", True), ("research", False)):
        monkeypatch.setattr(sys, "argv", ["waypost", "keys", "create", "--name", "a", "--team", team])
        with suppress(SystemExit):
            cli.main()
        told = capsys.readouterr()
        assert ("Did you mean 'research'" in " ".join((told.out + told.err).split())) == warned


def test_keys_are_managed_where_the_secrets_of_models_and_redis_are_not_known(run, tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "REDIS_URL", "STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    config = (
        "models: [{name: gpt, kind: openai, api_key: '${OPENAI_API_KEY}'}]\nlimits: {redis: '${REDIS_URL}'}\n"
        "keys: required\nteams: {research: {usd: 5}}\n"
    )
    (tmp_path / "waypost.yaml").write_text(config + "store: mine.sqlite\n")
    (made,) = run("keys", "create", "--name", "laptop", "--team", "research", "--json")
    assert run("keys", "change", made["id"], "--usd", 5, "--json")[0]["usd"] == 5
    assert run("keys", "revoke", made["id"]) == []
    assert [row["state"] for row in run("keys", "list", "--json")] == ["revoked"]
    assert run("migrate", "--json")[0]["from"] == HEAD
    (tmp_path / "waypost.yaml").write_text(config + "store: '${STORE_URL}'\n")
    code, told = run("keys", "list")
    assert (
        code == 2 and "waypost.yaml:5: 'store' refers to the environment variable STORE_URL, which is not set" in told
    )
    (tmp_path / "waypost.yaml").write_text(config + "stor: mine.sqlite\n")
    assert "Did you mean 'store' or" in run("keys", "list")[1]


def test_no_key_is_made_when_the_teams_cannot_be_read(run, tmp_path):
    (tmp_path / "waypost.yaml").write_text("store: mine.sqlite\nteams: {research: {used: 5}}\n")
    code, told = run("keys", "create", "--name", "laptop", "--team", "research")
    assert code == 2 and "Did you mean 'usd'?" in told
    assert not (tmp_path / "mine.sqlite").exists()
