"""``store:`` where decisions and feedback are kept, ``spool:`` where they wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import PATH, Kind, setting, whole_number
from waypost.pool.secret import Secret

EMBEDDED = Path(__file__).parents[2] / "embedded"


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Where rows wait on this machine's disk until the store has them, and how many bytes of them may wait."""

    folder: Path | None = setting(PATH, "A folder; else beside the store's file, or waypost.spool.", None)
    max_bytes: int = setting(whole_number(least=100_000), "Most bytes of a process that wait.", 1 << 30)


def _store(entry: Entry) -> Path | Secret:
    text = entry.text()
    if "://" in text:
        return Secret(text)  # it may hold a password
    # The embedded config lies in the installed package, which is no place to write to.
    return entry.path() if entry.file.parent != EMBEDDED else Path(text)


STORE = Kind(_store, PATH.schema)
