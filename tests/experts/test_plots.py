"""Every measure has a picture, and the picture shows its numbers."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from waypost.errors import BadInput, NotInstalled
from waypost.experts import NONE, Routing, metrics, plots


@pytest.fixture
def routings() -> list[Routing]:
    drawn = torch.Generator().manual_seed(0)
    each = [torch.rand(20, 4, generator=drawn).argsort(-1)[:, :2] for _ in range(5)]
    return [Routing.of(torch.full((20, 2), 0.5), experts_TK, experts=4) for experts_TK in each]


@pytest.mark.parametrize("plot", ["load", "violation", "drops", "entropy", "saturation", "change"])
def test_a_series_is_drawn_and_can_be_saved(routings: list[Routing], plot: str, tmp_path: Path) -> None:
    figure = getattr(plots, plot)(routings, steps=[10, 20, 30, 40, 50])
    figure.savefig(tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")
    assert figure.axes[0].get_xlabel() == "step"


def test_lines_are_the_measures(routings: list[Routing]) -> None:
    (line,) = plots.change(routings).axes[0].lines
    expected = [metrics.change(a, b) for a, b in pairwise(routings)]
    assert list(line.get_ydata()) == expected and list(line.get_xdata()) == [1, 2, 3, 4]
    full, empty = plots.violation(routings).axes[0].lines
    assert full.get_ydata()[2] == metrics.load_violation(routings[2].load_E).most
    assert empty.get_ydata()[2] == metrics.load_violation(routings[2].load_E).least
    (line,) = plots.saturation(routings).axes[0].lines
    assert line.get_ydata()[-1] == 1.0


def test_drops_are_drawn_of_choices_and_of_tokens() -> None:
    each = [torch.tensor([[0, NONE], [1, 2]]), torch.tensor([[NONE, NONE], [1, NONE]])]
    choices, tokens = plots.drops([Routing.of(one >= 0.0, one, experts=3) for one in each]).axes[0].lines
    assert list(choices.get_ydata()) == [1 / 4, 3 / 4] and list(tokens.get_ydata()) == [0, 1 / 2]


def test_a_figure_is_the_caller_s_alone(routings: list[Routing], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # which keeps every figure that it makes
    assert plots.load(routings) is not plots.load(routings)


def test_co_activation_is_a_map_of_experts(routings: list[Routing]) -> None:
    (picture,) = plots.co_activation(routings[0]).axes[0].images
    assert picture.get_array().tolist() == metrics.co_activation(routings[0]).tolist()


def test_what_cannot_be_drawn_is_said(routings: list[Routing], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="no routings came"):
        plots.load([])
    with pytest.raises(BadInput, match="2 steps came for 5 routings"):
        plots.load(routings, steps=[1, 2])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NotInstalled, match=r"waypost\[report\]"):
        plots.load(routings)
