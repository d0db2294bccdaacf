"""What every learning router regresses: quality, USD and seconds of each model, side by side (N, 3M)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from waypost.errors import BadInput, NotFitted
from waypost.outcomes import Outcomes
from waypost.types import Floats, Prediction

# As arrays: of numbers numpy first has to find out the type, which for one prompt takes as long as the rest.
_ZERO, _ONE = np.zeros(()), np.ones(())


class Targets(NamedTuple):
    """A training table in canonical order, so that the order of its rows changes nothing."""

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    groups: tuple[str, ...]
    values_NK: Floats  # K = 3M: quality of each model, then USD, then seconds; NaN where missing
    weight_N: Floats


def targets(outcomes: Outcomes) -> Targets:
    """The targets of a table."""
    order = sorted(range(len(outcomes)), key=lambda i: (outcomes.prompts[i], outcomes.ids[i]))
    m = len(outcomes.models)
    values_NK = np.empty((len(outcomes), 3 * m))
    for k, part_NM in enumerate((outcomes.quality_NM, outcomes.usd_NM, outcomes.seconds_NM)):
        values_NK[:, k * m : (k + 1) * m] = part_NM[order]
    return Targets(
        outcomes.models,
        tuple(map(outcomes.prompts.__getitem__, order)),
        tuple(map(outcomes.groups.__getitem__, order)),
        values_NK,
        outcomes.weight_N[order],
    )


def column_means(values_NK: Floats, weight_N: Floats) -> Floats:
    """Weighted mean of each column over its known cells; NaN where a column has none."""
    means_K = np.full(values_NK.shape[1], np.nan)
    for k, values_N in enumerate(values_NK.T):  # one by one: the table may be large
        known_N = ~np.isnan(values_N)
        if (total := known_N @ weight_N) > 0:
            means_K[k] = np.where(known_N, values_N, 0.0) @ weight_N / total
    return means_K


def check_prompts(models: tuple[str, ...], prompts: Sequence[str]) -> None:
    """Refuse to predict before fit, or for a prompt without text.

    Raises:
        NotFitted: there are no models yet.
        BadInput: a blank prompt, with its place.
    """
    if not models:
        raise NotFitted("this router")
    for place, prompt in enumerate(prompts):
        if not prompt.strip():
            raise BadInput(f"prompt {place} is empty; a router needs some text to look at (or name a model instead)")


def prediction(models: tuple[str, ...], values_NK: Floats, spread_NM: Floats | None) -> Prediction:
    """Split (N, 3M) estimates; quality is kept in 0..1 and costs at zero or more.

    Without a spread, because nobody asked for it, it is unknown (NaN).
    """
    found_NK = np.maximum(values_NK, _ZERO, dtype=np.float64)
    m = len(models)
    quality_NM = found_NK[:, :m]
    np.minimum(quality_NM, _ONE, out=quality_NM)
    if spread_NM is None:
        spread_NM = _unknown(m) if len(found_NK) == 1 else np.full(quality_NM.shape, np.nan)
    return Prediction(models, quality_NM, found_NK[:, m : 2 * m], found_NK[:, 2 * m :], spread_NM)


@lru_cache(maxsize=64)
def _unknown(m: int) -> Floats:
    """The spread of one prompt that nobody asked for; shared, so it cannot be written to."""
    spread_1M = np.full((1, m), np.nan)
    spread_1M.flags.writeable = False
    return spread_1M
