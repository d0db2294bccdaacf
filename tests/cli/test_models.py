"""`waypost models`: what is there, and how to bring what is not."""

import json

import pytest
from typer.testing import CliRunner

from waypost.cli.models import app
from waypost.errors import BadInput, UnknownModel


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def invoke(*words):
        return CliRunner().invoke(app, list(words))

    return invoke


def test_the_list_tells_price_size_and_what_is_installed(run):
    rows = {row["name"]: row for row in map(json.loads, run("--json").stdout.splitlines())}
    assert set(rows) == {"smollm2-135m", "gemma3-270m", "arithmetic", "translate"}
    assert rows["arithmetic"]["installed"] and not rows["smollm2-135m"]["installed"]
    assert rows["smollm2-135m"]["megabytes"] == 98
    assert rows["smollm2-135m"]["usd_per_mtok_out"] > rows["smollm2-135m"]["usd_per_mtok_in"] > 0


def test_the_list_is_a_table_for_people(run):
    shown = run().stdout
    assert "smollm2-135m" in shown and "installed" in shown


def test_adding_brings_the_weights_and_adding_again_says_that_they_are_there(run, tmp_path, smollm2):
    (tmp_path / "waypost").mkdir()
    (tmp_path / "waypost" / smollm2.name).symlink_to(smollm2)
    result = run("add", "smollm2-135m", "--json")
    path = tmp_path / "waypost" / smollm2.name
    expected = {"name": "smollm2-135m", "path": str(path), "size": path.stat().st_size, "added": False}
    assert json.loads(result.stdout) == expected
    assert "was already at" in run("add", "smollm2-135m").stderr
    assert {"installed": True}.items() <= json.loads(run("--json").stdout.splitlines()[0]).items()


def test_terms_are_shown_and_not_accepted_by_silence(run):
    error = run("add", "gemma3-270m").exception
    assert isinstance(error, BadInput)
    assert "Gemma Terms of Use" in str(error) and "--accept-terms" in str(error)


def test_an_unknown_model_is_refused_with_the_nearest_name(run):
    error = run("add", "smolm2").exception
    assert isinstance(error, UnknownModel)
    assert "Did you mean 'smollm2-135m'?" in str(error)
