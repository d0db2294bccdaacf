"""Pictures of how tokens are spread over experts; each returns a figure of matplotlib's, to be shown or saved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from waypost.errors import BadInput, NotInstalled
from waypost.experts import metrics
from waypost.experts.routing import Routing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def load(routings: Sequence[Routing], steps: Sequence[int] | None = None) -> Figure:
    """Each expert's share of the assignments, step by step; even shares are bands of the same height.

    Raises:
        BadInput: no routings came, or not as many steps.
        NotInstalled: matplotlib is missing.
    """
    steps = _steps(routings, steps)
    figure, axes = _figure("share of assignments")
    share_SE = torch.stack([routing.load_E.double() / routing.load_E.sum().clamp(min=1) for routing in routings])
    axes.stackplot(steps, share_SE.T.tolist(), labels=[f"expert {e}" for e in range(share_SE.shape[1])])
    axes.set_ylim(0, 1)
    _legend(axes, share_SE.shape[1])
    return figure


def violation(routings: Sequence[Routing], steps: Sequence[int] | None = None) -> Figure:
    """`metrics.load_violation` of the fullest and the emptiest expert, step by step."""
    found = [metrics.load_violation(routing.load_E) for routing in routings]
    lines = {"fullest": [one.most for one in found], "emptiest": [one.least for one in found]}
    return _lines(lines, _steps(routings, steps), "load over an even one, less 1")


def drops(routings: Sequence[Routing], steps: Sequence[int] | None = None) -> Figure:
    """`metrics.drop_share` of choices and `metrics.unserved` of tokens, step by step."""
    lines = {
        "choices that go nowhere": [metrics.drop_share(one) for one in routings],
        "tokens that no expert gets": [metrics.unserved(one) for one in routings],
    }
    return _lines(lines, _steps(routings, steps), "share dropped")


def entropy(routings: Sequence[Routing], steps: Sequence[int] | None = None) -> Figure:
    """`metrics.entropy` of a token's weights in nats, step by step."""
    return _lines({"": [metrics.entropy(one) for one in routings]}, _steps(routings, steps), "entropy of weights, nats")


def saturation(checkpoints: Sequence[Routing], steps: Sequence[int] | None = None) -> Figure:
    """`metrics.saturation` of each checkpoint's routing of the same tokens against the last one's."""
    steps = _steps(checkpoints, steps)
    found = [metrics.saturation(one, checkpoints[-1]) for one in checkpoints]
    return _lines({"": found}, steps, "share of final choices made already")


def change(checkpoints: Sequence[Routing], steps: Sequence[int] | None = None) -> Figure:
    """`metrics.change` from each checkpoint's routing of the same tokens to the next one's."""
    steps = _steps(checkpoints, steps)
    found = [metrics.change(*pair) for pair in pairwise(checkpoints)]
    return _lines({"": found}, steps[1:], "share of tokens that go elsewhere")


def co_activation(routing: Routing) -> Figure:
    """`metrics.co_activation` as a map: of the tokens of the row's expert, the share that the column's has too."""
    figure, axes = _figure("and to expert")
    share_EE: Tensor = metrics.co_activation(routing)
    picture = axes.imshow(share_EE.tolist(), vmin=0, vmax=1)
    axes.set_xlabel("and to expert")
    axes.set_ylabel("of tokens that go to expert")
    figure.colorbar(picture)
    return figure


def _lines(lines: dict[str, list[float]], steps: Sequence[int], what: str) -> Figure:
    figure, axes = _figure(what)
    for name, values in lines.items():
        axes.plot(steps, values, marker="." if len(values) < 40 else "", label=name)
    if len(lines) > 1:
        axes.legend()
    return figure


def _figure(what: str) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NotInstalled("plots need matplotlib; pip install 'waypost[report]'") from error
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("step")
    axes.set_ylabel(what)
    return figure, axes


def _legend(axes: Axes, experts: int) -> None:
    if experts <= 10:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)


def _steps(routings: Sequence[Routing], steps: Sequence[int] | None) -> Sequence[int]:
    if not routings:
        raise BadInput("no routings came; give those of at least one step")
    if steps is not None and len(steps) != len(routings):
        raise BadInput(f"{len(steps)} steps came for {len(routings)} routings; give one for each, or none")
    return range(len(routings)) if steps is None else steps
