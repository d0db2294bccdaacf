"""The command as a user runs it: quick to start, one clear line on errors."""

import json
import resource
import statistics
import subprocess
import sys

import pytest

import waypost
from waypost import cli

COMMANDS = (
    "init", "models", "collect", "import", "train", "eval", "report", "calibrate", "audit", "estimate", "route",
    "serve", "systems",
)  # fmt: skip


def run(monkeypatch, capsys, *words):
    """Exit code, stdout and stderr of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["waypost", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    return ended.value.code, shown.out, shown.err


def test_help_names_every_command(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "--help")
    assert code == 0
    for command in COMMANDS:
        assert f" {command} " in out


def test_every_command_has_help_and_json(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    for command in COMMANDS:
        code, out, _ = run(monkeypatch, capsys, command, "-h")
        assert code == 0
        assert "--json" in out


def test_version(monkeypatch, capsys):
    assert run(monkeypatch, capsys, "--version")[:2] == (0, f"{waypost.__version__}\n")


def test_an_error_is_one_line_on_stderr_and_exit_code_2(monkeypatch, capsys, tmp_path):
    code, out, err = run(monkeypatch, capsys, "eval", tmp_path / "gone.parquet")
    assert (code, out) == (2, "")
    assert err.startswith(f"waypost: no file {tmp_path}/gone.parquet; ")
    assert err.count("\n") == 1


def test_machines_also_get_the_error_as_an_object(monkeypatch, capsys, tmp_path):
    code, out, _ = run(monkeypatch, capsys, "eval", tmp_path / "gone.parquet", "--json")
    assert code == 2
    assert json.loads(out)["error"]["type"] == "BadTable"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("eval", "--resamples", "x", "--json"), "'--resamples'"),
        (("eval", "--no-such", "--json"), "--no-such"),
        (("route", "--json"), "'prompt'"),
        (("evil", "--json"), "evil"),
    ],
)
def test_machines_also_get_what_is_wrong_with_a_command_line(monkeypatch, capsys, words, message):
    code, out, err = run(monkeypatch, capsys, *words)
    assert code == 2
    assert out.count("\n") == 1
    error = json.loads(out)["error"]
    assert message in error["message"]
    assert error["code"] == "invalid_request_error"
    assert "Usage:" in err


def test_a_mistyped_command_names_the_nearest(monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, "evil")
    assert code == 2
    assert "Did you mean 'eval'?" in err


def test_help_comes_at_once():
    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "waypost", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Processor time, which other programs of a busy machine do not stretch.
    assert statistics.median(once() for _ in range(5)) < 1


def test_starting_the_command_imports_nothing_heavy():
    code = "import sys, waypost.cli; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"sklearn", "scipy", "duckdb", "yaml", "uvicorn", "wordllama", "tokenizers", "plotly"}
    assert not heavy & set(done.stdout.split())
