"""Which store a command is about: the one that is named, or that of the config."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.errors import BadConfig, BadInput

if TYPE_CHECKING:
    from waypost.store.database import Database

Store = Annotated[
    str | None,
    typer.Option(
        help="A SQLite file, or postgresql://…, where ${NAME} is read from the environment; else the config's."
    ),
]
Days = Annotated[float, typer.Option(min=0.001, help="How far to look back, in days.")]
Config = Annotated[Path | None, typer.Option(help="The config that names the store; else ./waypost.yaml.")]


def database(store: str | None, config: Path | None, *, there: bool = False) -> Database:
    """The database of a store; with ``there`` a file must be there already, since opening one makes it.

    Raises:
        BadConfig: neither a store nor a config is named and there is no waypost.yaml here; or the store cannot be used.
        BadInput: there is no such file.
    """
    from waypost.store.database import Database

    found = _named(store) if store is not None else _configured(config)
    if there and isinstance(found, Path) and not found.exists():
        raise BadInput(f"there is no store {found}, so nothing is in it; check --store, or the `store` of the config")
    return Database(found)


def lately(store: str | None, config: Path | None, days: float, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Columns of the decisions of the last days, with the mean ``quality`` of their feedback.

    Raises:
        BadConfig: there is no store, or it cannot be used.
        StoreDown: it does not answer.
    """
    from waypost.store.decisions import iso

    known = database(store, config, there=True)
    try:
        return known.lately(iso(max(0.0, time.time() - days * 86_400)), columns)
    finally:
        known.close()


def _named(store: str) -> Path | str:
    if "://" not in store:
        return Path(store)

    def value(reference: re.Match[str]) -> str:
        found = os.environ.get(reference[1])
        if not found:
            raise BadInput(f"--store names the environment variable {reference[1]}, which is not set")
        return found

    return re.sub(r"\$\{(\w+)\}", value, store)


def _configured(config: Path | None) -> Path | str:
    from waypost.gateway.settings import EMBEDDED, load_sections
    from waypost.gateway.storing import revealed

    file, sections = load_sections(["store"], config)
    if file.parent == EMBEDDED:
        # A store of its own would be made here, and none of a gateway's keys or decisions are in it.
        raise BadConfig(
            "there is no waypost.yaml here to say which store; name the gateway's with --config, or --store"
        )
    store = revealed(sections.get("store"))
    if store is None:
        raise BadConfig(f"{file} has no `store`; add one, or name it with --store")
    return store
