"""``waypost migrate``: bring the tables of a store up to date, or say whether they are."""

from __future__ import annotations

from typing import Annotated

import typer

from waypost.cli import output
from waypost.cli.stores import Config, Store, database

_BEHIND = 3  # as of `waypost calibrate --check`: an answer, and no error


def migrate(
    store: Store = None,
    config: Config = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 3 when a migration is due.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Bring the store's tables to this version of Waypost; the gateway does so too when it starts."""
    from waypost.store.schema import HEAD

    opened = database(store, config, there=check)
    try:
        before = opened.version()
        if not check:
            opened.migrate()
    finally:
        opened.close()
    after = before if check else HEAD
    output.emit([{"store": opened.name, "from": before, "to": after, "newest": HEAD}], json)
    if check and before != HEAD:
        raise typer.Exit(_BEHIND)
