"""Trade-offs found on a user's own table, and what they will really do.  Suffixes: N questions, M models, P points.

A trade-off is chosen on one half of the table and measured on the other, and the interval of what it promises comes
from resamples of that other half alone, clusters of duplicates and sources together.  So the interval is that of the
very trade-off that is returned, on questions that had no part in its choice: choosing the best of many flatters, and a
measurement on what was chosen by would show it.  The price is half the questions, which a wider interval shows too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np

from waypost.errors import BadInput, UnknownModel
from waypost.evaluation.baselines import best_single, single
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.evaluation.metrics import Earned, mean
from waypost.evaluation.play import play
from waypost.evaluation.sweep import sweep
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.outcomes.drift import Reference, Traffic
from waypost.outcomes.leaks import clusters
from waypost.routers import Router
from waypost.types import Floats, ModelCard, Prediction

Cards = Mapping[str, ModelCard]

_OFF = 0.05  # how far from what was asked a share may be
_DIGITS = 6  # of a weight, so that it can be read and pasted


class Figure(NamedTuple):
    """A mean and its 95 % interval; NaN where it is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Promise:
    """What a trade-off did on ``n`` questions that it was not chosen by.

    ``kept`` is the quality as a share of that of ``best_single``, the best model of the questions it was chosen by;
    ``saved`` the part of that model's cost that is not spent; ``first`` the share of the questions for which each model
    is chosen, and ``share`` its calls a question: more where others decline and the question falls to it.
    """

    n: int
    best_single: str
    quality: Figure
    kept: Figure
    usd: Figure
    saved: Figure
    first: Mapping[str, Figure]
    share: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether what was ``asked`` is what was ``measured``: shown by the whole interval, refuted by it, or neither."""

    asked: float
    measured: Figure
    verdict: Literal["met", "not shown to be met", "missed"]

    @classmethod
    def between(cls, asked: float, measured: Figure, least: float, most: float) -> Self:
        """Met when the whole interval lies from ``least`` to ``most``, missed when all of it lies outside.

        >>> Reached.between(0.95, Figure(0.93, 0.89, 0.97), 0.95, math.inf).verdict
        'not shown to be met'
        """
        if least <= measured.low and measured.high <= most:
            return cls(asked, measured, "met")
        outside = measured.high < least or measured.low > most
        return cls(asked, measured, "missed" if outside else "not shown to be met")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A trade-off, chosen on ``n`` questions; what it promises, also of the goal; and what the traffic looked like."""

    objective: Objective
    n: int
    promise: Promise
    reached: Reached
    reference: Reference


class Goal(Protocol):
    """What is wanted of a trade-off."""

    def choose(self, prediction: Prediction, table: Outcomes, base: Objective, cards: Cards) -> Objective:
        """The trade-off that reaches it on a table.

        Raises:
            BadInput: none does; the sentence says what is nearest.
        """
        ...

    def reached(self, promise: Promise) -> Reached:
        """Whether it holds on the questions that the trade-off was not chosen by."""
        ...


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a share of the best single model's quality, at the least cost."""

    share: float

    def choose(self, prediction: Prediction, table: Outcomes, base: Objective, cards: Cards) -> Objective:
        """The ``usd`` weight of least cost whose quality suffices."""
        curve = sweep(prediction, table, name="router", cards=cards, base=base)
        best = single(table, best_single(table)).quality
        enough_P = curve.quality_P >= self.share * best
        if not enough_P.any():
            most = int(curve.quality_P.argmax())
            raise BadInput(
                f"{self.share:.1%} of the quality of {best_single(table)!r} ({best:.1%}) cannot be kept: this router "
                f"reaches {curve.quality_P[most] / best:.1%} of it at most, for ${curve.usd_P[most]:.3g} per query; "
                f"ask for less, or train a better one"
            )
        usd_P = np.where(enough_P, curve.usd_P, np.inf)
        return _weighing(base, curve.weight_P[usd_P.argmin()])

    def reached(self, promise: Promise) -> Reached:
        """Whether so much quality is kept, or more."""
        return Reached.between(self.share, promise.kept, self.share, math.inf)


@dataclass(frozen=True, slots=True)
class Spend:
    """Spend at most so many USD per query on average, for the best quality; of ``queries`` a day an error speaks."""

    usd: float
    queries: float | None = None

    def choose(self, prediction: Prediction, table: Outcomes, base: Objective, cards: Cards) -> Objective:
        """The ``usd`` weight of the best quality whose real cost, as recorded, is within it."""
        curve = sweep(prediction, table, name="router", cards=cards, base=base)
        within_P = curve.usd_P <= self.usd
        if not within_P.any():
            least = curve.usd_P.min()
            daily = f", which is ${least * self.queries:.4g} a day" if self.queries else ""
            raise BadInput(
                f"${self.usd:.3g} per query cannot be kept: even the cheapest choices cost ${least:.3g}{daily}; "
                f"allow that much, or add a cheaper model"
            )
        return _weighing(base, curve.weight_P[np.where(within_P, curve.quality_P, -np.inf).argmax()])

    def reached(self, promise: Promise) -> Reached:
        """Whether so much is spent, or less."""
        return Reached.between(self.usd, promise.usd, -math.inf, self.usd)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a share of the queries to one model: those on which it is expected to lead most."""

    model: str
    share: float

    def choose(self, prediction: Prediction, table: Outcomes, base: Objective, cards: Cards) -> Objective:
        """The bias of the model that comes nearest."""
        if self.model not in prediction.models:
            raise UnknownModel(self.model, prediction.models)
        m = prediction.models.index(self.model)
        score_NM = replace(base, bias={**base.bias, self.model: 0.0}).scores(prediction, cards)
        with np.errstate(invalid="ignore"):  # a question on which nobody has a score
            behind_N = np.delete(score_NM, m, axis=1).max(axis=1) - score_NM[:, m]
        points, possible = _thresholds(behind_N, self.share)
        found = replace(base, bias={**base.bias, self.model: points})
        sent = float((found.choose_many(prediction, cards) == m).mean())
        if abs(sent - self.share) > _OFF:
            raise BadInput(
                f"{self.share:.1%} cannot be sent to {self.model!r}: to this router too many questions look the same, "
                f"or a constraint decides; nearest are {' and '.join(f'{share:.1%}' for share in possible)}"
            )
        return found

    def reached(self, promise: Promise) -> Reached:
        """Whether the model is chosen that often, to five points."""
        return Reached.between(self.share, promise.first[self.model], self.share - _OFF, self.share + _OFF)


def _thresholds(behind_N: Floats, share: float) -> tuple[float, list[float]]:
    """The bias that sends about a share of the questions to who is ``behind_N`` the best other, and possible shares."""
    lags, counts = np.unique(behind_N[np.isfinite(behind_N)].round(9), return_counts=True)
    if not len(lags):
        return 0.0, [float(np.isneginf(behind_N).mean())]
    # Halfway between any two that differ, so that who is less behind is chosen.
    points = np.concatenate([[lags[0] - 1], (lags[1:] + lags[:-1]) / 2, [lags[-1] + 1]])
    shares = (np.append(0, np.cumsum(counts)) + np.isneginf(behind_N).sum()) / len(behind_N)
    nearest = int(np.abs(shares - share).argmin())
    around = shares[max(0, nearest - 1) : nearest + 2]
    return round(float(points[nearest]), 9), sorted(around.tolist(), key=lambda each: abs(each - share))[:2]


def calibrate(
    router: Router,
    table: Outcomes,
    goal: Goal,
    *,
    base: Objective | None = None,
    cards: Cards | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Calibrated:
    """Choose a trade-off for a fitted router on half a table that it has not seen, and measure it on the other half.

    All of ``base`` but what the goal sets is kept.  The reference for drift is made of both halves.

    Raises:
        BadInput: the goal cannot be reached, or costs are needed and not known.
        BadTable: the table is too small to be halved.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> train, rest = example_table(1200).split(0.5)
    >>> found = calibrate(make("ridge").fit(train), rest, Keep(0.95))
    >>> found.objective.usd > 0, found.promise.kept.low > 0.9, found.promise.saved.low > 0.3
    (True, True, True)
    """
    base = base or Objective()
    cards = cards or {name: ModelCard(name) for name in table.models}
    # A split by the same seed as that of training and test would find all of the rest on one side.
    clusters_N = clusters(table.prompts, table.sources)
    choosing, measuring = table.split(0.5, seed + 1_000_003, clusters_N)
    objective = goal.choose(router.predict(choosing.prompts), choosing, base, cards)
    earned = play(router, measuring, objective, cards)
    seen = traffic(router.predict(measuring.prompts), measuring.prompts, objective, cards)
    promise = _promise(earned, measuring, seen.choices, best_single(choosing), resamples, seed)
    seen = traffic(router.predict(table.prompts), table.prompts, objective, cards, same=clusters_N.tolist())
    return Calibrated(objective, len(choosing), promise, goal.reached(promise), Reference.of(seen))


def traffic(
    prediction: Prediction,
    prompts: Sequence[str],
    objective: Objective,
    cards: Cards,
    *,
    same: Sequence[int] | None = None,
) -> Traffic:
    """What drift is told by: the choices, expectations and lengths of some prompts; ``same`` for those that are."""
    choices = [prediction.models[m] for m in objective.choose_many(prediction, cards)]
    same = [hash(prompt) for prompt in prompts] if same is None else same
    return Traffic.of(choices, prediction.quality_NM, [len(prompt) for prompt in prompts], same)


def words(objective: Objective) -> dict[str, Any]:
    """An objective in the words of a config: what differs from the default.

    >>> words(Objective(usd=12.0, allowed=("a", "b")))
    {'usd': 12.0, 'allowed': ['a', 'b']}
    """
    found = {name: value for name, value in vars(objective).items() if value != getattr(Objective(), name)}
    return {name: list(value) if name == "allowed" else value for name, value in found.items()}


def _promise(earned: Earned, table: Outcomes, choices: Sequence[str], best: str, resamples: int, seed: int) -> Promise:
    """The figures and their intervals; the two ratios on the questions that both sides have."""
    alone = single(table, best)
    both_N = ~np.isnan(earned.quality_N + alone.quality_N)
    priced = not (earned.unpriced or alone.unpriced)
    usd_N, alone_usd_N = (each.usd_N if priced else np.full(len(table), np.nan) for each in (earned, alone))
    shared = [np.where(both_N, each, np.nan) for each in (earned.quality_N, alone.quality_N, usd_N, alone_usd_N)]
    calls_NM = np.where(np.isnan(earned.quality_N)[:, None], np.nan, earned.calls_NM)
    first_NM = np.array(choices)[:, None] == np.array(table.models)
    values_NK = np.column_stack([earned.quality_N, usd_N, *shared, first_NM, calls_NM])
    clusters_N = clusters(table.prompts, table.sources)
    means_BK = resample(values_NK, clusters_N=clusters_N, resamples=resamples, seed=seed)
    quality, usd, _, _, _, _, *shares = _figures(values_NK, means_BK)
    kept, spent = (_ratio(values_NK[:, pair], means_BK[:, pair]) for pair in (slice(2, 4), slice(4, 6)))
    return Promise(
        n=earned.n,
        best_single=best,
        quality=quality,
        kept=kept,
        usd=usd,
        saved=Figure(1 - spent.value, 1 - spent.high, 1 - spent.low),
        first=dict(zip(table.models, shares, strict=False)),
        share=dict(zip(table.models, shares[len(table.models) :], strict=True)),
    )


def _figures(values_NK: Floats, means_BK: Floats) -> list[Figure]:
    bounds_K2 = percentiles(means_BK).tolist()
    return [Figure(mean(values_N), *bounds) for values_N, bounds in zip(values_NK.T, bounds_K2, strict=True)]


def _ratio(values_N2: Floats, means_B2: Floats) -> Figure:
    """The ratio of two means, NaN where the second is unknown or zero."""
    above, below = (mean(values_N) for values_N in values_N2.T)
    if not below > 0:
        return Figure(math.nan, math.nan, math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of free questions only
        low, high = percentiles(means_B2[:, :1] / means_B2[:, 1:])[0].tolist()
    return Figure(above / below, low, high)


def _weighing(base: Objective, weight: float) -> Objective:
    """The objective with a weight of few digits, rounded up: a point of a curve holds from its weight on."""
    if weight <= 0:
        return replace(base, usd=0.0, budget=None)
    scale = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(weight)))
    return replace(base, usd=math.ceil(weight * scale) / scale, budget=None)
