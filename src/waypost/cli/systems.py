"""``waypost systems``: the routers that there are, what tells them apart, and what was found of them."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import typer

from waypost.cli import output
from waypost.errors import BadInput, nearest


def systems(
    name: Annotated[str | None, typer.Argument(help="One router, of which all is told.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """List the routers: when each decides, what it looks at, how it learns, what it needs, and what was found of it."""
    from waypost.routers import KINDS

    if name is not None and name not in KINDS:
        raise BadInput(f"no router '{name}'; there are {', '.join(KINDS)}.{nearest(name, KINDS)}")
    rows = [_row(each, KINDS[each]) for each in ([name] if name else KINDS)]
    if json:
        output.emit(rows, json=True)
    elif name:
        _tell(rows[0], KINDS[name])
    else:
        output.emit(map(_line, rows), json=False)
        output.say("waypost systems NAME tells how one works")


def _row(name: str, kind: type[Any]) -> dict[str, Any]:
    from waypost.routers.evidence import evidence
    from waypost.routers.taxonomy import labels

    return {
        "name": name,
        **labels(kind)._asdict(),
        "needs": [f"waypost[{extra}]" for extra in getattr(kind, "needs", ())],
        "settings": {field.name: _default(kind, field.name) for field in fields(kind) if field.init},
        "evidence": [found._asdict() for found in evidence(name)],
        "what": (inspect.getdoc(kind) or "").partition("\n")[0],
    }


def _default(kind: type[Any], setting: str) -> Any:
    """A setting's default; an encoder's is its name."""
    value = getattr(kind(), setting)
    return getattr(value, "name", value)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    found = [f"{one['system']}: {one['verdict']}" for one in row["evidence"]]
    return {
        "name": row["name"],
        "when": row["when"],
        "looks at": row["looks_at"],
        "learns": row["learns"],
        "needs": row["needs"],
        "evidence": "; ".join(found),
    }


def _tell(row: dict[str, Any], kind: type[Any]) -> None:
    settings = ", ".join(f"{name}={value}" for name, value in row["settings"].items())
    needs = ", ".join(f"pip install '{one}'" for one in row["needs"])
    lines = [
        f"{row['name']}: decides {row['when']}; looks at {', '.join(row['looks_at'])}; learns: {row['learns']}",
        f"settings: {settings or 'none'}",
        *([f"needs: {needs}"] if needs else []),
        "",
        inspect.getdoc(kind) or "",
        *(f"\n{one['system']}: {one['verdict']}. {one['note']} ({one['commit']})" for one in row["evidence"]),
    ]
    typer.echo("\n".join(lines))
