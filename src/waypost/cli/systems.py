"""``waypost systems``: the routers that there are, and what tells them apart."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from waypost.cli import output


def systems(json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False) -> None:
    """List the routers: when each decides, what it looks at, how it learns."""
    from waypost.routers import KINDS
    from waypost.routers.taxonomy import labels

    rows = [
        {"name": name, **labels(kind)._asdict(), "what": (inspect.getdoc(kind) or "").partition("\n")[0]}
        for name, kind in KINDS.items()
    ]
    output.emit(rows, json)
