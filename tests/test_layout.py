"""Where a line of code may stand: the rooms, the arrows between them, and the size of a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.experts import ROUTERS as TOKEN_ROUTERS
from waypost.routers import ROUTERS

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "waypost"
MODULES = sorted(SRC.rglob("*.py"))
PROJECT = ("src", "tests", "docs", "deploy", "examples", "benchmarks", "reproductions", ".ci")

NOUNS = {"types", "errors"}
FACTS = {"pool", "encoders", "outcomes", "objective"}
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    **dict.fromkeys(FACTS, NOUNS),
    "pool": NOUNS | {"encoders"},
    "routers": NOUNS | FACTS,
    "checks": NOUNS | FACTS | {"routers"},
    "strategies": NOUNS | FACTS | {"routers"},
    "evaluation": NOUNS | FACTS | {"routers", "strategies"},
    "store": NOUNS,
    "control": NOUNS,
    "experts": NOUNS,
    "gateway": NOUNS | FACTS | {"routers", "strategies", "store"},
    "embedded": NOUNS | {"outcomes"},
    "cli": NOUNS | FACTS | {"routers", "strategies", "evaluation", "store", "gateway", "embedded"},
    "": NOUNS,
    "__main__": {"cli"},
}
ASYNC = ("pool/", "gateway/", "store/", "cli/", "outcomes/collect.py", "types.py")
# What is the machine's own, its compiler and its cache, is not configuration.
READS_ENVIRONMENT = ("gateway/settings.py", "cli/", "experts/native.py")


def name(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py").removeprefix("__init__")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function, in full."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: write imports in full, from waypost"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_follow_the_arrows(path: Path) -> None:
    rooms = {parts[1] for module in imported(path) if (parts := module.split("."))[0] == "waypost" and len(parts) > 1}
    foreign = {other for other in rooms if (SRC / other).is_dir() or (SRC / f"{other}.py").is_file()} - {room(path)}
    assert foreign <= MAY_IMPORT[room(path)], f"{name(path)} may not import {foreign - MAY_IMPORT[room(path)]}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_the_rooms_that_wait_are_async(path: Path) -> None:
    waits = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    found = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waits)]
    assert not found or name(path).startswith(ASYNC), f"{name(path)} is async at lines {found}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_the_environment_and_yaml_are_read_in_one_place(path: Path) -> None:
    if name(path).startswith(READS_ENVIRONMENT):
        return
    words = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    modules = set(imported(path))
    reads = words & {"environ", "environb", "getenv", "getenvb"} | modules & {"os.environ", "os.getenv", "yaml"}
    assert not reads, f"{name(path)} reads {reads}; pass the value in instead"


@pytest.mark.parametrize(
    ("room", "router", "made"),
    [("routers", *one) for one in ROUTERS.items()] + [("experts.routers", *one) for one in TOKEN_ROUTERS.items()],
)
def test_a_router_is_one_small_file_named_after_its_class(room: str, router: str, made: type) -> None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", made.__name__).lower()
    assert made.__module__ == f"waypost.{room}.{snake}" and router == snake
    path = SRC.joinpath(*room.split("."), f"{snake}.py")
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    assert [c.name for c in classes if not c.name.startswith("_")] == [made.__name__]
    assert len(path.read_text().splitlines()) <= 200


MIRRORS = [path for path in sorted((ROOT / "tests").glob("*/**/test_*.py")) if path.name != "test_promises.py"]
MIRRORS = [path for path in MIRRORS if path.parent.name != "fuzz"]  # what holds of the whole gateway


@pytest.mark.parametrize("path", MIRRORS, ids=lambda p: p.name)
def test_tests_mirror_the_source(path: Path) -> None:
    folder = path.relative_to(ROOT / "tests").parent
    source = (ROOT if folder.parts[0] in ("benchmarks", "reproductions") else SRC) / folder
    stem = path.stem.removeprefix("test_")
    mirrored = any((source / candidate).exists() for candidate in (f"{stem}.py", f"_{stem}.py", stem))
    assert mirrored or stem == source.name, (
        f"no module {source.relative_to(ROOT)}/{stem}.py stands behind {path.relative_to(ROOT)}"
    )


def project_files() -> list[Path]:
    inside = [path for folder in PROJECT for path in (ROOT / folder).rglob("*")]
    kept = [path for path in (*ROOT.iterdir(), *inside) if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in kept if path.suffix in {"", ".cfg", ".json", ".jsonl", ".md", ".py", ".toml", ".yaml"}]


# The brackets keep this file from naming what it forbids.
@pytest.mark.parametrize(
    "forbidden",
    [
        pytest.param(r"(?<![\w.-])/(?:h[o]me|U[s]ers|r[o]ot|w[o]rk)/", id="path"),
        pytest.param(r"p[y]pi\.org|python[h]osted", id="registry"),
    ],
)
def test_nothing_names_one_machine_or_one_registry(forbidden: str) -> None:
    found = [f"{p.relative_to(ROOT)}: {m[0]}" for p in project_files() for m in re.finditer(forbidden, p.read_text())]
    assert not found
