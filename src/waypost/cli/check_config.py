"""``waypost check-config``: everything that is wrong with a config, before it is served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from waypost.cli import output


def check_config(
    config: Annotated[Path | None, typer.Argument(help="A config; else ./waypost.yaml or the embedded one.")] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Ask the models and Redis, and open the store too.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a config instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as one JSON object a finding.")] = False,
) -> None:
    """Say every mistake in a config with its line; the exit code is 1 if there is one. Nothing is called."""
    if schema:
        from waypost.gateway.settings import schema_text

        typer.echo(schema_text(), nl=False)
        return
    from waypost.gateway.checking import check

    found = check(config, connect=connect)
    if json:
        output.emit([{"level": one.level, "message": one.says} for one in found], json=True)
    else:
        for one in found:
            output.say(f"{one.level}: {one.says}")
    errors = sum(one.level == "error" for one in found)
    if errors:
        raise typer.Exit(1)
    if not json:
        output.say("The config can be served." if not found else "The config can be served, with the doubts above.")
