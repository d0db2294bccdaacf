"""Plots show the metrics' numbers, and belong to whoever asked for them."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
import torch

from waypost.errors import BadInput, NotInstalled
from waypost.experts import NONE, Routing, plots


def sent(rows: list[list[int]], experts: int = 3) -> Routing:
    experts_TK = torch.tensor(rows)
    return Routing.of((experts_TK != NONE).float(), experts_TK, experts=experts)


FIRST, LAST = sent([[0, 1], [0, NONE], [0, 1], [1, 2]]), sent([[0, 1], [0, 2], [1, 2], [1, 2]])
BOTH = [FIRST, LAST]


def drawn(figure) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}


def test_loads_are_bars_and_their_mean_a_line() -> None:
    figure = plots.loads(FIRST)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [3, 3, 1]
    assert drawn(figure)["mean"] == pytest.approx([7 / 3, 7 / 3])
    assert figure.axes[0].get_title() == "fullest +0.29, emptiest -0.57 of the mean"


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (plots.violations, {"fullest over the mean": [2 / 7, 1 / 8], "mean over the emptiest": [4 / 7, 1 / 4]}),
        (plots.drops, {"choices": [1 / 8, 0], "tokens": [0, 0]}),
        (plots.saturations, {"": [(1 + 1 / 2 + 1 / 2 + 1) / 4, 1]}),
    ],
)
def test_lines_are_the_metrics_of_each_routing(draw, expected: dict[str, list[float]]) -> None:
    figure = draw(BOTH, at=[100, 200])
    found = {name: ys for name, ys in drawn(figure).items() if not name.startswith("_")}
    assert list(figure.axes[0].lines[0].get_xdata()) == [100, 200]
    assert list(drawn(figure).values()) == [pytest.approx(ys) for ys in expected.values()]
    assert set(found) <= set(expected)


def test_entropies_have_a_line_for_loads_and_one_for_tokens() -> None:
    assert set(drawn(plots.entropies(BOTH))) == {"loads", "tokens"}


def test_changes_stand_at_the_later_checkpoint() -> None:
    (line,) = plots.changes(BOTH, at=[100, 200]).axes[0].lines
    assert list(line.get_xdata()) == [200] and list(line.get_ydata()) == [0.5]


def test_co_activation_is_an_image_of_the_shares() -> None:
    (image,) = plots.co_activation(FIRST).axes[0].images
    assert image.get_array().tolist() == [
        [1, pytest.approx(2 / 3), 0],
        [pytest.approx(2 / 3), 1, pytest.approx(1 / 3)],
        [0, 1, 1],
    ]


@pytest.mark.parametrize("draw", [plots.loads, plots.co_activation])
def test_a_figure_can_be_written(draw) -> None:
    file = io.BytesIO()
    draw(FIRST).savefig(file, format="svg")
    assert b"</svg>" in file.getvalue()


def test_no_figure_is_kept_by_the_library() -> None:
    code = (
        "import sys, torch\nfrom waypost.experts import plots, Routing\n"
        "plots.loads(Routing.of(torch.ones(2, 1), torch.tensor([[0], [1]]), experts=2))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: plots.violations([]), "too few routings came"),
        (lambda: plots.saturations([]), "too few routings came"),
        (lambda: plots.changes([FIRST]), "at least two where they are compared"),
        (lambda: plots.drops(BOTH, at=[1]), "1 places came for 2 routings; give one each"),
        (lambda: plots.changes(BOTH, at=[1]), "1 places came for 2 routings"),
    ],
)
def test_what_cannot_be_drawn_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NotInstalled, match=r"plots of routings need matplotlib; pip install 'waypost\[report\]'"):
        plots.loads(FIRST)
