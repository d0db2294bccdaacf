"""The documentation's code, run.

In each document, from top to bottom and in one empty folder: ```python blocks run (with ``>>>`` as doctests) and share
their names; in ```console blocks the lines after ``$`` run and must succeed, and what is shown below such a line
must be what it prints (``...`` stands for anything).  A block that names 127.0.0.1:8080 finds a gateway with the
embedded pool.  A ```yaml block that begins with ``# waypost.yaml`` is loaded as a config.  ```sh blocks are not run.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from waypost.gateway import settings

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
GATEWAY = "127.0.0.1:8080"
BLOCK = re.compile(r"^```(?P<language>python|console|yaml)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<command>(?:.*\\\n)*.*)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.MULTILINE)
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A piece of code and where it stands."""

    language: str
    code: str
    place: str
    line: int


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [
        Block(m["language"], m["code"], f"{document.name}:{line}", line)
        for m in BLOCK.finditer(text)
        for line in [text.count("\n", 0, m.start()) + 2]
    ]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway with the embedded pool."""
    command = [sys.executable, "-m", "waypost", "serve", "--port", "0", "--json"]
    folder = tmp_path_factory.mktemp("gateway")
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield json.loads(server.stdout.readline())["url"].removeprefix("http://")
        server.terminate()


def run_python(block: Block, names: dict[str, Any]) -> None:
    if not block.code.startswith(">>> "):
        # Blank lines before the code make a traceback name the document's own line.
        exec(compile("\n" * (block.line - 1) + block.code, block.place, "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(block.code, names, block.place, block.place, block.line - 1)
    runner = doctest.DocTestRunner(verbose=False, optionflags=LOOSE)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert not runner.failures, "".join(report)


def run_console(block: Block, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    for match in COMMAND.finditer(block.code):
        command = match["command"]
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block.place}: {command}\n{done.stdout}{done.stderr}"
        if match["shown"].strip():
            shown = doctest.OutputChecker().check_output(match["shown"], done.stdout, LOOSE)
            assert shown, f"{block.place}: {command} shows something else:\n{done.stdout}"


def load_yaml(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not block.code.startswith("# waypost.yaml"):
        return
    for variable in re.findall(r"\$\{(\w+)\}", block.code):
        monkeypatch.setenv(variable, "a-key-of-the-documentation")
    config = folder / "waypost.yaml"
    config.write_text(block.code)
    assert settings.load(config).models, block.place


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_code_of_a_document_runs(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(document):
        if GATEWAY in block.code:
            block = block._replace(code=block.code.replace(GATEWAY, request.getfixturevalue("gateway")))
        if block.language == "python":
            run_python(block, names)
        elif block.language == "console":
            run_console(block, tmp_path)
        else:
            load_yaml(block, tmp_path, monkeypatch)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path, gateway: str, tmp_path: Path) -> None:
    script = tmp_path / example.name
    script.write_text(example.read_text().replace(GATEWAY, gateway))
    done = subprocess.run([sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert not [target for target in targets if not (document.parent / target).exists()]
