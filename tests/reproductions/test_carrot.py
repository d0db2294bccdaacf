"""The law on which CARROT's rate is measured is what its docstring says."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def carrot(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "reproductions"))
    return importlib.import_module("carrot")


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_quality_and_cost_are_lipschitz(carrot: ModuleType, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((20_000, dimensions))
    step = rng.normal(size=points.shape) * 1e-4
    for margin in carrot.MARGINS:
        for one, other in zip(carrot.law(points, margin), carrot.law(points + step, margin), strict=True):
            assert (np.abs(one - other).max(axis=1) <= 8 * np.linalg.norm(step, axis=1) + 1e-12).all()
            assert 0 <= one.min() <= one.max() <= 1


@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_a_small_lead_is_as_rare_as_the_margin_says(carrot: ModuleType, margin: float) -> None:
    quality, usd = carrot.law(np.random.default_rng(0).random((400_000, 2)), margin)
    lead = np.abs(np.subtract(*(quality - usd).T))
    small, smaller = (lead < 0.04).mean(), (lead < 0.01).mean()
    assert np.log(small / smaller) / np.log(4) == pytest.approx(margin, abs=0.1)


def test_neither_quality_nor_cost_alone_makes_the_choice(carrot: ModuleType) -> None:
    quality, usd = carrot.law(np.random.default_rng(0).random((10_000, 2)), 1.0)
    best = (quality - usd).argmax(axis=1)
    assert (quality.argmax(axis=1) != best).mean() > 0.1
    assert (usd.argmin(axis=1) != best).mean() > 0.1


def test_who_is_near_in_the_cube_is_near_by_cosine(carrot: ModuleType) -> None:
    points = np.random.default_rng(0).random((500, 2))
    vectors = carrot.Cube(3).encode([" ".join(map(repr, point)) for point in points.tolist()])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    by_cosine = np.argsort(-(vectors @ vectors[0]))[:50]
    by_distance = np.argsort(np.linalg.norm(points - points[0], axis=1))[:50]
    assert np.isin(by_cosine, by_distance).mean() > 0.85


def test_a_power_is_found_as_a_slope(carrot: ModuleType) -> None:
    sizes = np.array([100, 200, 400])
    assert carrot.slope(np.tile(3 * sizes**-0.5, (4, 1)), sizes) == pytest.approx(-0.5)
    assert carrot.rate(2, 1.0) == pytest.approx(-0.5)


def test_the_excess_falls_with_more_rows(carrot: ModuleType) -> None:
    few, many = (np.mean([carrot.excess(n, 1, 1.0, seed) for seed in range(3)]) for n in (64, 1024))
    assert 0 <= many < few
