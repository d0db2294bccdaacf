"""``store:`` where decisions and feedback are kept."""

from __future__ import annotations

from pathlib import Path

from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import PATH, Kind

EMBEDDED = Path(__file__).parents[2] / "embedded"


def _store(entry: Entry) -> Path:
    # The embedded config lies in the installed package, which is no place to write to.
    return entry.path() if entry.file.parent != EMBEDDED else Path(entry.text())


STORE = Kind(_store, PATH.schema)
