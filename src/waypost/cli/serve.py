"""``waypost serve``: start the gateway and say where it is."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import output

if TYPE_CHECKING:
    from waypost.gateway.server import Started
    from waypost.gateway.settings import Settings
    from waypost.types import ModelCard


_log = logging.getLogger(__name__)

# Objects that live at once before the collector looks: by default as few as five requests make.
_COLLECT_AFTER = 20_000


def serve(
    config: Annotated[Path | None, typer.Option(help="A config; else ./waypost.yaml, else the embedded pool.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else the config's.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; else the config's.", envvar="PORT", min=0, max=65535)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port; else the config's.", min=1, max=256)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Announce as one JSON object a line.")] = False,
) -> None:
    """Serve the pool over OpenAI's API until Ctrl-C; a changed config is taken up, and SIGHUP asks for it."""
    from threadpoolctl import threadpool_limits

    from waypost.gateway.running.worker import Worker
    from waypost.gateway.running.workers import VARIABLE
    from waypost.gateway.seeing.logs import configure
    from waypost.gateway.server import Gateway
    from waypost.gateway.settings import load

    def read() -> Settings:
        settings = load(config)
        server = settings.server
        port_ = server.port if port is None else port
        server = replace(server, host=host or server.host, port=port_, workers=workers or server.workers)
        return replace(settings, server=server)

    settings = read()
    configure(settings.logs)
    supervised = os.environ.get(VARIABLE)
    if supervised is None and not json and settings.logs.format == "text":
        output.say(f"Waypost reads {settings.file}")
    if supervised is None and settings.server.workers > 1:
        raise typer.Exit(_supervise(settings, json))
    worker = Worker.of(supervised) if supervised else None
    # A worker speaks to its supervisor, which speaks to people.
    tell = _announcer(settings, json) if worker is None else _report
    gateway = Gateway(settings, lambda started: tell(_row(started)), again=read, worker=worker)
    # What was made up to here stays for as long as the process: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    # A prediction is a small product, which two threads that meet other work make many times slower.
    # The server has ended gracefully when it passes Ctrl-C on; there is nothing more to say.
    with threadpool_limits(1, "blas"), suppress(KeyboardInterrupt):
        gateway.run()


def _supervise(settings: Settings, json: bool) -> int:
    """Serve with several processes, each of which runs this command again."""
    from waypost.gateway.running.workers import Supervisor, divided
    from waypost.gateway.server import listen

    tell = _announcer(settings, json)

    def announce(line: str) -> None:
        tell({**loads(line), "workers": settings.server.workers})

    command = [sys.executable, "-m", "waypost", *sys.argv[1:]]
    if doubt := divided(settings):
        output.say(doubt)
    server = settings.server
    patience = server.shutdown_delay_seconds + server.drain_seconds + 20
    with listen(server.host, server.port) as listener:
        return Supervisor(command, os.environ, listener, server.workers, announce, patience).run()


def _announcer(settings: Settings, json: bool) -> Callable[[Mapping[str, Any]], None]:
    """How the start is told: to a program, in the log where that is for one, or to people."""
    if json:
        return lambda row: _report({name: value for name, value in row.items() if name != "prices"})
    if settings.logs.format == "json":
        return lambda row: _log.info("listening on %s", row["url"], extra={"fields": dict(row)})
    return partial(_announce, keys=settings.keys == "required")


def _row(started: Started) -> dict[str, Any]:
    return {
        "url": started.url,
        "models": list(started.cards),
        "router": started.router,
        "strategy": started.strategy,
        "missing": dict(started.missing),
        "unchosen": list(started.unchosen),
        "prices": {name: price(card) for name, card in started.cards.items()},
    }


def _report(row: Mapping[str, Any]) -> None:
    output.emit([row], json=True)


def _announce(row: Mapping[str, Any], *, keys: bool) -> None:
    output.say("\nModels")
    width = max(map(len, (*row["models"], *row["missing"])))
    for name, words in row["prices"].items():
        output.say(f"  {name:<{width}}  {words}")
    for name, reason in row["missing"].items():
        output.say(f"  {name:<{width}}  cannot be called: {reason}")
    output.say(f"Router    {row['router']}, strategy {row['strategy']}")
    if row["unchosen"]:
        output.say(f"          knows nothing of {', '.join(row['unchosen'])}: called by name only, never by 'auto'")
    if "workers" in row:
        output.say(f"Workers   {row['workers']}")
    output.say(f"Listening on {row['url']}; Ctrl-C stops it. Try it:\n\n{curl(row['url'], keys=keys)}\n")


def price(card: ModelCard) -> str:
    """What a model costs, in words.

    >>> from waypost.types import ModelCard
    >>> price(ModelCard("small", 0.15, 0.6)), price(ModelCard("mine"))
    ('$0.15 in, $0.6 out per million tokens', 'price unknown')
    """
    if card.usd_per_mtok_in is None or card.usd_per_mtok_out is None:
        return "price unknown"
    parts = []
    if card.usd_per_mtok_in or card.usd_per_mtok_out:
        parts.append(f"${card.usd_per_mtok_in:g} in, ${card.usd_per_mtok_out:g} out per million tokens")
    if card.usd_per_call:
        parts.append(f"${card.usd_per_call:.2g} a call")
    return " and ".join(parts) or "free"


def curl(url: str, *, keys: bool = False) -> str:
    """A line to paste that asks the gateway something; where it wants ``keys``, with the place of one."""
    body = '{"model": "auto", "messages": [{"role": "user", "content": "What is 12% of 250?"}]}'
    key = " -H 'authorization: Bearer wp-…'" if keys else ""
    return f"curl -i {url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'"
