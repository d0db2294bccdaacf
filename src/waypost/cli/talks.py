"""``--conversations``: rows that share a source are turns that follow each other, and are charged as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from waypost.cli import output
from waypost.cli.measured import Data
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.evaluation import Earned
    from waypost.outcomes import Outcomes
    from waypost.outcomes.leaks import Leaks
    from waypost.types import ModelCard

Prices = Mapping[str, "ModelCard"]


def read(tables: Callable[[int], Data], config: Path | None, seed: int, *, clean: bool = False) -> Data:
    """The tables of a seed, where each model costs what conversations do that it answers alone, and the prices.

    With ``clean`` a conversation of which some turn is also in training is left out as a whole.

    Raises:
        BadInput: a table has no conversation, or no price is known of any model.
    """
    from waypost.evaluation.conversations import staying

    data = tables(seed)
    prices = _prices(data, config)
    tests = {}
    for name, table in data.tests.items():
        named = [source for source in table.sources if source]
        if len(set(named)) == len(named):
            raise BadInput(f"--conversations: no two questions of {name} share a source, so there is none")
        kept = _without(table, data.leaks[name]) if clean and name in data.leaks else table
        tests[name] = staying(kept, prices)
    found = replace(data, tests=tests, prices=prices)
    if not clean:
        return found
    dropped = {name: len(table) - len(tests[name]) for name, table in data.tests.items()}
    return replace(found, leaks={}, dropped=dropped)


def charge(earned: Earned, table: Outcomes, prices: Prices | None) -> Earned:
    """What was earned, at the cost in conversation where there are prices for it."""
    from waypost.evaluation import conversations

    return earned if prices is None else conversations.charge(earned, table, prices)


def bounds(table: Outcomes, prices: Prices | None) -> dict[str, Earned] | None:
    """Chance and oracle, charged like a router; None where the table's costs are theirs."""
    from waypost.evaluation import baselines

    if prices is None:
        return None
    return {name: charge(earned, table, prices) for name, earned in baselines.bounds(table).items()}


def _prices(data: Data, config: Path | None) -> dict[str, ModelCard]:
    """The cards of a config, completed by list prices; of models that it lacks, the list prices of their names."""
    from waypost.gateway import settings
    from waypost.pool.catalogue import priced
    from waypost.types import ModelCard

    stated = {model.name: model for model in settings.load(config).models} if config else {}
    prices = {}
    for name in dict.fromkeys(name for table in data.tests.values() for name in table.models):
        known = stated.get(name)
        prices[name] = priced(known.card, known.settings.get("upstream")) if known else priced(ModelCard(name))
    unknown = [name for name, card in prices.items() if card.usd(1, 1) is None]
    if len(unknown) == len(prices):
        raise BadInput(
            f"--conversations: no price is known of {', '.join(unknown)}; name a config that states them with --config"
        )
    if unknown:
        output.say(f"no price is known of {', '.join(unknown)}, so conversations with them have no cost")
    return prices


def _without(table: Outcomes, leaks: Leaks) -> Outcomes:
    import numpy as np

    leaked = {source for source, leaked in zip(table.sources, leaks.leaked_N, strict=True) if leaked and source}
    return table.select(~leaks.leaked_N & ~np.array([source in leaked for source in table.sources]))
