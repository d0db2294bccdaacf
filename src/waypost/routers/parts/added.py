"""What a router is told of a model that it does not know yet: the rows on which it was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from waypost.errors import BadInput
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.linear import fit_heads
from waypost.routers.parts.targets import targets
from waypost.types import Floats, ModelCard


class Measured(NamedTuple):
    """The prompts of a new model, its quality, USD and seconds there (A, 3), and how much each row counts."""

    prompts: tuple[str, ...]
    values_A3: Floats
    weight_A: Floats


def measured(card: ModelCard, outcomes: Outcomes, known: tuple[str, ...]) -> Measured:
    """The rows of a table that count and where a model's quality is known; at least one, as of every model of a table.

    Raises:
        BadInput: the router knows the model already, or the table does not.
    """
    if card.name in known:
        raise BadInput(f"this router knows '{card.name}' already; fit it again to learn from further rows")
    if card.name not in outcomes.models:
        raise BadInput(f"the table has no outcomes of '{card.name}'; it has {', '.join(outcomes.models)}")
    table = targets(outcomes)
    values_N3 = table.values_NK[:, table.models.index(card.name) :: len(table.models)]
    rows = np.flatnonzero(~np.isnan(values_N3[:, 0]) & (table.weight_N > 0))
    return Measured(tuple(table.prompts[row] for row in rows), values_N3[rows], table.weight_N[rows])


def costs_with(costs: Costs, features_AD: Floats, rows: Measured, *, dim: int) -> Costs:
    """A cost head with one more model; the others' parts stay."""
    m = len(costs.bias_K) // 2
    fit = fit_heads(features_AD, rows.values_A3[:, 1:], rows.weight_A, dim=dim, alpha=None)
    heads_D2 = fit.heads_DK.astype(np.float64) / fit.scale_D[:, None]
    bias_2 = fit.bias_K + (costs.center_D - fit.center_D) @ heads_D2
    places = [m, 2 * m]  # USD of each model come first, then the seconds
    heads_DK = np.insert(costs.heads_DK, places, heads_D2 * costs.scale_D[:, None], axis=1)
    return replace(costs, heads_DK=heads_DK, bias_K=np.insert(costs.bias_K, places, bias_2))
