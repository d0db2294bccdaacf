"""From settings to the store."""

from __future__ import annotations

from pathlib import Path

from waypost.gateway.sections.store import EMBEDDED
from waypost.gateway.settings import Settings
from waypost.pool.secret import Secret
from waypost.store import Writer


def address(settings: Settings) -> Path | str | None:
    """The file or the URL of the store, as the store wants it; it may hold a password."""
    return settings.store.reveal() if isinstance(settings.store, Secret) else settings.store


def writer(settings: Settings) -> Writer | None:
    """What keeps decisions and feedback, if the config says where.

    Raises:
        BadConfig: the store or its spool cannot be used.
        NotInstalled: Postgres is asked for without its driver.
    """
    store = address(settings)
    if store is None:
        return None
    folder = settings.spool.folder
    if folder is None and isinstance(store, str):
        # The embedded config lies in the installed package, which is no place to write to.
        folder = (settings.file.parent if settings.file.parent != EMBEDDED else Path()) / "waypost.spool"
    return Writer(store, spool=folder, spool_bytes=settings.spool.max_bytes, keep_days=settings.keep_days)
