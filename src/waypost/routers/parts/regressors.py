"""One of scikit-learn's regressors for each model's quality, fitted where that model was measured.

Shape suffixes: N rows, D features, M models, R rows that were held out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from waypost.routers.parts.targets import Targets, column_means
from waypost.routers.progress import report
from waypost.types import Floats

FEWEST = 20  # rows that a model needs to be more than its mean
_HELD = 10  # every tenth prompt is held out to see how far off the regressors are


def per_model(
    x_ND: Floats, table: Targets, make: Callable[[], Any], *, less_mean: bool = False
) -> tuple[list[Any], Floats, Floats]:
    """A fitted regressor of each model, the means of all, and held-out errors.

    There is None where fewer than 20 rows are known, or all are equal.  The errors (R, M) are those of regressors
    fitted without the held-out prompts.  ``less_mean`` regresses what a row has more than the mean.
    """
    m = len(table.models)
    quality_NM = table.values_NK[:, :m]
    mean_M = column_means(quality_NM, table.weight_N)
    target_NM = quality_NM - mean_M if less_mean else quality_NM
    _, prompt_N = np.unique(np.array(table.prompts, dtype=object), return_inverse=True)
    held_N = prompt_N % _HELD == 0
    error_RM = (quality_NM - mean_M)[held_N]  # of the means, where there are too few rows for more
    fitted: list[Any] = []
    with warnings.catch_warnings():
        # That the most epochs were reached is a setting's doing, and no news.
        warnings.filterwarnings("ignore", category=_ConvergenceWarning())
        for model in range(m):
            report(model, m, table.models[model])
            known_N = ~np.isnan(target_NM[:, model]) & (table.weight_N > 0)

            def fit(rows_N: Any, target_N: Floats = target_NM[:, model]) -> Any:
                return make().fit(x_ND[rows_N], target_N[rows_N], sample_weight=table.weight_N[rows_N])

            if known_N.sum() < FEWEST or np.ptp(target_NM[known_N, model]) == 0:
                fitted.append(None)
                continue
            if held_N.any() and (known_N & ~held_N).sum() >= FEWEST:
                error_RM[:, model] = target_NM[held_N, model] - fit(known_N & ~held_N).predict(x_ND[held_N])
            fitted.append(fit(known_N))
    return fitted, mean_M, error_RM


def _ConvergenceWarning() -> type[Warning]:
    from sklearn.exceptions import ConvergenceWarning

    return ConvergenceWarning  # type: ignore[no-any-return]
