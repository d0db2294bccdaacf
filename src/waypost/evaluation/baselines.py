"""What every comparison has beside it: each single model, chance and the oracle.  Suffixes: N questions, M models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadTable
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import Floats

_DECIMALS = 12  # effects closer than this differ by the rounding of the fit only


def chosen(table: Outcomes, column_N: NDArray[np.intp]) -> Earned:
    """What the model of one column a question earned."""
    rows = np.arange(len(table))
    quality_N = table.quality_NM[rows, column_N]
    missing_N = np.isnan(quality_N)
    usd_N, seconds_N = (
        np.where(missing_N, np.nan, values_NM[rows, column_N]) for values_NM in (table.usd_NM, table.seconds_NM)
    )
    # In bytes, as these are the largest arrays of a comparison.
    calls_NM = np.eye(len(table.models), dtype=np.uint8)[column_N]
    return Earned(table.models, quality_N, usd_N, seconds_N, calls_NM)


def single(table: Outcomes, model: str) -> Earned:
    """One model for every question; its numbers are the table's own, not copies."""
    m = table.models.index(model)
    quality_N = table.quality_NM[:, m]
    missing_N = np.isnan(quality_N)
    usd_N, seconds_N = (
        np.where(missing_N, np.nan, values_NM[:, m]) if missing_N.any() else values_NM[:, m]
        for values_NM in (table.usd_NM, table.seconds_NM)
    )
    calls_M = np.eye(len(table.models), dtype=np.uint8)[m]
    return Earned(table.models, quality_N, usd_N, seconds_N, np.broadcast_to(calls_M, table.quality_NM.shape))


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


def bounds(table: Outcomes) -> dict[str, Earned]:
    """`chance` and `oracle` by their names."""
    return {"chance": chance(table), "oracle": oracle(table)}


def best_single(table: Outcomes) -> str:
    """The model of the highest quality on the questions that models share; of equals the cheaper, then by name.

    Where cells are missing, plain means would favour a model that was measured on easy questions only.  So each
    question gets a level of its own, quality_nm = level_n + model_m + noise, fitted by least squares over the measured
    cells: every question compares the models that it has, and these comparisons are joined.  Where no cell is missing
    this is the order of the means.

    Raises:
        BadTable: the models fall into groups that no question joins.

    >>> from waypost.outcomes import example_table
    >>> best_single(example_table(200))
    'large'
    """
    effect_M = _effects(table)
    price_M = [_price(usd) for _, usd in table.means().values()]
    return min(zip(-effect_M, price_M, table.models, strict=True))[2]


def cheapest(table: Outcomes) -> str | None:
    """The model of the lowest mean USD, or None where no cost is known."""
    prices = {name: usd for name, (_, usd) in table.means().items() if not np.isnan(usd)}
    return min(prices, key=lambda name: (prices[name], name)) if prices else None


def _price(usd: float) -> float:
    return float("inf") if np.isnan(usd) else usd


def _effects(table: Outcomes) -> Floats:
    """Each model's part in quality once every question has a level of its own, (M,)."""
    known_NM = ~np.isnan(table.quality_NM)
    if known_NM.all():
        return np.average(table.quality_NM, axis=0, weights=table.weight_N)
    count_N1 = np.maximum(known_NM.sum(axis=1, keepdims=True), 1)
    quality_NM = np.where(known_NM, table.quality_NM, 0.0)
    above_NM = np.where(known_NM, quality_NM - quality_NM.sum(axis=1, keepdims=True) / count_N1, 0.0)
    # With the levels eliminated, what remains is a Laplacian: how much each pair of models shares.
    shared_MM = (known_NM * table.weight_N[:, None] / count_N1).T @ known_NM
    _refuse_apart(table.models, shared_MM)
    laplacian_MM = np.diag(shared_MM.sum(axis=1)) - shared_MM
    effect_M: Floats = np.linalg.lstsq(laplacian_MM, table.weight_N @ above_NM)[0]
    return effect_M.round(_DECIMALS)


def _refuse_apart(models: Sequence[str], shared_MM: Floats) -> None:
    joined_MM = np.linalg.matrix_power((shared_MM > 0).astype(float), len(models)) > 0
    if not joined_MM[0].all():
        apart = models[int(joined_MM[0].argmin())]
        raise BadTable(
            f"no question joins models {models[0]!r} and {apart!r}, not even through others, so their quality cannot "
            f"be compared; ask both the same questions, or leave one out (Outcomes.only)"
        )
