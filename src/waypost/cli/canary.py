"""``waypost canary``: the new router's share of the traffic beside the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from waypost.cli import output
from waypost.cli.stores import Config, Days, Store, lately


def canary(
    store: Store = None,
    config: Config = None,
    days: Days = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Compare a canary with the router that decides the rest."""
    from waypost.evaluation.live import COLUMNS, tried

    found = tried(lately(store, config, days, COLUMNS))
    if json:
        output.emit([found.row()], json)
        return
    output.emit(map(asdict, found.arms), json)
    for difference in found.differences:
        output.tell(difference.says())
