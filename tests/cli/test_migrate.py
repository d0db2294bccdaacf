"""A store is brought up to date by hand, or asked whether it is."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest

from waypost import cli
from waypost.store.schema import HEAD


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["waypost", "migrate", "--json", *map(str, argv)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    return tmp_path / "rows.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_check_changes_nothing_and_says_so_by_its_code(run, store):
    if "://" not in str(store):
        assert run("--store", store, "--check")[0] == 2 and not store.exists()
        store.touch()
    code, row = run("--store", store, "--check")
    assert (code, row["from"], row["to"], row["newest"]) == (3, None, None, HEAD)
    assert run("--store", store)[1]["to"] == HEAD
    code, row = run("--store", store, "--check")
    assert (code, row["from"]) == (0, HEAD)
    if "://" not in str(store):
        with closing(sqlite3.connect(store)) as connection:
            assert connection.execute("select count(*) from keys").fetchone() == (0,)


def test_a_store_that_cannot_be_used_is_told(run, tmp_path):
    code, row = run("--store", tmp_path / "missing" / "rows.sqlite")
    assert (code, row["error"]["code"]) == (2, "invalid_request_error")
