"""Means of units that lean on what stands above them by as much as the units are alike (empirical Bayes).

Shape suffixes: N rows, M models, U units.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats


class Effects(NamedTuple):
    """By how much each unit differs from what stands above it, (U, M)."""

    effect_UM: Floats
    error_UM: Floats  # standard error of the effect
    between_M: Floats  # standard deviation of the effects between units


def effects(
    residual_NM: Floats, weight_N: Floats, unit_N: NDArray[np.intp], *, units: int, evidence: float = 1.0
) -> Effects:
    """Shrunken means in every unit of residuals, NaN where not measured.

    What a unit's models have in common (it is hard) and how each differs from that are shrunk apart, since only the
    second says which model is best, and it is the smaller.  A mean of n rows becomes n / (n + s²/t²) of itself: s² is
    the variance of a row, t² that between units by moments (DerSimonian & Laird 1986), of which ``evidence`` standard
    errors are taken off, those that it would have if no unit differed.  Without evidence t² is 0 and so is the effect;
    with any amount of rows the effect is the mean.

    >>> unit_N = np.repeat([0, 1], 500)
    >>> residual_NM = np.where(unit_N[:, None] == 1, [[0.2, -0.2]], [[-0.2, 0.2]])
    >>> effects(residual_NM, np.ones(1000), unit_N, units=2).effect_UM.round(2).tolist()
    [[-0.2, 0.2], [0.2, -0.2]]
    """
    known_NM = ~np.isnan(residual_NM)
    residual_NM = np.where(known_NM, residual_NM, 0.0)
    # Files may weigh differently; within a unit a weight counts as so many rows.
    weight_U = np.bincount(unit_N, weight_N, units) / np.maximum(np.bincount(unit_N, minlength=units), 1)
    rows_N = weight_N / np.maximum(weight_U[unit_N], 1e-12)
    count_UM, total_UM = np.zeros((2, units, residual_NM.shape[1]))
    np.add.at(count_UM, unit_N, known_NM * rows_N[:, None])
    np.add.at(total_UM, unit_N, residual_NM * rows_N[:, None])
    mean_UM = total_UM / np.maximum(count_UM, 1e-12)
    common_U1 = total_UM.sum(axis=1, keepdims=True) / np.maximum(count_UM.sum(axis=1, keepdims=True), 1e-12)
    asked_U1 = np.bincount(unit_N, rows_N * known_NM.any(axis=1), units)[:, None].astype(np.float64)
    own_M, common = _variances(np.where(known_NM, residual_NM - mean_UM[unit_N], 0.0), known_NM)
    parts = (
        _shrunken(common_U1, asked_U1, np.array([common]), evidence),
        _shrunken(np.where(count_UM > 0, mean_UM - common_U1, 0.0), count_UM, own_M, evidence),
    )
    effect_UM = parts[0].effect_UM + parts[1].effect_UM
    return Effects(
        effect_UM, *(np.hypot(getattr(parts[0], name), getattr(parts[1], name)) for name in Effects._fields[1:])
    )


def _variances(inside_NM: Floats, known_NM: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Variance within units of one row's difference between a model and the others, (M,), and of the row's mean.

    The difference is exact where all models answered one prompt; where each prompt had one answer it is as uncertain
    as the answer.  One further row of error 1/2 is added to each, for nobody is known to be exact.
    """
    known_N1 = known_NM.sum(axis=1, keepdims=True)
    mean_N1 = inside_NM.sum(axis=1, keepdims=True) / np.maximum(known_N1, 1)
    count_M = known_NM.sum(axis=0)
    paired_M = (known_NM * (known_N1 - 1)).sum(axis=0) / np.maximum(count_M * (known_NM.shape[1] - 1), 1)
    alone_M = np.square(inside_NM).sum(axis=0)
    against_M = np.square(np.where(known_NM, inside_NM - mean_N1, 0.0)).sum(axis=0)
    own_M = (paired_M * against_M + (1 - paired_M) * alone_M + 0.25) / (count_M + 1)
    return own_M, float((np.square(mean_N1).sum() + 0.25) / (np.count_nonzero(known_N1) + 1))


def _shrunken(mean_UK: Floats, count_UK: Floats, variance_K: Floats, evidence: float) -> Effects:
    precision_UK = count_UK / variance_K
    total_K = precision_UK.sum(axis=0)
    center_K = (precision_UK * mean_UK).sum(axis=0) / np.maximum(total_K, 1e-12)
    apart_K = (precision_UK * np.square(mean_UK - center_K)).sum(axis=0)
    freedom_K = np.maximum((count_UK > 0).sum(axis=0) - 1, 0)
    scale_K = total_K - np.square(precision_UK).sum(axis=0) / np.maximum(total_K, 1e-12)
    excess_K = apart_K - freedom_K - evidence * np.sqrt(2 * freedom_K)
    between_K = np.where(scale_K > 0, np.maximum(excess_K, 0) / np.maximum(scale_K, 1e-12), 0.0)
    share_UK = between_K * precision_UK / (1 + between_K * precision_UK)
    return Effects(share_UK * mean_UK, np.sqrt(between_K * (1 - share_UK)), np.sqrt(between_K))
