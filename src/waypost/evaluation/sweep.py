"""Every trade-off of one router at once, exactly.  Suffixes: N questions, K models predicted, R rows of a block.

As the ``usd`` weight w grows, each model's score falls along a line, s − w·c, and the chosen model follows the upper
envelope of the lines.  So a question changes its choice at most K − 1 times, at weights that are known exactly, and
always to something cheaper: one walk along the envelopes gives what a search over weights can only sample.  A table of
thousands of questions has more such weights than a curve has points: then some are left out, and those kept are exact.
Models that declined are called and paid on the way to the answer, as in service, while they rank above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.evaluation.measures.curves import Curve
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.types import Floats, ModelCard, Prediction

Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]

_ROWS = 1 << 16
# Two weights tell which scores fall with money.  The first moves no score, yet removes what any price removes: a
# model of unknown cost.
_NEXT_TO_NOTHING, _MUCH = 1e-300, 1e15
_ROUNDING = 1e-9


class _Calls(NamedTuple):
    """Calls of some questions, each made while ``low`` ≤ weight < ``high``, on the way to what ``answer`` says."""

    row: Integers
    column: Integers
    answer: Integers
    low: Floats
    high: Floats


class _Lines(NamedTuple):
    """The models of each question, best first at no weight: table columns, scores, USD (inf: never chosen)."""

    column_RK: Integers
    score_RK: Floats
    usd_RK: Floats
    declined_RK: Flags


def sweep(
    prediction: Prediction,
    table: Outcomes,
    *,
    name: str,
    cards: Mapping[str, ModelCard] | None = None,
    base: Objective | None = None,
    points: int = 10_000,
) -> Curve:
    """All that a prediction earns on a table as the ``usd`` weight goes from 0 to infinity, the rest as in ``base``.

    A point holds from its weight up to the next one's.  Where choices change at more than ``points`` weights, these
    are thinned so that about as many choices change between any two.  A model of unknown expected cost is chosen only
    where nobody's is known, as by any objective that weighs money.

    Raises:
        BadInput: no expected cost is known, or the prediction does not fit the table.
        NoModelLeft: no model is left to choose from for some question.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> train, test = example_table(400).split()
    >>> curve = sweep(make("ridge").fit(train).predict(test.prompts), test, name="ridge")
    >>> bool(curve.usd_P[0] > curve.usd_P[-1]), bool(curve.quality_P[0] > curve.quality_P[-1])
    (True, True)
    """
    _check(prediction, table)
    if points < 2:
        raise BadInput(f"a curve needs at least 2 points, got {points}")
    cards = cards or {model: ModelCard(model) for model in table.models}
    free = replace(base or Objective(), usd=_NEXT_TO_NOTHING, budget=None)
    blocks = [slice(start, start + _ROWS) for start in range(0, len(table), _ROWS)]
    parts = [part for block in blocks for part in _walk(_lines(prediction, table, free, cards, block), block.start)]
    calls = _Calls(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    edges = np.concatenate([calls.low, calls.high[np.isfinite(calls.high)]])
    return _curve(name, table, calls, _thinned(np.sort(edges), points))


def _lines(
    prediction: Prediction, table: Outcomes, free: Objective, cards: Mapping[str, ModelCard], block: slice
) -> _Lines:
    part = _part(prediction, block)
    score_RK, order_RK = free.ranked(part, cards)
    dear_RK, _ = replace(free, usd=_MUCH).ranked(part, cards)
    known_RK = np.isfinite(score_RK)
    # Where nobody's cost is known, or nobody reaches the base's least quality, the same is chosen at any price.
    moves_R1 = (dear_RK != score_RK).any(axis=1, where=known_RK, keepdims=True)
    usd_RK = np.where(known_RK, np.where(moves_R1, part.usd_NM, 0.0), np.inf)
    column_K = np.array([table.models.index(model) for model in part.models])
    declined_RK = known_RK & (False if table.declined_NM is None else table.declined_NM[block][:, column_K])
    score_RK, usd_RK = (np.take_along_axis(each, order_RK, axis=1) for each in (score_RK, usd_RK))
    return _Lines(column_K[order_RK], score_RK, usd_RK, np.take_along_axis(declined_RK, order_RK, axis=1))


def _walk(lines: _Lines, first_row: int) -> Iterator[_Calls]:
    """Follow each question's envelope, from no weight to where nothing cheaper is left."""
    known_RK = np.isfinite(lines.usd_RK)
    open_RK = known_RK & ~lines.declined_RK
    # Where all declined, all are called at any weight, and the last one's refusal is what is given.
    at_R = np.where(open_RK.any(axis=1), open_RK.argmax(axis=1), known_RK.sum(axis=1) - 1)
    row_R, low_R = np.arange(len(at_R)), np.zeros(len(at_R))
    while len(row_R):
        here = _Lines(lines.column_RK[row_R], lines.score_RK[row_R], lines.usd_RK[row_R], lines.declined_RK[row_R])
        next_R, high_R = _next(here, at_R, open_RK[row_R], low_R)
        answer_R = _pick(here.column_RK, at_R)
        yield _Calls(row_R + first_row, answer_R, answer_R, low_R, high_R)
        if here.declined_RK.any():
            yield _on_the_way(here, at_R, row_R + first_row, low_R, high_R)
        goes_R = np.isfinite(high_R)
        row_R, at_R, low_R = row_R[goes_R], next_R[goes_R], high_R[goes_R]


def _next(lines: _Lines, at_R: Integers, open_RK: Flags, low_R: Floats) -> tuple[Integers, Floats]:
    """Which model comes next on each envelope, and from which weight on (infinity: none)."""
    saved_RK = _pick(lines.usd_RK, at_R)[:, None] - np.where(open_RK, lines.usd_RK, np.inf)
    lost_RK = _pick(lines.score_RK, at_R)[:, None] - lines.score_RK
    weight_RK = np.full(saved_RK.shape, np.inf)
    np.divide(lost_RK, saved_RK, out=weight_RK, where=saved_RK > 0)
    # Ties are of rounded scores, so the next may seem better by a hair already: the weight never goes back.
    weight_RK = np.maximum(weight_RK, low_R[:, None])
    first_R = weight_RK.min(axis=1)
    return np.where(weight_RK == first_R[:, None], lines.usd_RK, np.inf).argmin(axis=1), first_R


def _on_the_way(lines: _Lines, at_R: Integers, row_R: Integers, low_R: Floats, high_R: Floats) -> _Calls:
    """The calls of models that decline, made while they rank above the model at ``at_R``."""
    place_RK = np.arange(lines.usd_RK.shape[1])[None, :]
    dearer_RK = lines.usd_RK - _pick(lines.usd_RK, at_R)[:, None]
    better_RK = lines.score_RK - _pick(lines.score_RK, at_R)[:, None]
    cross_RK = np.full(dearer_RK.shape, np.inf)
    np.divide(better_RK, dearer_RK, out=cross_RK, where=lines.declined_RK & (dearer_RK != 0))
    above_RK = np.where(place_RK < at_R[:, None], 0.0, np.inf)
    # A cheaper one ranks above from the crossing on, a dearer one up to it, one of equal cost always or never.
    from_RK = np.maximum(np.where(dearer_RK < 0, cross_RK, above_RK), low_R[:, None])
    until_RK = np.minimum(np.where(dearer_RK > 0, cross_RK, np.inf), high_R[:, None])
    all_R = _pick(lines.declined_RK, at_R)
    from_RK[all_R], until_RK[all_R] = 0.0, np.inf
    r, k = np.nonzero(lines.declined_RK & (place_RK != at_R[:, None]) & (from_RK < until_RK))
    return _Calls(row_R[r], lines.column_RK[r, k], lines.column_RK[r, at_R[r]], from_RK[r, k], until_RK[r, k])


def _thinned(weights: Floats, points: int) -> Floats:
    """All weights at which a call changes, or as many of them as asked, evenly by number of changes."""
    distinct: Floats = np.unique(weights)
    # Equal but for rounding are one weight: the last of them, at which all have changed.
    apart = distinct[1:] > distinct[:-1] * (1 + _ROUNDING)
    distinct = distinct[np.append(apart, True)]
    if len(distinct) <= points:
        return distinct
    changes = weights[weights > distinct[0]]
    evenly = np.linspace(0, len(changes) - 1, points - 1).round().astype(np.intp)
    kept: Floats = np.unique(np.append(changes[evenly], distinct[0]))
    return kept


def _curve(name: str, table: Outcomes, calls: _Calls, weight_P: Floats) -> Curve:
    """Sum what each call earns over the points at which it is made."""
    start, stop = (np.searchsorted(weight_P, edge) for edge in (calls.low, calls.high))
    size = len(weight_P)

    def summed(kept: Flags, values: Floats | None = None) -> Floats:
        return _held(start[kept], stop[kept], size, None if values is None else values[kept])

    quality, usd = table.quality_NM[calls.row, calls.answer], table.usd_NM[calls.row, calls.column]
    measured = ~np.isnan(quality)
    given = measured & (calls.column == calls.answer)
    n_P, unpriced_P = summed(given), summed(measured & np.isnan(usd))
    count_P = np.where(n_P > 0, n_P, np.nan)
    paid_P = np.where(unpriced_P > 0, np.nan, summed(measured & ~np.isnan(usd), usd))
    share_PM = np.stack([summed(measured & (calls.column == m)) / count_P for m in range(len(table.models))], axis=1)
    return Curve(
        name=name,
        weight_P=weight_P,
        usd_P=paid_P / count_P,
        quality_P=summed(given, quality) / count_P,
        share_PM=share_PM,
        models=table.models,
        missing_P=(len(table) - n_P).astype(np.intp),
    )


def _held(start: Integers, stop: Integers, size: int, values: Floats | None) -> Floats:
    """The sum of the values held at each of ``size`` points, (P,), each from its ``start`` up to before its ``stop``.

    On a segment tree, which only adds: a running total of what begins less what ends is left with the rounding of all
    that was ever in it, and says less than nothing where what is left is free.
    """
    leaves = 1 << (size - 1).bit_length()
    tree = np.zeros(2 * leaves)
    low, high = start + leaves, stop + leaves
    while (open_ := low < high).any():
        low, high, values = low[open_], high[open_], None if values is None else values[open_]
        # An end that is no whole pair of nodes is summed here, all between the ends by pairs, one level up.
        for alone, node in ((low % 2 == 1, low), (high % 2 == 1, high - 1)):
            tree += np.bincount(node[alone], None if values is None else values[alone], minlength=2 * leaves)
        low, high = (low + 1) // 2, high // 2
    for level in range(1, leaves.bit_length()):
        tree[1 << level : 2 << level] += tree[1 << (level - 1) : 1 << level].repeat(2)
    held_P: Floats = tree[leaves : leaves + size]
    return held_P


def _check(prediction: Prediction, table: Outcomes) -> None:
    shape = (len(table), len(prediction.models))
    if prediction.quality_NM.shape != shape:
        raise BadInput(f"the prediction has shape {prediction.quality_NM.shape}, the table needs {shape}")
    if unknown := [model for model in prediction.models if model not in table.models]:
        raise BadInput(f"the prediction is for {unknown[0]!r}; the table has {', '.join(table.models)}")
    if np.isnan(prediction.usd_NM).all():
        raise BadInput("a curve over money needs expected costs, and the prediction knows none; give the table costs")


def _pick(values_RK: NDArray[Any], at_R: Integers) -> NDArray[Any]:
    return np.take_along_axis(values_RK, at_R[:, None], axis=1)[:, 0]


def _part(prediction: Prediction, rows: slice) -> Prediction:
    return Prediction(prediction.models, *(array[rows] for array in prediction[1:]))
