"""``router:``, ``strategy:`` and ``head:`` what chooses, and that nothing is said which would not be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from waypost.errors import BadConfig
from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import TEXT, Kind, one_of

STRATEGIES = ("single", "cascade")


def _router(entry: Entry) -> str | Path:
    text = entry.text()
    if text in ("builtin", "cheapest"):
        return text
    if not entry.path().is_dir():
        there = entry.got()
        raise entry.error(f"must be builtin, cheapest, or a folder saved by `waypost train`; there is no {there}")
    return entry.path()


ROUTER = Kind(_router, TEXT.schema)
STRATEGY = one_of(STRATEGIES)


def contradictions(top: Mapping[str, Entry]) -> Iterator[BadConfig]:
    """What the fields of a config say against each other about who chooses."""
    if "strategy" not in top or top["strategy"].value != "cascade":
        if "head" in top:
            yield top["head"].error("is only for `strategy: cascade`; say that too, or remove it")
    elif "head" not in top:
        yield top["strategy"].error("needs `head`: the folder of a head saved by `waypost train --router cascade`")
    elif "router" in top:
        yield top["router"].error("is only for `strategy: single`; a cascade chooses by its `head`, so remove one")
    if "calibration" not in top:
        return
    profiles = top["profiles"].value if "profiles" in top else None
    if isinstance(profiles, dict) and "default" in profiles:
        yield top["calibration"].error("is the default profile, and `profiles` has a `default` too; remove one")
    if "head" in top:
        yield top["calibration"].error("is of a router, and a cascade chooses by its `head`; remove one")
