"""When the hierarchical router is said to be as good as the best other router, and sometimes better."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for folder in ("benchmarks", "reproductions"):
        monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / folder))
    return importlib.import_module("hierarchical_router")


KNOWN = "one, in distribution, free: gain over knn"
NEW = "two, on new domains, priced: gain over domain"


@pytest.mark.parametrize(
    ("known", "new", "holds"),
    [
        ((0.01, 0.03), (-0.01, 0.02), True),
        ((0.01, 0.03), (-0.02, -0.01), False),
        ((-0.01, 0.0), (0.0, 0.0), None),
    ],
)
def test_one_loss_decides_and_a_gain_is_needed(
    script: ModuleType, known: tuple[float, float], new: tuple[float, float], holds: bool | None
) -> None:
    assert script.verdict({KNOWN: known, NEW: new}) is holds


def test_the_note_tells_new_domains_from_known_ones(script: ModuleType) -> None:
    note = script.note({KNOWN: 0.02, NEW: -0.015}, {KNOWN: (0.01, 0.03), NEW: (-0.02, -0.01)}, whole=True)
    known, new = note.split(". ")
    assert known == (
        "In distribution it holds: of 1 gains over the best other, in points, "
        "1 better (one free +2.0 [+1.0, +3.0] on knn), none worse"
    )
    assert new == (
        "On new domains it does not: of 1 gains over the best other, in points, "
        "none better, 1 worse (two priced -1.5 [-2.0, -1.0] on domain)."
    )
