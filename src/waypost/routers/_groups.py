"""What each model is known to do in each group of prompts: means that lean on the model's overall mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.routers._targets import column_means
from waypost.types import Floats


class GroupMeans(NamedTuple):
    """Means of every target (G, K) and the standard errors of the first third, quality (G, M)."""

    means_GK: Floats
    errors_GM: Floats


def group_means(
    values_NK: Floats, weight_N: Floats, group_N: NDArray[np.intp], *, groups: int, prior: float
) -> GroupMeans:
    """Each group's mean, shrunken as by ``prior`` further rows of the overall mean; NaN where nothing was measured.

    A group without rows has the overall means.
    """
    m, overall_K = values_NK.shape[1] // 3, column_means(values_NK, weight_N)
    count_GK, total_GK = np.empty((2, groups, values_NK.shape[1]))
    for g in range(groups):
        rows = np.flatnonzero(group_N == g)
        known_nK = ~np.isnan(values_NK[rows])
        # Rows of one group may weigh differently (several files); the prior counts rows, so weights mean 1 in it.
        share_n = weight_N[rows] / max(weight_N[rows].mean(), 1e-12) if len(rows) else np.empty(0)
        count_GK[g] = share_n @ known_nK + prior
        total_GK[g] = share_n @ np.where(known_nK, values_NK[rows], 0)
    means_GK = (total_GK + prior * np.nan_to_num(overall_K)) / count_GK
    means_GK[:, np.isnan(overall_K)] = np.nan
    mean_GM = np.clip(means_GK[:, :m], 0, 1)
    return GroupMeans(means_GK, np.sqrt(mean_GM * (1 - mean_GM) / count_GK[:, :m]))
