"""From settings to the store."""

from __future__ import annotations

from pathlib import Path

from waypost.gateway.sections.store import EMBEDDED
from waypost.gateway.settings import Settings
from waypost.pool.secret import Secret
from waypost.store import Writer
from waypost.store.database import Database


def address(settings: Settings) -> Path | str | None:
    """The file or the URL of the store, as the store wants it; it may hold a password."""
    return revealed(settings.store)


def revealed(store: Path | Secret | None) -> Path | str | None:
    """The store of a config, as the store wants it; it may hold a password."""
    return store.reveal() if isinstance(store, Secret) else store


def spool(settings: Settings) -> Path | None:
    """The folder where rows wait for the store; None is beside its file."""
    folder = settings.spool.folder
    if folder is None and isinstance(settings.store, Secret):
        # The embedded config lies in the installed package, which is no place to write to.
        folder = (settings.file.parent if settings.file.parent != EMBEDDED else Path()) / "waypost.spool"
    return folder


def writer(settings: Settings) -> Writer | None:
    """What keeps decisions and feedback, if the config says where.

    Raises:
        BadConfig: the store or its spool cannot be used, or may only be read.
        NotInstalled: Postgres is asked for without its driver.
    """
    store = address(settings)
    if store is None:
        return None
    if isinstance(store, Path):
        Database(store).refuse_read_only()
    return Writer(store, spool=spool(settings), spool_bytes=settings.spool.max_bytes, keep_days=settings.keep_days)
