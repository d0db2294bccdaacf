"""Routers and strategies side by side on one test table, with paired intervals and a plain verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from waypost.errors import BadInput, nearest
from waypost.evaluation import baselines
from waypost.evaluation.bootstrap import interval
from waypost.evaluation.metrics import Earned, gap_closed, mean
from waypost.outcomes import Outcomes
from waypost.types import Floats


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a comparison; ``kind`` is asked (a router or strategy), model or bound.

    ``n`` questions were measured and ``missing`` left out; ``unpriced`` of the measured made a call of unknown cost.
    ``gain`` is the mean difference to the best single model on the questions that both have, and ``gap_closed`` that
    gain as a share of the oracle's on the same questions.  ``ci95`` and ``gain_ci95`` are the intervals of quality and
    gain; ``vs_cheapest_ci95`` is that of the difference to the router ``cheapest``, where both were asked for.
    """

    name: str
    kind: str
    n: int
    missing: int
    unpriced: int
    quality: float
    usd: float
    seconds: float
    gain: float
    gap_closed: float
    share: Mapping[str, float]
    ci95: tuple[float, float]
    gain_ci95: tuple[float, float]
    vs_cheapest_ci95: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """Whether it beats, matches or loses against the best single model, by the paired interval."""
        low, high = self.gain_ci95
        if math.isnan(low):
            return "not measured"
        return "beats" if low > 0 else "loses" if high < 0 else "matches"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything measured on one test table: ``lines`` holds what was asked for, then the baselines.

    ``best_single`` is the best model in hindsight, chosen on the test table itself, so a comparison with it is
    strict; ``best_single_in_training`` is the one that a user could have known.
    """

    n: int
    best_single: str
    best_single_in_training: str | None
    cheapest: str | None
    lines: tuple[Line, ...]

    def line(self, name: str, kind: str | None = None) -> Line:
        """The row of a name; without a kind, what was asked for comes before a baseline of the same name.

        Raises:
            BadInput: there is no such row.
        """
        for line in self.lines:
            if line.name == name and kind in (None, line.kind):
                return line
        names = [line.name for line in self.lines]
        raise BadInput(f"no line '{name}'; there are {', '.join(names)}.{nearest(name, names)}")


def compare(
    test: Outcomes,
    asked: Mapping[str, Earned],
    *,
    train: Outcomes | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Put what was ``asked`` about (routers and strategies, by name) beside each single model, chance and the oracle.

    >>> from waypost.outcomes import example_table
    >>> found = compare(example_table(200), {}, resamples=100)
    >>> found.best_single, found.line("oracle").verdict, found.line("tiny").verdict
    ('large', 'beats', 'loses')
    """
    name = baselines.best_single(test)
    earned: dict[tuple[str, str], Earned] = {
        **{("asked", key): value for key, value in asked.items()},
        **{("model", key): baselines.single(test, key) for key in test.models},
        ("bound", "chance"): baselines.chance(test),
        ("bound", "oracle"): baselines.oracle(test),
    }
    best, oracle = earned["model", name], earned["bound", "oracle"]
    quality_NK = np.column_stack([value.quality_N for value in earned.values()])
    gain_NK = quality_NK - best.quality_N[:, None]
    frugal = asked.get("cheapest")
    frugal_NK = quality_NK[:, : len(asked)] - frugal.quality_N[:, None] if frugal else np.empty((len(test), 0))
    bounds_K2 = interval(np.hstack([quality_NK, gain_NK, frugal_NK]), resamples, seed)
    own_K2, gain_K2, frugal_K2 = np.split(bounds_K2, (len(earned), 2 * len(earned)))
    lines = tuple(
        Line(
            name=key,
            kind=kind,
            n=value.n,
            missing=value.missing,
            unpriced=value.unpriced,
            quality=value.quality,
            usd=value.usd,
            seconds=value.seconds,
            gain=mean(gain_NK[:, k]),
            gap_closed=_gap_closed(value, best, oracle),
            share=value.share,
            ci95=_pair(own_K2[k]),
            gain_ci95=_pair(gain_K2[k]),
            vs_cheapest_ci95=_pair(frugal_K2[k]) if k < len(frugal_K2) else None,
        )
        for k, ((kind, key), value) in enumerate(earned.items())
    )
    return Comparison(
        n=len(test),
        best_single=name,
        best_single_in_training=None if train is None else baselines.best_single(train),
        cheapest=baselines.cheapest(test),
        lines=lines,
    )


def seen_in_training(test: Outcomes, train: Outcomes) -> int:
    """How many test prompts are also in training, but for case and spaces; they would flatter a router.

    >>> from waypost.outcomes import example_table
    >>> train, test = example_table(100).split()
    >>> seen_in_training(test, train), seen_in_training(train, train) == len(train)
    (0, True)
    """
    known = {_folded(prompt) for prompt in train.prompts}
    return sum(_folded(prompt) in known for prompt in test.prompts)


def _gap_closed(value: Earned, best: Earned, oracle: Earned) -> float:
    """On the questions that the line and the best single model both have: elsewhere they cannot be compared."""
    both_N = ~np.isnan(value.quality_N + best.quality_N)
    return gap_closed(*(mean(each.quality_N[both_N]) for each in (value, best, oracle)))


def _pair(bounds: Floats) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])


def _folded(prompt: str) -> str:
    return " ".join(prompt.lower().split())
