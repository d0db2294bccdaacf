"""``waypost check-config``: what it prints, and its exit code."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from waypost.cli import app
from waypost.gateway.settings import SCHEMA

GOOD = "models:\n  - {name: sums, kind: arithmetic}\nrouter: cheapest\n"


@pytest.fixture
def run(tmp_path):
    def with_text(text: str, *options: str):
        config = tmp_path / "waypost.yaml"
        config.write_text(text)
        return CliRunner().invoke(app, ["check-config", str(config), *options])

    return with_text


def test_a_good_config_is_said_to_be_one(run):
    done = run(GOOD)
    assert (done.exit_code, done.stderr) == (0, "The config can be served.\n")


def test_every_error_is_a_line_and_the_exit_code_is_1(run):
    done = run(GOOD + "stor: x\nlog_prompts: 3\n")
    assert done.exit_code == 1
    assert [line.split(": '")[1].split("'")[0] for line in done.stderr.splitlines()] == ["stor", "log_prompts"]


def test_findings_are_objects_with_json_and_doubts_are_no_errors(run):
    done = run(GOOD + "keys: off\nserver: {host: 0.0.0.0}\n", "--json")
    assert done.exit_code == 0
    [row] = map(json.loads, done.stdout.splitlines())
    assert row["level"] == "warning" and "0.0.0.0" in row["message"]


def test_a_store_that_serve_would_refuse_is_no_config_to_serve(run):
    done = run(GOOD + "store: mysql://host/rows\n")
    assert done.exit_code == 1
    assert "begins with mysql://" in done.stderr and "can be served" not in done.stderr


def test_the_schema_can_be_printed():
    done = CliRunner().invoke(app, ["check-config", "--schema"])
    assert done.stdout == SCHEMA.read_text()
