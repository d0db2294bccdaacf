"""Keys from the command line: the secret is shown once, and the rest can be listed and changed."""

from __future__ import annotations

import json
import sys
import time

import pytest

from waypost import cli
from waypost.store.database import Database
from waypost.store.keys import digest
from waypost.store.keystore import KeyStore


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
        (["revoke", "nobody"], "no key has the id 'nobody'"),
    ],
)
def test_what_cannot_be_meant_is_told(run, argv, says):
    code, told = run("keys", *argv, "--store", "rows.sqlite")
    assert code == 2 and says in told
