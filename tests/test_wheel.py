"""The wheel, installed as a stranger gets it: small, without torch or a compiler, and complete."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (made,) = folder.glob("waypost-*.whl")
    return made


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it depends on; ready-made wheels only, so no compiler runs."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel]
    subprocess.run(install, check=True, capture_output=True)
    return folder


@pytest.fixture
def waypost(clean: Path, tmp_path: Path) -> Run:
    """Run the installed command in an empty folder, with an empty home and nothing in its environment."""

    def run(*arguments: str) -> str:
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        command = [clean / "bin" / "waypost", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment).stdout

    return run


@pytest.mark.parametrize(
    "part", ["py.typed", "embedded/waypost.yaml", "embedded/outcomes.parquet", "embedded/router/router.json"]
)
def test_the_wheel_holds_what_serving_needs(wheel: Path, part: str) -> None:
    assert f"waypost/{part}" in ZipFile(wheel).namelist()


def test_the_wheel_carries_its_licence(wheel: Path) -> None:
    assert [name for name in ZipFile(wheel).namelist() if name.endswith("/licenses/LICENSE")]


def test_a_base_install_is_small(clean: Path) -> None:
    (packages,) = clean.glob("lib/python*/site-packages")
    names = {found.name.lower() for found in distributions(path=[str(packages)])} - {"pip", "setuptools"}
    megabytes = sum(path.lstat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
    assert "torch" not in names
    assert len(names) <= 55
    assert megabytes <= 550


def test_the_command_explains_itself(waypost: Run) -> None:
    assert all(verb in waypost("--help") for verb in ("init", "collect", "train", "eval", "route", "serve", "models"))


def test_the_shipped_table_is_evaluated(waypost: Run) -> None:
    rows = [json.loads(line) for line in waypost("eval", "--json").splitlines()]
    assert all({"router", "test", "n", "quality", "usd", "best_single", "oracle", "ci95"} <= row.keys() for row in rows)
