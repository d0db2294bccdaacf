"""What was found when the claims about a router were tested; the rows come from the scripts in ``reproductions``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Evidence(NamedTuple):
    """A tested claim: the system that makes it, the verdict, one sentence, and the commit that was measured."""

    system: str
    verdict: str
    note: str
    commit: str


def evidence(router: str) -> tuple[Evidence, ...]:
    """The claims that were tested with a router of the registry; none for a baseline.

    >>> [found.system for found in evidence("cheapest")]
    []
    """
    rows = json.loads(Path(__file__).with_name("evidence.json").read_text())
    return tuple(Evidence(*map(row.get, Evidence._fields)) for row in rows if router in row["routers"])
