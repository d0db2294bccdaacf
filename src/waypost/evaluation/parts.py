"""The parts of a test table that a verdict is given on, where some of its questions are also in training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.compare import Comparison, compare
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes

Mask = NDArray[np.bool_]


def parts(test: Outcomes, leaked_N: Mask | None = None) -> dict[str, Mask]:
    """Which questions are clean, all and leaked, the part that counts first; only all where nothing leaked.

    A part in which some model has no score cannot be compared and is left out.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(6)
    >>> list(parts(table)), list(parts(table, np.arange(6) < 2)), list(parts(table, np.ones(6, dtype=bool)))
    (['all'], ['clean', 'all', 'leaked'], ['all', 'leaked'])
    """
    all_N = np.ones(len(test), dtype=np.bool_)
    if leaked_N is None or not leaked_N.any():
        return {"all": all_N}
    found = {"clean": ~leaked_N, "all": all_N, "leaked": leaked_N}
    return {name: mask_N for name, mask_N in found.items() if not _unscored(test, mask_N)}


def compare_parts(
    test: Outcomes,
    asked: Mapping[str, Earned],
    masks: Mapping[str, Mask],
    *,
    bounds: Mapping[str, Earned] | None = None,
    train: Outcomes | None = None,
    clusters_N: NDArray[np.intp] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """The comparison on each part (see `parts`); what was ``asked``, and ``bounds``, were earned on the whole table.

    >>> from waypost.evaluation.baselines import single
    >>> from waypost.outcomes import example_table
    >>> table = example_table(90)
    >>> masks = parts(table, np.arange(90) < 30)
    >>> found = compare_parts(table, {"it": single(table, "tiny")}, masks, resamples=50)
    >>> [(part, one.n, one.line("it").n) for part, one in found.items()]
    [('clean', 60, 60), ('all', 90, 90), ('leaked', 30, 30)]
    """
    return {
        name: compare(
            test if mask_N.all() else test.select(mask_N),
            asked if mask_N.all() else _select(asked, mask_N),
            bounds=bounds if bounds is None or mask_N.all() else _select(bounds, mask_N),
            train=train,
            clusters_N=None if clusters_N is None else clusters_N[mask_N],
            resamples=resamples,
            seed=seed,
        )
        for name, mask_N in masks.items()
    }


def _select(earned: Mapping[str, Earned], mask_N: Mask) -> dict[str, Earned]:
    return {name: each.select(mask_N) for name, each in earned.items()}


def _unscored(test: Outcomes, mask_N: Mask) -> bool:
    """Whether a model has no score in a part."""
    return bool(np.isnan(test.quality_NM[mask_N]).all(axis=0).any())
