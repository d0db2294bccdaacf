"""The trade-off between quality, money and time: the only place that chooses.  Shape suffixes: N prompts, M models.

    score = quality·q − usd·USD − seconds·s − risk·spread + Σ flag·attribute + bias

No router contains a trade-off, and no objective looks at text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import copysign, inf, isfinite, isnan, log
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput, BadRequest, NoModelLeft, UnknownModel, nearest, shown
from waypost.types import Decision, Floats, ModelCard, Prediction, Query

Attribute = Callable[[ModelCard], float | None]

# What a flag rewards; each is scaled to 0..1 over the models at hand, and an unknown value earns nothing.
FLAGS: Mapping[str, Attribute] = {
    "smaller": lambda card: -log(card.parameters) if card.parameters else None,
    "newer": lambda card: float(card.released.toordinal()) if card.released else None,
    "open": lambda card: float(card.open),
    "local": lambda card: float(card.local),
    "terse": lambda card: -log(card.answer_tokens) if card.answer_tokens else None,
}
_NUMBERS = ("quality", "usd", "seconds", "risk", "min_quality", "budget")
MOST = 1e15
_DECIMALS = 9  # scores closer than this are a tie: beyond it they differ by rounding only
_TIES = 10.0**_DECIMALS


class Ranked(NamedTuple):
    """What an objective makes of a prediction, (N, M): scores, and the models' columns best first.

    A score is minus infinity where a model is removed, and rounded: beyond nine decimals scores are a tie.
    """

    score_NM: Floats
    order_NM: NDArray[np.intp]


@dataclass(frozen=True)
class Objective:
    """Weights, hard constraints and flags of one choice.

    ``usd`` is quality points per USD: at 100, a cent is worth one full point of quality.  ``seconds`` is points per
    second, ``risk`` points per standard deviation of the router's doubt.  ``min_quality`` removes models expected
    below it (unless all are).  ``allowed`` names the only models to choose from.  ``budget`` is the mean USD per query
    to stay within; `solved` turns it into a weight.  ``flags`` weighs `FLAGS`, in the manner of Tryage (Hari & Thomson
    2023).  ``bias`` adds points to the models it names, or takes them: with it a share of the prompts can be sent to
    one of them, which is RouteLLM's threshold (Ong et al. 2024) for any number of models.  ``barred`` are models that
    the caller may not have, with the reasons; no wish changes that.  Equal scores are broken by cost, then
    by name.

    What has a weight and is unknown (NaN) removes a model from a prompt, unless it is unknown of all models there: then
    it decides nothing.  So each prompt is ranked by itself, and many at once are ranked as one by one.

    >>> import numpy as np
    >>> two = Prediction(("small", "large"), np.array([[0.7, 0.9]]), np.array([[0.001, 0.01]]),
    ...                  np.zeros((1, 2)), np.zeros((1, 2)))
    >>> cards = {name: ModelCard(name) for name in two.models}
    >>> Objective().choose(two, cards).model, Objective(usd=30).choose(two, cards).model
    ('large', 'small')
    """

    quality: float = 1.0
    usd: float = 0.0
    seconds: float = 0.0
    risk: float = 0.0
    min_quality: float = 0.0
    budget: float | None = None
    allowed: tuple[str, ...] | None = None
    flags: Mapping[str, float] = field(default_factory=dict)
    bias: Mapping[str, float] = field(default_factory=dict)
    barred: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], base: Self | None = None) -> Self:
        """An objective from a user's words, on top of ``base``.

        Raises:
            BadRequest: an unknown field or a value out of range; ``field`` names it.

        >>> Objective.from_mapping({"usd": 100, "flags": {"local": 0.1}}).usd
        100.0
        """
        known = (*_NUMBERS, "allowed", "flags", "bias")
        for name in given:
            if name not in known:
                raise BadRequest(name, f"is not an objective; there is {', '.join(known)}.{nearest(name, known)}")
        changes: dict[str, Any] = {name: _number(name, given[name]) for name in _NUMBERS if name in given}
        if changes.get("budget") == 0:
            raise BadRequest("budget", "must be above zero: mean USD per query, such as 0.001")
        if "allowed" in given:
            changes["allowed"] = _names(given["allowed"])
        if "flags" in given:
            changes["flags"] = _flags(given["flags"])
        if "bias" in given:
            changes["bias"] = _bias(given["bias"])
        return replace(base or cls(), **changes)

    def choose(
        self, prediction: Prediction, cards: Mapping[str, ModelCard], query: Query | None = None, router: str = ""
    ) -> Decision:
        """The decision for the first prompt of a prediction, with its reasons.

        Raises:
            UnknownModel: ``allowed`` or ``bias`` names a model outside the pool.
            NoModelLeft: the constraints removed every model; the sentence says what removed each.
        """
        models = prediction.models
        removed = self._removed(models, cards, query)
        quality, usd, seconds = (array_NM[0].tolist() for array_NM in prediction[1:4])
        spread = prediction.spread_NM[0].tolist() if self.risk else ()
        bonus = self._bonus(models, cards).tolist() if self.flags or self.bias else [0.0] * len(models)
        scored = self._scored([name in removed for name in models], bonus, (quality, usd, seconds, spread))
        best_first = []
        for name, score, dollars, worth in zip(models, scored, usd, quality, strict=True):
            if isfinite(score):
                best_first.append((-score, inf if isnan(dollars) else dollars, name))
            elif name not in removed:
                removed[name] = self._unscored(worth)
        if not best_first:
            reasons = "; ".join(f"{name}: {why}" for name, why in removed.items())
            raise NoModelLeft(f"no model is left to choose from ({reasons}); relax the constraints or name a model")
        best_first.sort()
        scores = {name: -less for less, _, name in best_first}
        ranking = tuple(scores)
        qualities, dollars_of = dict(zip(models, quality, strict=True)), dict(zip(models, usd, strict=True))
        return Decision(
            router=router,
            ranking=ranking,
            scores=scores,
            quality=qualities,
            usd=dollars_of,
            seconds=dict(zip(models, seconds, strict=True)),
            removed=removed,
            weights=self.weights,
            why=self._why(ranking, scores, qualities, dollars_of, len(models)),
            bonus=dict(zip(models, bonus, strict=True)) if self.flags or self.bias else {},
        )

    def choose_many(self, prediction: Prediction, cards: Mapping[str, ModelCard]) -> NDArray[np.intp]:
        """The column of the chosen model for every prompt, (N,): what `choose` says of each, one by one.

        Raises:
            NoModelLeft: no model is left to choose from for some prompt; the sentence is that of the first one.
        """
        return self.ranked(prediction, cards).order_NM[:, 0]

    def ranked(self, prediction: Prediction, cards: Mapping[str, ModelCard], query: Query | None = None) -> Ranked:
        """The score of every model for every prompt, and the models' columns best first.

        ``query`` is the one request that all rows are of, where its needs and its length are to count.

        Raises:
            NoModelLeft: no model is left to choose from for some prompt; the sentence is that of the first one.

        >>> one = Prediction(("small", "large"), np.array([[0.7, 0.9]]), *[np.array([[0.0, 0.001]])] * 3)
        >>> Objective(usd=30).ranked(one, {name: ModelCard(name) for name in one.models}).order_NM
        array([[1, 0]])
        """
        found = self._rank(prediction, cards, self._removed(prediction.models, cards, query))
        nobody_N = np.isneginf(found.score_NM).all(axis=1)
        if nobody_N.any():
            # One choice of the first such prompt raises, and says what removed each model.
            first = slice(nobody_N.argmax(), None)
            self.choose(Prediction(prediction.models, *(array[first] for array in prediction[1:])), cards, query)
        return found

    def solved(self, sample: Prediction, cards: Mapping[str, ModelCard]) -> Self:
        """The same objective with its budget turned into the least ``usd`` weight that keeps it on a sample.

        The Lagrangian of max mean quality subject to mean USD per query ≤ budget: cost falls as the weight grows, so
        the weight is found by bisection.  The mean is over the prompts of which some cost is known.  Without a budget
        the objective stays as it is.

        Raises:
            BadInput: even the cheapest choices cost more, no cost is known, or the sample is empty.
        """
        if self.budget is None:
            return self
        budget, free = self.budget, replace(self, budget=None)
        known_N = ~np.isnan(sample.usd_NM).all(axis=1)
        if not known_N.any():
            raise BadInput(f"a budget of ${budget:g} per query cannot be kept: no costs are known to solve it on")
        sample = Prediction(sample.models, *(array[known_N] for array in sample[1:]))
        costs_NM = np.where(np.isnan(sample.usd_NM), np.inf, sample.usd_NM)

        def mean_cost(weight: float) -> float:
            chosen = replace(free, usd=weight).choose_many(sample, cards)
            return float(costs_NM[np.arange(len(chosen)), chosen].mean())

        if mean_cost(free.usd) <= budget:
            return free
        low, high = free.usd, max(1.0, 2 * free.usd)
        while mean_cost(high) > budget:
            if high > 1e15:
                least = f"the cheapest choices cost ${mean_cost(high):g}"
                raise BadInput(f"a budget of ${budget:g} per query is too small; {least} on average")
            low, high = high, high * 8
        while high - low > 1e-3 * high:
            middle = (low + high) / 2
            low, high = (low, middle) if mean_cost(middle) <= budget else (middle, high)
        return replace(free, usd=high)

    def scores(self, prediction: Prediction, cards: Mapping[str, ModelCard]) -> Floats:
        """The score of every model for every prompt, (N, M); minus infinity where a model is removed or unknown.

        >>> one = Prediction(("small", "large"), np.array([[0.7, 0.9]]), *[np.array([[0.0, 0.01]])] * 3)
        >>> Objective(usd=30).scores(one, {name: ModelCard(name) for name in one.models}).round(2)
        array([[0.7, 0.6]])
        """
        return self._rank(prediction, cards, self._removed(prediction.models, cards, None)).score_NM

    @property
    def weights(self) -> dict[str, float]:
        """The weights that are in force, by name."""
        costs = {"usd": self.usd, "seconds": self.seconds, "risk": self.risk, **self.flags}
        return {"quality": self.quality, **{name: weight for name, weight in costs.items() if weight}}

    def _removed(self, models: Sequence[str], cards: Mapping[str, ModelCard], query: Query | None) -> dict[str, str]:
        for name in (*(self.allowed or ()), *self.bias):
            if name not in cards:
                raise UnknownModel(name, cards)
        return {name: reason for name in models if (reason := self._reason(name, cards.get(name), query))}

    def _reason(self, name: str, card: ModelCard | None, query: Query | None) -> str:
        if card is None:
            return "not in the pool"
        if name in self.barred:
            return self.barred[name]
        if self.allowed is not None and name not in self.allowed:
            return "not among the allowed models"
        return misfit(card, query) if query is not None else ""

    def _unscored(self, quality: float) -> str:
        if not isfinite(quality):
            return "the router knows nothing of its quality"
        if quality < self.min_quality:
            return f"expected quality {quality:.3f} is below {self.min_quality:g}"
        return "what has a weight (its cost, its seconds or the doubt about it) is unknown"

    def _why(
        self,
        ranking: Sequence[str],
        scores: Mapping[str, float],
        quality: Mapping[str, float],
        usd: Mapping[str, float],
        n: int,
    ) -> str:
        best = ranking[0]
        cost = f"${usd[best]:.3g}" if isfinite(usd[best]) else "an unknown cost"
        said = f"{best}: expected quality {quality[best]:.2f} at {cost}"
        if quality[best] < self.min_quality:
            return (
                f"{said}; nobody is expected to reach {self.min_quality:g}, so the best of {len(ranking)} comes first"
            )
        if len(ranking) == 1:
            return f"{said}; the only one left of {n} models" if n > 1 else said
        second = ranking[1]
        if scores[best] > scores[second]:
            return (
                f"{said}; score {scores[best]:.3f} against {scores[second]:.3f} of {second}, the next of {len(ranking)}"
            )
        cheaper = usd[best] < usd[second] or (isfinite(usd[best]) and not isfinite(usd[second]))
        return f"{said}; tied with {second} on score, {'cheaper' if cheaper else 'first by name'}"

    def _rank(self, prediction: Prediction, cards: Mapping[str, ModelCard], removed: Mapping[str, str]) -> Ranked:
        models = prediction.models
        score_NM = self.quality * prediction.quality_NM + self._bonus(models, cards)
        weights = (self.usd, self.seconds, self.risk)
        for weight, term_NM in zip(weights, prediction[2:], strict=True):
            if weight:
                nobodys_N1 = np.isnan(term_NM).all(axis=1, keepdims=True)
                score_NM = score_NM - np.where(nobodys_N1, 0.0, weight * term_NM)
        score_NM = np.where(np.isnan(score_NM), -np.inf, score_NM)
        score_NM[:, [name in removed for name in models]] = -np.inf
        if self.min_quality > 0:
            enough_NM = np.isfinite(score_NM) & (prediction.quality_NM >= self.min_quality)
            reached_N1 = enough_NM.any(axis=1, keepdims=True)
            # Where nobody reaches the bar nobody is removed by it, and the best expected quality comes first.
            best_NM = np.where(np.isfinite(score_NM), prediction.quality_NM, -np.inf)
            score_NM = np.where(reached_N1, np.where(enough_NM, score_NM, -np.inf), best_NM)
        usd_NM = np.where(np.isnan(prediction.usd_NM), np.inf, prediction.usd_NM)
        name_NM = np.broadcast_to(_alphabetical(models), score_NM.shape)
        score_NM = score_NM.round(_DECIMALS)
        return Ranked(score_NM, np.lexsort((name_NM, usd_NM, -score_NM), axis=1))

    def _scored(self, gone: Sequence[bool], bonus: Sequence[float], facts: Sequence[Sequence[float]]) -> list[float]:
        """The scores of `_rank` for one prompt, to the last bit: for so few numbers arrays would take much longer."""
        quality, *terms = facts
        weighed = [
            (weight, term)
            for weight, term in zip((self.usd, self.seconds, self.risk), terms, strict=True)
            if weight and not all(map(isnan, term))
        ]
        factor, scores = self.quality, []
        for m, (worth, points, out) in enumerate(zip(quality, bonus, gone, strict=True)):
            score = factor * worth + points
            for weight, term in weighed:
                score -= weight * term[m]
            scores.append(-inf if out or isnan(score) else score)
        if self.min_quality > 0:
            enough = [isfinite(s) and worth >= self.min_quality for s, worth in zip(scores, quality, strict=True)]
            if any(enough):
                scores = [score if fits else -inf for score, fits in zip(scores, enough, strict=True)]
            else:
                scores = [worth if isfinite(s) else -inf for s, worth in zip(scores, quality, strict=True)]
        return [_rounded(score) for score in scores]

    def _bonus(self, models: Sequence[str], cards: Mapping[str, ModelCard]) -> Floats:
        total_M = np.array([self.bias.get(name, 0.0) for name in models])
        for flag, weight in self.flags.items():
            values = [FLAGS[flag](cards[name]) if name in cards else None for name in models]
            raw_M = np.array([np.nan if v is None else v for v in values])
            if flag not in ("open", "local") and np.isfinite(raw_M).any():
                low, high = np.nanmin(raw_M), np.nanmax(raw_M)
                raw_M = (raw_M - low) / (high - low) if high > low else raw_M * 0
            total_M += weight * np.nan_to_num(raw_M)
        return total_M


def misfit(card: ModelCard, query: Query) -> str:
    """Why a model cannot serve a request, by what it can do and how much it reads; empty if it can.

    >>> misfit(ModelCard("small", context=100), Query.of("Hi", max_tokens=200))
    '201 tokens do not fit its context of 100'
    """
    if "chat" not in card.apis and (query.native is None or query.native.api not in card.apis):
        return f"speaks {', '.join(sorted(card.apis))} only"
    if query.needs and (missing := sorted(query.needs - card.capabilities - card.apis)):
        return f"cannot do {', '.join(missing)}"
    if card.context is None:
        return ""
    asked = query.parameters.get("max_completion_tokens") or query.parameters.get("max_tokens")
    tokens = query.size + int(asked or 0)
    return f"{tokens} tokens do not fit its context of {card.context}" if tokens > card.context else ""


def _rounded(score: float) -> float:
    """A score as numpy rounds it, which is not quite as Python does."""
    scaled = score * _TIES
    return (round(scaled) / _TIES or copysign(0.0, scaled)) if isfinite(scaled) else scaled


@lru_cache(maxsize=64)
def _alphabetical(models: tuple[str, ...]) -> NDArray[np.intp]:
    """The place of each name in the alphabet of all."""
    return np.argsort(np.argsort(models))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        raise BadRequest(name, f"must be a number from zero to {MOST:g}, got {str(value)[:40]}")
    if name == "min_quality" and value > 1:
        raise BadRequest(name, f"must be between 0 and 1, got {shown(repr(value))}")
    return float(value)


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(v, str) for v in value):
        raise BadRequest("allowed", f"must be a list of model names, got {shown(repr(value))}")
    if not value:
        raise BadRequest("allowed", "must name at least one model, got an empty list")
    return tuple(value)


def _bias(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise BadRequest("bias", f"must map model names to points, such as {{'large': -0.1}}, got {shown(repr(value))}")
    for points in value.values():
        if isinstance(points, bool) or not isinstance(points, int | float) or not -MOST <= points <= MOST:
            raise BadRequest("bias", f"must give numbers from -{MOST:g} to {MOST:g}, got {str(points)[:40]}")
    return {name: float(points) for name, points in value.items()}


def _flags(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise BadRequest("flags", f"must map flags to weights, such as {{'local': 0.1}}, got {shown(repr(value))}")
    for name in value:
        if name not in FLAGS:
            near = nearest(str(name), FLAGS)
            raise BadRequest("flags", f"has no '{shown(str(name))}'; there is {', '.join(FLAGS)}.{near}")
    return {name: _number("flags", weight) for name, weight in value.items()}
