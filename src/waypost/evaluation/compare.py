"""Routers and strategies side by side on one test table, with paired intervals and a plain verdict.

Shape suffixes: N questions, L lines, A of them asked for, M models, K columns, B resamples; where a row of estimates
stands before the resamples, E = 1 + B.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput, nearest
from waypost.evaluation import baselines
from waypost.evaluation.bootstrap import chance_above, percentiles, resample, step_down
from waypost.evaluation.measures import zero
from waypost.evaluation.metrics import Earned, gap_closed, mean
from waypost.outcomes import Outcomes
from waypost.types import Floats

Key = tuple[str, str]

LEVEL = 0.05  # a gain whose corrected p-value is below is one
_DECIMALS = 12  # means closer than this differ by the rounding of their sums only


def verdict(gain: float, p_adjusted: float) -> str:
    """In a word what a gain and its corrected p-value say at 5 %.

    >>> verdict(0.02, 0.001), verdict(0.02, 0.2), verdict(-0.1, 0.001), verdict(math.nan, math.nan)
    ('beats', 'matches', 'loses', 'not measured')
    """
    if math.isnan(p_adjusted):
        return "not measured"
    if p_adjusted >= LEVEL:
        return "matches"
    return "beats" if gain > 0 else "loses"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a comparison; ``kind`` is asked (a router or strategy), model or bound.

    ``n`` questions were measured and ``missing`` left out; ``unpriced`` of the measured made a call of unknown cost.
    ``gain`` is the mean difference to the best single model on the questions that both have, ``gain_se`` its standard
    error, and ``gap_closed`` that gain as a share of the oracle's on the same questions.  ``ci95`` and ``gain_ci95``
    are the intervals of quality and gain; ``vs_cheapest_ci95`` is that of the difference to the router ``cheapest``,
    where both were asked for.

    ``p_beats`` is the share of the resamples in which the gain is above zero.  ``p`` is the two-sided p-value of the
    gain: above zero that there is none, below zero that no single model is better, which asks about all of them.
    ``p_adjusted`` is that of what was asked, corrected for all that was asked (`p_values`).  Of a baseline both are
    that its gain alone is zero, so that one of many models as good as the best may seem to lose.
    ``zero_gain`` is the quality less the zero router's at the same mean cost (`zero.quality_at`), on the questions
    that every model has; its hull is made anew in each resample.  It is NaN where a cost is unknown.
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
    gain_se: float
    p_beats: float
    p: float
    p_adjusted: float
    zero_gain: float
    zero_gain_ci95: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Whether it beats, matches or loses against the best single model, by the corrected test at 5 %.

        One may match whose own interval excludes zero: where several were asked some intervals do so by luck, and of
        several models one always comes out best.
        """
        return verdict(self.gain, self.p_adjusted)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything measured on one test table: ``lines`` holds what was asked for, then the baselines.

    Of ``n`` questions ``complete`` have every model.  In each of the ``resamples`` so many ``clusters`` were drawn,
    each with all its questions (as many as questions, where each stands alone).  ``best_single`` is the best model in
    hindsight, chosen on the test table itself, so a comparison with it is strict; ``best_single_in_training`` is the
    one that a user could have known.  ``zero_at`` names the line at whose mean cost the zero router's line stands: the
    best that was asked, or the best single model.  It is None, and there is no such line, where a cost is unknown.
    """

    n: int
    complete: int
    clusters: int
    resamples: int
    best_single: str
    best_single_in_training: str | None
    cheapest: str | None
    zero_at: str | None
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
    bounds: Mapping[str, Earned] | None = None,
    train: Outcomes | None = None,
    clusters_N: NDArray[np.intp] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Put what was ``asked`` about (routers and strategies, by name) beside the single models, chance, zero and oracle.

    One bootstrap serves all figures, so all are paired; ``clusters_N`` numbers the questions that are drawn together,
    such as near duplicates.  ``bounds`` are chance and oracle, where switching between models costs more than the
    table's costs say (`conversations.charge`).

    Raises:
        BadTable: no model can be called the best, as no question joins some of them.

    >>> from waypost.outcomes import example_table
    >>> found = compare(example_table(200), {}, resamples=100)
    >>> found.best_single, found.line("oracle").verdict, found.line("tiny").verdict
    ('large', 'beats', 'loses')
    """
    best, bounds = baselines.best_single(test), bounds or baselines.bounds(test)
    earned: dict[Key, Earned] = {
        **{("asked", key): value for key, value in asked.items()},
        **{("model", key): baselines.single(test, key) for key in test.models},
        ("bound", "chance"): bounds["chance"],
    }
    zero_at = _zero_at(test, asked, earned["model", best], best)
    if zero_at:
        earned["bound", "zero"] = zero.mixture(test, zero_at[1])
    earned["bound", "oracle"] = bounds["oracle"]
    return Comparison(
        n=len(test),
        complete=int(zero.complete(test).sum()),
        clusters=len(test) if clusters_N is None else len(np.unique(clusters_N)),
        resamples=resamples,
        best_single=best,
        best_single_in_training=None if train is None else baselines.best_single(train),
        cheapest=baselines.cheapest(test),
        zero_at=zero_at[0] if zero_at else None,
        lines=_lines(test, earned, ("model", best), clusters_N, resamples, seed),
    )


def p_values(gain_EA: Floats, apart_EAM: Floats) -> Floats:
    """Two-sided p-values of gains on the best single model in hindsight, (A,), corrected for all A and all M models.

    The first of the E rows is the estimate, the others its resamples; ``apart`` is the quality less that of each model.
    Whoever gains on the model that came out best gains on each (nearly, where cells are missing), so a gain above zero
    needs no correction for the choice of that model, and is tested beside the other gains.  One below zero is in part
    that choice: of equal models the luckiest was taken.  So it is tested that no model is better: the differences to
    all models are asked about at once, and the smallest p-value of a model that is above counts (`step_down` both
    times).

    >>> apart_EAM = np.random.default_rng(0).normal([[[0.1, -0.2]]], 0.1, size=(1000, 1, 2))
    >>> apart_EAM[0] = 0.1, -0.2
    >>> gain_EA = apart_EAM[:, :, 1]
    >>> p_values(gain_EA, apart_EAM[:, :, 1:]).round(3), p_values(gain_EA, apart_EAM).round(3)
    (array([0.041]), array([0.078]))
    """
    p_A = step_down(gain_EA[0], gain_EA[1:])
    apart_EK = apart_EAM.reshape(len(apart_EAM), -1)
    p_AM = step_down(apart_EK[0], apart_EK[1:]).reshape(apart_EAM.shape[1:])
    lower_A = np.where(apart_EAM[0] < 0, p_AM, 1.0).min(axis=1)
    tested_A: Floats = np.where(gain_EA[0] < 0, lower_A, p_A)
    return tested_A


def _zero_at(test: Outcomes, asked: Mapping[str, Earned], best: Earned, name: str) -> tuple[str, float] | None:
    """Whose mean cost the zero router's line has, and what it is."""
    if not zero.priced(test):
        return None
    known = {key: value for key, value in asked.items() if not math.isnan(value.usd)}
    key = max(known, key=lambda key: known[key].quality, default=None)
    return (name, best.usd) if key is None else (key, known[key].usd)


def _lines(
    test: Outcomes,
    earned: Mapping[Key, Earned],
    best: Key,
    clusters_N: NDArray[np.intp] | None,
    resamples: int,
    seed: int,
) -> tuple[Line, ...]:
    """The figures of every line, all from the same resamples."""
    asked = [kind == "asked" for kind, _ in earned]
    columns = _columns(test, earned, earned[best])
    listed = [column_N for group in columns.values() for column_N in group]
    estimate_1K = np.array([[mean(column_N) for column_N in listed]])
    means_EK = np.vstack([estimate_1K, resample(listed, clusters_N=clusters_N, resamples=resamples, seed=seed)])
    ends = np.cumsum([len(group) for group in columns.values()])
    means = dict(zip(columns, np.split(means_EK, ends[:-1], axis=1), strict=True))
    gain_EL, zero_EL, apart_EAM = means["gain"], _zero_gain(means, earned), _apart(means, earned)
    p_L = np.array([step_down(gain_EL[0, [k]], gain_EL[1:, [k]])[0] for k in range(len(earned))])
    for a, k in enumerate(np.flatnonzero(asked)):
        p_L[k] = p_values(gain_EL[:, [k]], apart_EAM[:, [a]])[0]
    adjusted_L = p_L.copy()
    adjusted_L[asked] = p_values(gain_EL[:, asked], apart_EAM)
    bounds = {name: percentiles(values[1:]) for name, values in {**means, "zero": zero_EL}.items()}
    return tuple(
        Line(
            name=name,
            kind=kind,
            n=value.n,
            missing=value.missing,
            unpriced=value.unpriced,
            quality=value.quality,
            usd=value.usd,
            seconds=value.seconds,
            gain=float(gain_EL[0, k]),
            gap_closed=_gap_closed(value, earned[best], earned["bound", "oracle"]),
            share=value.share,
            ci95=_pair(bounds["quality"][k]),
            gain_ci95=_pair(bounds["gain"][k]),
            vs_cheapest_ci95=_pair(bounds["frugal"][k]) if kind == "asked" and "frugal" in bounds else None,
            gain_se=float(gain_EL[1:, k].std()),
            p_beats=float(chance_above(gain_EL[1:, [k]])[0]),
            p=float(p_L[k]),
            p_adjusted=float(adjusted_L[k]),
            zero_gain=float(zero_EL[0, k]),
            zero_gain_ci95=_pair(bounds["zero"][k]),
        )
        for k, ((kind, name), value) in enumerate(earned.items())
    )


def _columns(test: Outcomes, earned: Mapping[Key, Earned], best: Earned) -> dict[str, list[Floats]]:
    """What is to be resampled of each line.

    Its quality and gain; of what was asked the difference to the router ``cheapest``, and to each model where that is
    not the difference of the means, as cells are missing; and where there is a hull its cost on the questions that
    every model has, and its quality there.
    """
    asked, models = ([value for (of, _), value in earned.items() if of == kind] for kind in ("asked", "model"))
    columns = {
        "quality": [value.quality_N for value in earned.values()],
        "gain": [value.quality_N - best.quality_N for value in earned.values()],
    }
    if frugal := earned.get(("asked", "cheapest")):
        columns["frugal"] = [value.quality_N - frugal.quality_N for value in asked]
    if asked and any(value.missing for value in (*asked, *models)):
        columns["apart"] = [value.quality_N - model.quality_N for value in asked for model in models]
    if zero.priced(test):
        complete_N = zero.complete(test)
        columns["usd"] = [value.usd_N for value in earned.values()]
        if not complete_N.all():
            columns["usd"] = [np.where(complete_N, usd_N, np.nan) for usd_N in columns["usd"]]
            columns["complete"] = [np.where(complete_N, quality_N, np.nan) for quality_N in columns["quality"]]
    return columns


def _zero_gain(means: Mapping[str, Floats], earned: Mapping[Key, Earned]) -> Floats:
    """Quality less that of the zero router at the same cost, which is known of lines whose every call has a cost."""
    if "usd" not in means:
        return np.full(means["quality"].shape, np.nan)
    usd_EL, quality_EL = means["usd"], means.get("complete", means["quality"])
    models = [kind == "model" for kind, _ in earned]
    zero_EL = quality_EL - zero.quality_at(usd_EL, usd_EL[:, models], quality_EL[:, models])
    zero_EL[:, [value.unpriced > 0 for value in earned.values()]] = np.nan
    return zero_EL


def _apart(means: Mapping[str, Floats], earned: Mapping[Key, Earned]) -> Floats:
    """How far each line that was asked is above each model, (E, A, M), on the questions that both have."""
    asked, models = (np.array([of == kind for of, _ in earned]) for kind in ("asked", "model"))
    quality_EL = means["quality"]
    apart_EK = means["apart"] if "apart" in means else quality_EL[:, asked, None] - quality_EL[:, None, models]
    # Rounded, so that a line that always takes one model differs from it by exactly nothing.
    return apart_EK.reshape(len(quality_EL), asked.sum(), models.sum()).round(_DECIMALS)


def _gap_closed(value: Earned, best: Earned, oracle: Earned) -> float:
    """On the questions that the line and the best single model both have: elsewhere they cannot be compared."""
    both_N = ~np.isnan(value.quality_N + best.quality_N)
    return gap_closed(*(mean(each.quality_N[both_N]) for each in (value, best, oracle)))


def _pair(bounds: Floats) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])
