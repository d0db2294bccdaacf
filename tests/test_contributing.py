"""CONTRIBUTING as a newcomer follows it: one file and one line, and every promise is tested for nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and of the tests of routers, in which the text has been followed."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "routers", folder / "tests" / "routers")
    shutil.copy(ROOT / "pyproject.toml", folder)
    file, code = re.search(r"`(src/waypost/routers/\w+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL).groups()
    (folder / file).write_text(code)
    line = re.search(r"```text\n(from waypost\.routers\.\w+ import .*)\n```", TEXT)[1]
    registry = folder / "src" / "waypost" / "routers" / "__init__.py"
    before = registry.read_text()
    registry.write_text(before.replace("from waypost.routers.knn", f"{line}\nfrom waypost.routers.knn", 1))
    assert registry.read_text().count("\n") == before.count("\n") + 1
    return folder


def run(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    return subprocess.run(
        [sys.executable, *words], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


def test_every_promise_is_tested_without_writing_a_test(checkout: Path) -> None:
    done = run(
        checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/routers/test_promises.py", "-k", "length"
    )
    assert done.returncode == 0, done.stdout
    promises = (checkout / "src" / "waypost" / "checks.py").read_text().count("\ndef promise_")
    # Each promise with both of its example settings, and once that it predicts without torch.
    assert f"{2 * promises + 1} passed" in done.stdout


def test_the_command_line_knows_it(checkout: Path, tmp_path: Path) -> None:
    done = run(
        checkout, "-m", "waypost", "train", "--router", "length", "--set", "bins=3", "--out", str(tmp_path / "r")
    )
    assert done.returncode == 0, done.stderr
    assert '"bins": 3' in (tmp_path / "r" / "router.json").read_text()
    listed = run(checkout, "-m", "waypost", "systems", "length").stdout
    assert listed.startswith("length: decides before the answer")


def test_it_fits_the_house(checkout: Path) -> None:
    file = checkout / "src" / "waypost" / "routers" / "length.py"
    for words in (("ruff", "check", str(file)), ("ruff", "format", "--check", str(file))):
        done = run(checkout, "-m", *words)
        assert done.returncode == 0, done.stdout
