"""What each model is known to do in each group of prompts: means that lean on the model's overall mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.routers.parts.targets import column_means
from waypost.types import Floats


class GroupMeans(NamedTuple):
    """Means of every model's quality in each group, and their standard errors; both (G, M)."""

    means_GM: Floats
    errors_GM: Floats


def group_means(
    quality_NM: Floats, weight_N: Floats, group_N: NDArray[np.intp], *, groups: int, prior: float
) -> GroupMeans:
    """Each group's mean, shrunken as by ``prior`` further rows of the overall mean; NaN where nothing was measured.

    A group without rows has the overall means.
    """
    overall_M = column_means(quality_NM, weight_N)
    count_GM, total_GM = np.empty((2, groups, quality_NM.shape[1]))
    for g in range(groups):
        rows = np.flatnonzero(group_N == g)
        known_nM = ~np.isnan(quality_NM[rows])
        # Rows of one group may weigh differently (several files); the prior counts rows, so weights mean 1 in it.
        share_n = weight_N[rows] / max(weight_N[rows].mean(), 1e-12) if len(rows) else np.empty(0)
        count_GM[g] = share_n @ known_nM + prior
        total_GM[g] = share_n @ np.where(known_nM, quality_NM[rows], 0)
    means_GM = (total_GM + prior * np.nan_to_num(overall_M)) / count_GM
    means_GM[:, np.isnan(overall_M)] = np.nan
    mean_GM = np.clip(means_GM, 0, 1)
    return GroupMeans(means_GM, np.sqrt(mean_GM * (1 - mean_GM) / count_GM))
