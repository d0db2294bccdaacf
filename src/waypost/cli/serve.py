"""``waypost serve``: start the gateway and say where it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli import output

if TYPE_CHECKING:
    from waypost.gateway.server import Started
    from waypost.types import ModelCard


def serve(
    config: Annotated[Path | None, typer.Option(help="A config; else ./waypost.yaml, else the embedded pool.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else the config's.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; else the config's.", envvar="PORT", min=0, max=65535)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Announce as one JSON object a line.")] = False,
) -> None:
    """Serve the pool over OpenAI's API until Ctrl-C."""
    from threadpoolctl import threadpool_limits

    from waypost.gateway.server import Gateway
    from waypost.gateway.settings import load

    settings = load(config)
    server = settings.server
    server = replace(server, host=host or server.host, port=server.port if port is None else port)
    settings = replace(settings, server=server)
    if not json:
        output.say(f"Waypost reads {settings.file}")
    gateway = Gateway(settings, lambda started: _announce(started, json))
    # A prediction is a small product, which two threads that meet other work make many times slower.
    # The server has ended gracefully when it passes Ctrl-C on; there is nothing more to say.
    with threadpool_limits(1, "blas"), suppress(KeyboardInterrupt):
        gateway.run()


def _announce(started: Started, json: bool) -> None:
    if json:
        row = {
            "url": started.url,
            "models": list(started.cards),
            "router": started.router,
            "strategy": started.strategy,
            "missing": dict(started.missing),
            "unchosen": list(started.unchosen),
        }
        output.emit([row], json=True)
        return
    output.say("\nModels")
    width = max(map(len, (*started.cards, *started.missing)))
    for name, card in started.cards.items():
        output.say(f"  {name:<{width}}  {price(card)}")
    for name, reason in started.missing.items():
        output.say(f"  {name:<{width}}  cannot be called: {reason}")
    output.say(f"Router    {started.router}, strategy {started.strategy}")
    if started.unchosen:
        output.say(f"          knows nothing of {', '.join(started.unchosen)}: called by name only, never by 'auto'")
    output.say(f"Listening on {started.url}; Ctrl-C stops it. Try it:\n\n{curl(started.url)}\n")


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


def curl(url: str) -> str:
    """A line to paste that asks the gateway something."""
    body = '{"model": "auto", "messages": [{"role": "user", "content": "What is 12% of 250?"}]}'
    return f"curl -i {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
