"""What every comparison has beside it: each single model, chance and the oracle.  Suffixes: N questions, M models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes


def chosen(table: Outcomes, column_N: NDArray[np.intp]) -> Earned:
    """What the model of one column a question earned."""
    rows = np.arange(len(table))
    quality_N = table.quality_NM[rows, column_N]
    missing_N = np.isnan(quality_N)
    usd_N, seconds_N = (
        np.where(missing_N, np.nan, values_NM[rows, column_N]) for values_NM in (table.usd_NM, table.seconds_NM)
    )
    return Earned(table.models, quality_N, usd_N, seconds_N, np.eye(len(table.models))[column_N])


def single(table: Outcomes, model: str) -> Earned:
    """One model for every question."""
    return chosen(table, np.full(len(table), table.models.index(model)))


def chance(table: Outcomes) -> Earned:
    """What a model at random earns, in expectation: the mean over the models that were measured on the question.

    Where the cost of one of these is unknown, so is the expected cost.
    """
    known_NM = ~np.isnan(table.quality_NM)
    count_N = known_NM.sum(axis=1)
    share_NM = np.divide(known_NM, count_N[:, None], out=np.zeros(known_NM.shape), where=count_N[:, None] > 0)
    quality_N, usd_N, seconds_N = (
        np.where(count_N > 0, (share_NM * np.where(known_NM, values_NM, 0.0)).sum(axis=1), np.nan)
        for values_NM in (table.quality_NM, table.usd_NM, table.seconds_NM)
    )
    return Earned(table.models, quality_N, usd_N, seconds_N, share_NM)


def oracle(table: Outcomes) -> Earned:
    """The best model of each question, known in hindsight; of equally good ones the cheapest, then the first."""
    quality_NM = np.where(np.isnan(table.quality_NM), -1.0, table.quality_NM)
    best_NM = quality_NM == quality_NM.max(axis=1, keepdims=True)
    price_NM = np.where(np.isnan(table.usd_NM), np.finfo(float).max, table.usd_NM)
    return chosen(table, np.where(best_NM, price_NM, np.inf).argmin(axis=1))


def best_single(table: Outcomes) -> str:
    """The model of the highest mean quality; of equals the cheaper, then the first by name."""
    means = table.means()
    return min(means, key=lambda name: (-means[name][0], _price(means[name][1]), name))


def cheapest(table: Outcomes) -> str | None:
    """The model of the lowest mean USD, or None where no cost is known."""
    prices = {name: usd for name, (_, usd) in table.means().items() if not np.isnan(usd)}
    return min(prices, key=lambda name: (prices[name], name)) if prices else None


def _price(usd: float) -> float:
    return float("inf") if np.isnan(usd) else usd
