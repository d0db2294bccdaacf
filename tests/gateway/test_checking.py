"""A config is checked whole before it is served, without calling or writing anything."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from waypost.errors import BadConfig
from waypost.gateway.build import build
from waypost.gateway.checking import check
from waypost.gateway.settings import load
from waypost.pool.arithmetic import Arithmetic
from waypost.store.database import Database
from waypost.store.keystore import KeyStore

MODEL = "models:\n  - {name: sums, kind: arithmetic}\n"


@pytest.fixture
def findings(tmp_path: Path):
    def of(text: str, **options) -> list[tuple[str, str]]:
        config = tmp_path / "waypost.yaml"
        config.write_text(text)
        found = check(config, {}, **options)
        return [(one.level, one.says.replace(f"{config}:", "line ")) for one in found]

    return of


def test_a_config_without_fault_has_nothing_said_of_it_and_nothing_is_written(findings, tmp_path):
    assert findings(MODEL + "router: cheapest\nstore: rows.sqlite") == []
    assert [path.name for path in tmp_path.iterdir()] == ["waypost.yaml"]


def test_variables_that_are_not_set_and_wrong_fields_are_all_errors(findings):
    found = findings("models:\n  - {name: a, kind: openai, api_key: '${NONE}'}\n  - {name: b, kind: gguf}\nstor: x\n")
    assert [level for level, _ in found] == ["error"] * 3
    assert [says[:6] for _, says in found] == ["line 4", "line 2", "line 3"]


def test_what_only_the_building_shows_is_an_error_too(findings):
    wrong = "  - {name: b, kind: gguf, path: x, template: chatm}\n  - {name: c, kind: gguf, path: x, template: nope}\n"
    found = findings(MODEL + wrong)
    assert [(level, says[:6]) for level, says in found] == [("error", "line 3"), ("error", "line 4")]


def test_what_its_author_may_not_mean_is_a_warning(findings):
    found = findings(
        "models:\n  - {name: arithmetic, kind: arithmetic}\n"
        "  - {name: ours, kind: openai, base_url: 'http://127.0.0.1:9/v1'}\n"
        "  - {name: theirs, kind: openai, api_key: '${NONE}', optional: true}\n"
        "router: builtin\nkeys: off\nserver: {host: 0.0.0.0}\nkeep_days: 30\n"
        "teams: {ours: {usd: 3}, theirs: {usd: 3, per: week}, all: {usd: 3, per: total}}\n"
    )
    assert {level for level, _ in found} == {"warning"}
    said = [says for _, says in found]
    assert said[0] == "line 4: model 'theirs' cannot be called: the environment variable NONE is not set"
    assert said[1].startswith("line 3: model 'ours' has no price in the shipped list, so its cost is unknown: a call ")
    assert "a call that a budget has to pay for is refused; say `usd_per_mtok_in` and" in said[1]
    assert said[2].startswith("line 3: model 'ours' is unknown to the router builtin")
    assert said[3].startswith("line 6: 'keys' is off and 'server.host' is 0.0.0.0")
    assert said[4].startswith("line 8: 'keep_days' is 30, and the team 'ours' has a budget of a month")
    assert said[5].startswith("line 8: 'keep_days' is 30, and the team 'all' has a budget of all time")
    assert len(said) == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keys: optional\nserver: {host: 0.0.0.0}", "line 4: 'keys' is optional and 'server.host' is 0.0.0.0: whoever"),
        ("logs: {requests: all, level: warning}", "line 4: 'logs.requests' is all, and nothing is said of them with"),
    ],
)
def test_what_does_less_than_it_seems_is_a_warning(findings, text, says):
    ((level, found),) = findings(f"{MODEL}router: cheapest\n{text}\nstore: rows.sqlite\n")
    assert level == "warning"
    assert found.startswith(says)


def test_several_workers_count_a_keys_limits_apart(findings):
    (found,) = findings(MODEL + "router: cheapest\nserver: {workers: 2}\nkeys: required\nstore: rows.sqlite")
    assert found[0] == "warning"
    assert found[1].startswith("line 4: 'server.workers' is 2, and each worker counts limits by itself")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("server: {host: 0.0.0.0}", "the server listens on 0.0.0.0, where others can reach it, and nothing is said"),
        ("keys: required", "line 4: 'keys' are kept in the `store`, and there is none"),
        ("server: {workers: 2}\nteams: {ours: {parallel: 3}}", "line 4: 2 workers would each keep the limits of teams"),
    ],
)
def test_who_may_ask_is_checked_before_a_start_would_refuse_it(findings, text, says):
    ((level, found),) = findings(f"{MODEL}router: cheapest\n{text}\n")
    assert level == "error"
    assert says in found


def test_a_model_that_takes_its_time_is_awaited_and_then_closed(findings, monkeypatch):
    """It is not called broken for being slow, and is not closed under a question."""
    asked: list[str] = []

    async def slowly(self) -> None:
        asked.append("asked")
        await go_on.wait()
        asked.append("answered")

    async def close(self) -> None:
        asked.append("closed")

    async def at_once(tasks, **options):
        go_on.set()
        return await wait(tasks, **options)

    go_on, wait = asyncio.Event(), asyncio.wait
    monkeypatch.setattr(Arithmetic, "ready", slowly)
    monkeypatch.setattr(Arithmetic, "close", close)
    monkeypatch.setattr("waypost.gateway.running.readiness._WAIT_SECONDS", 0.0)
    monkeypatch.setattr("waypost.gateway.running.readiness.asyncio.wait", at_once)
    assert findings(MODEL + "router: cheapest", connect=True) == []
    assert asked == ["asked", "answered", "closed"]


def test_redis_is_asked_for_a_word(findings, redis_url, tmp_path):
    dead = f"unix://{tmp_path}/nobody.sock"
    text = MODEL + f"router: cheapest\nlimits: {{redis: '{redis_url}'}}\ncache: {{redis: '{dead}'}}"
    assert findings(text) == []
    ((level, says),) = findings(text, connect=True)
    assert level == "error"
    assert says.startswith("line 5: 'cache.redis' does not answer: Error 2 connecting to ")
    ((level, says),) = findings(text.replace(redis_url, dead).replace(f"cache: {{redis: '{dead}'}}", ""), connect=True)
    assert says.startswith("line 4: 'limits.redis' does not answer")


def test_models_are_asked_and_the_store_is_opened_only_when_told_to(findings, tmp_path):
    (tmp_path / "rows.sqlite").write_text("no database, for sure, but long enough to look like one " * 20)
    price = "usd_per_mtok_in: 1, usd_per_mtok_out: 1"
    dead = f"models:\n  - {{name: a, kind: openai, base_url: 'http://127.0.0.1:9/v1', {price}}}\n"
    text = dead + "router: cheapest\nstore: rows.sqlite\n"
    assert findings(text) == []
    (first, model), (second, store) = findings(text, connect=True)
    assert (first, second) == ("error", "error")
    assert model.startswith("line 2: model 'a' is not ready")
    assert store.startswith("line 4: 'store' cannot be used")


def test_a_key_of_a_team_that_the_config_does_not_know_is_told(findings, tmp_path):
    database = Database(tmp_path / "rows.sqlite")
    KeyStore(database).create("laptop", team="reserch")
    KeyStore(database).create("other", team="research")
    database.close()
    text = MODEL + "router: cheapest\nstore: rows.sqlite\nkeys: required\nteams: {research: {usd: 5}}"
    assert findings(text) == []
    ((level, says),) = findings(text, connect=True)
    assert level == "warning" and "is of the team 'reserch', which has no limits" in says


@pytest.fixture
def nothing_connected(monkeypatch):
    """Whoever connects to something fails the test."""

    def connect(*_):
        raise AssertionError("without --connect nothing is connected to")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr("psycopg.connect", connect)


@pytest.mark.parametrize(
    ("store", "says"),
    [
        ("mysql://root:hunter2@host/rows", "got one that begins with mysql://"),
        ("sqlite:///rows.sqlite", "got one that begins with sqlite://"),
        ("postgresql+asyncpg://me:hunter2@host/rows", "got one that begins with postgresql+asyncpg://"),
        ("postgresql://me:hunter2@127.0.0.1:1/rows?sslmod=require", "the store's URL cannot be read"),
    ],
)
def test_a_store_that_a_start_refuses_unseen_is_an_error(findings, nothing_connected, store, says, tmp_path):
    ((level, said),) = findings(MODEL + f"router: cheapest\nstore: '{store}'")
    assert level == "error" and said.startswith("line 4: 'store' cannot be used") and says in said
    assert "hunter2" not in said
    assert findings(MODEL + "router: cheapest\nstore: 'postgresql://me@127.0.0.1:1/rows'") == []
    assert [path.name for path in tmp_path.iterdir()] == ["waypost.yaml"]


@pytest.mark.parametrize("section", ["limits", "cache", "sessions"])
@pytest.mark.parametrize("connect", [False, True])
def test_a_redis_that_a_start_refuses_unseen_is_an_error(findings, nothing_connected, monkeypatch, section, connect):
    text = MODEL + f"router: cheapest\n{section}: {{redis: 'redis://127.0.0.1:1/0?colour=blue'}}"
    ((level, said),) = findings(text, connect=connect)
    assert level == "error" and said.startswith(f"line 4: '{section}.redis' cannot be used: give a URL like redis://")
    assert findings(text.replace("?colour=blue", "")) == []
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    ((level, said),) = findings(text, connect=connect)
    assert (level, said.partition("used: ")[2]) == ("error", "it needs pip install 'waypost[redis]'")


def test_a_postgres_without_its_driver_is_an_error(findings, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    ((level, said),) = findings(MODEL + "router: cheapest\nstore: 'postgresql://me@host/rows'")
    assert level == "error" and "pip install 'waypost[postgres]'" in said


def test_a_model_whose_file_is_not_there_is_a_doubt_since_the_gateway_starts_without_it(
    findings, monkeypatch, tmp_path
):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: name == "xllamacpp" or found(name, *rest))
    price = "usd_per_mtok_in: 0, usd_per_mtok_out: 0"
    text = f"{MODEL}  - {{name: mine, kind: gguf, path: mine.gguf, {price}}}\nrouter: cheapest\n"
    ((level, said),) = findings(text)
    assert level == "warning"
    assert said == (
        f"line 3: model 'mine' is not ready: the model's file {tmp_path / 'mine.gguf'} is missing; "
        "check the path of 'mine'"
    )
    (tmp_path / "mine.gguf").touch()
    assert findings(text) == []


@pytest.mark.parametrize(
    ("limits", "rest", "says"),
    [
        (", limits: {usd: 5}", "", "every call of it is refused, for its own `limits` have a budget in USD"),
        (
            "",
            "keys: required\nteams: {red: {usd: 3}, blue: {usd: 3}, slow: {parallel: 1}}\n",
            "a call of it with a key of the team 'red' or 'blue' is refused, for that has a budget in USD",
        ),
        (", limits: {parallel: 1}", "keys: required\n", "a call that a budget has to pay for is refused"),
    ],
)
def test_whose_budget_refuses_a_model_without_a_price_is_said(findings, limits, rest, says):
    model = f"models:\n  - {{name: ours, kind: openai, base_url: 'http://127.0.0.1:9/v1'{limits}}}\n"
    ((level, said),) = findings(f"{model}router: cheapest\nstore: rows.sqlite\n{rest}")
    assert level == "warning" and f"so its cost is unknown: {says}; say `usd_per_mtok_in`" in said


def test_a_store_that_may_only_be_read_serves_nobody():
    """Its first row would be the first to be lost.  Root, as whom tests may run, may write everywhere."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="wp-store-") as folder:
        config, store = Path(folder) / "waypost.yaml", Path(folder) / "rows.sqlite"
        config.write_text(f"{MODEL}router: cheapest\nstore: rows.sqlite\n")
        database = Database(store)
        database.migrate()
        database.close()
        store.chmod(0o444)
        Path(folder).chmod(0o777)
        try:
            if root:
                os.seteuid(65534)
            ((level, said),) = ((one.level, one.says) for one in check(config, {}, connect=True))
            with pytest.raises(BadConfig, match="cannot be written to"):
                build(load(config, {}))
        finally:
            if root:
                os.seteuid(0)
    assert level == "error" and "let the user that runs Waypost write the file and its folder" in said
