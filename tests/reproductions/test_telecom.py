"""When a small encoder is said to be as good as a large one."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def telecom(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "reproductions"))
    return importlib.import_module("telecom")


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"static less MiniLM, first 16 words": (-0.05, 0.02)}, None),
        ({"static less MiniLM, all words": (-0.09, -0.04)}, False),
        ({"static-256 less the largest group, first 64 words": (-0.01, 0.2)}, None),
        ({"minilm less the largest group, all words": (-0.2, -0.1)}, False),
    ],
)
def test_every_length_and_both_encoders_decide(
    telecom: ModuleType, changed: dict[str, tuple[float, float]], holds: bool | None
) -> None:
    bounds = {"static-256, all words": (-1.0, -0.5)}  # no difference, so it decides nothing
    for words in telecom.LENGTHS:
        bounds[f"static less MiniLM, {telecom.of(words)}"] = (-0.02, 0.1)
        for name in telecom.ENCODERS:
            bounds[f"{name} less the largest group, {telecom.of(words)}"] = (0.1, 0.3)
    assert set(changed) <= set(bounds)
    assert telecom.verdict(bounds | changed) is holds
