"""What ``waypost train --tune`` tries, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from waypost.cli import named, output
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.evaluation.tune import Trial
    from waypost.objective import Objective
    from waypost.outcomes import Outcomes
    from waypost.types import ModelCard


def trials(
    router: str,
    settings: Mapping[str, Any],
    table: Outcomes,
    objective: Objective,
    cards: Mapping[str, ModelCard],
    seed: int,
) -> Sequence[Trial]:
    """The settings that a router names as worth trying, each cross-validated within a table; best first.

    Raises:
        BadInput: the router has no settings to try.
    """
    from waypost.evaluation.tune import candidates, tune
    from waypost.outcomes.leaks import clusters
    from waypost.routers import KINDS

    tried = candidates(getattr(KINDS[router], "grid", {}), settings)
    if len(tried) == 1:
        raise BadInput(f"router '{router}' has no settings to try beside those given; leave --tune out")

    def trying(number: int, given: Mapping[str, Any]) -> None:
        words = ", ".join(f"{name}={value}" for name, value in given.items()) or "the defaults"
        output.say(f"trying {words} ({number + 1} of {len(tried)})")

    return tune(
        lambda given: named.new_router(router, given, seed),
        tried,
        table,
        objective=objective,
        cards=cards,
        clusters_N=clusters(table.prompts, table.sources),
        seed=seed,
        trying=trying,
    )


def rows(tried: Sequence[Trial]) -> list[dict[str, Any]]:
    """One row a trial, for machines."""
    return [asdict(trial) for trial in tried]


def people(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same as people read it."""
    return [
        {
            "settings": " ".join(f"{name}={value}" for name, value in row["settings"].items()) or "the defaults",
            "score": row["score"],
            "on questions": row["n"],
            "less the defaults'": row["lead"],
            "± standard error": row["lead_error"],
        }
        for row in found
    ]


def title(table: Outcomes) -> str:
    """What the rows are."""
    return f"\nsettings tried, best first: five folds of the {len(table):,} training prompts"
