"""A figure of each of `waypost.experts.metrics`, drawn by matplotlib: ``figure.savefig("loads.svg")`` writes it.

Each function takes `Routing`s and gives a matplotlib Figure, which belongs to the caller: nothing is kept, shown or set
for other figures.  ``at`` are the places of several routings on the axis below: steps, or layers.

Needs matplotlib: ``pip install 'waypost[report]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from waypost.errors import BadInput, NotInstalled
from waypost.experts import metrics
from waypost.experts.routing import Routing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by those who do not see red and green as well.
_COLOURS = ("#0072b2", "#d55e00")
_SOFT = "#5f6670"


def loads(routing: Routing) -> Figure:
    """How many assignments each expert has, with the mean as a line.

    Raises:
        NotInstalled: matplotlib is missing.
    """
    figure, axes = _axes("expert", "assignments")
    load_E = routing.load_E.tolist()
    axes.bar(range(len(load_E)), load_E, color=_COLOURS[0])
    axes.axhline(sum(load_E) / len(load_E), color=_SOFT, linestyle="--", label="mean")
    most, least = metrics.violation(routing)
    axes.set_title(f"fullest {most:+.2f}, emptiest {-least:+.2f} of the mean")
    axes.legend()
    return figure


def violations(routings: Sequence[Routing], at: Sequence[float] | None = None) -> Figure:
    """How far loads are from even, over steps or layers.

    Raises:
        BadInput: no routings, or not as many places as routings.
        NotInstalled: matplotlib is missing.
    """
    found = [metrics.violation(routing) for routing in routings]
    lines = {
        "fullest over the mean": [one.most for one in found],
        "mean over the emptiest": [one.least for one in found],
    }
    return _lines(lines, at, "share of the mean load")


def drops(routings: Sequence[Routing], at: Sequence[float] | None = None) -> Figure:
    """What goes nowhere, over steps or layers.

    Raises:
        BadInput: no routings, or not as many places as routings.
        NotInstalled: matplotlib is missing.
    """
    found = [metrics.drops(routing) for routing in routings]
    return _lines({"choices": [one.choices for one in found], "tokens": [one.tokens for one in found]}, at, "dropped")


def entropies(routings: Sequence[Routing], at: Sequence[float] | None = None) -> Figure:
    """How evenly experts are used, and how undecided tokens are, over steps or layers.

    Raises:
        BadInput: no routings, or not as many places as routings.
        NotInstalled: matplotlib is missing.
    """
    found = [metrics.entropies(routing) for routing in routings]
    return _lines({"loads": [one.loads for one in found], "tokens": [one.tokens for one in found]}, at, "entropy, nats")


def co_activation(routing: Routing) -> Figure:
    """Of the tokens of each expert (row), the share that another (column) gets too.

    Raises:
        NotInstalled: matplotlib is missing.
    """
    figure, axes = _axes("gets it too", "expert")
    image = axes.imshow(metrics.co_activation(routing).tolist(), vmin=0, vmax=1, cmap="viridis")
    figure.colorbar(image, ax=axes, label="share of the expert's tokens")
    return figure


def saturations(routings: Sequence[Routing], at: Sequence[float] | None = None) -> Figure:
    """The share of the last routing's choices that each one makes already.

    Raises:
        BadInput: no routings, of different tokens, or not as many places as routings.
        NotInstalled: matplotlib is missing.
    """
    return _lines({"": [metrics.saturation(one, routings[-1]) for one in routings]}, at, "choices of the end")


def changes(routings: Sequence[Routing], at: Sequence[float] | None = None) -> Figure:
    """The share of tokens that go elsewhere than at the checkpoint before; ``at`` are the places of all checkpoints.

    Raises:
        BadInput: fewer than two routings, of different tokens, or not as many places as routings.
        NotInstalled: matplotlib is missing.
    """
    at = _places(routings, at)
    return _lines({"": [metrics.changed(*pair) for pair in pairwise(routings)]}, at[1:], "tokens that go elsewhere")


def _places(values: Sequence[object], at: Sequence[float] | None) -> Sequence[float]:
    if at is not None and len(at) != len(values):
        raise BadInput(f"{len(at)} places came for {len(values)} routings; give one each, or none")
    return range(len(values)) if at is None else at


def _lines(lines: Mapping[str, Sequence[float]], at: Sequence[float] | None, what: str) -> Figure:
    first = next(iter(lines.values()))
    if not first:
        raise BadInput("too few routings came; give one for each step or layer, at least two where they are compared")
    at = _places(first, at)
    figure, axes = _axes("step or layer", what)
    for (name, values), colour, style in zip(lines.items(), _COLOURS, ("-", "--"), strict=False):
        axes.plot(at, values, color=colour, linestyle=style, marker="o", markersize=3, label=name)
    axes.set_ylim(bottom=0)
    if len(lines) > 1:
        axes.legend()
    return figure


def _axes(below: str, left: str) -> tuple[Figure, Any]:
    figure: Figure = _figure()(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(below)
    axes.set_ylabel(left)
    return figure, axes


def _figure() -> Callable[..., Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NotInstalled("plots of routings need matplotlib; pip install 'waypost[report]'") from error
    return Figure
