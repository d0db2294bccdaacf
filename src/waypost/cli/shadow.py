"""``waypost shadow``: what would be saved if the router that only watches decided."""

from __future__ import annotations

from typing import Annotated

import typer

from waypost.cli import output
from waypost.cli.stores import Config, Days, Store, lately


def shadow(
    store: Store = None,
    config: Config = None,
    days: Days = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Say what a router in the shadow would have saved."""
    from waypost.evaluation.live import COLUMNS, watched

    found = watched(lately(store, config, days, COLUMNS))
    if json:
        output.emit([found.row()], json)
        return
    for sentence in found.says():
        output.tell(sentence)
    output.emit(found.sides(), json)
    output.emit(({"the router's choice": model, "share": share} for model, share in found.shares.items()), json)
