"""``waypost keys``: make, list, revoke and renew the keys of callers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from waypost.cli import output
from waypost.cli.stores import Config, Store, database
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.store.keys import Key
    from waypost.store.keystore import KeyStore
    from waypost.store.limits import Period

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]
Id = Annotated[str, typer.Argument(help="The key's id, as `waypost keys list` shows it.")]

app = typer.Typer(help="Make, list, revoke and renew the keys of callers.", no_args_is_help=True)

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PERIODS = ("day", "week", "month", "total")


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, in words of your own.")],
    team: Annotated[str | None, typer.Option(help="The team whose limits it shares.")] = None,
    models: Annotated[str | None, typer.Option(help="The only models it may call, with commas.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="The most requests in a minute.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="The most tokens in a minute.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="The most requests at the same time.")] = None,
    usd: Annotated[float | None, typer.Option(min=0, help="The most USD in each --per.")] = None,
    per: Annotated[str, typer.Option(help="day, week, month, or total for all time.")] = "month",
    expires: Annotated[str | None, typer.Option(help="How long it holds, such as 12h, 30d or 8w.")] = None,
    store: Store = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key and show its secret, this once."""
    from waypost.store.limits import Limits

    if per not in _PERIODS:
        raise BadInput(f"--per must be one of {', '.join(_PERIODS)}, got '{per}'")
    limits = Limits(requests_per_minute, tokens_per_minute, parallel, usd, cast("Period", per))
    until = None if expires is None else time.time() + _seconds(expires)
    allowed = None if models is None else [each.strip() for each in models.split(",") if each.strip()]
    with _keys(store, config) as keys:
        key, secret = keys.create(name, team=team, models=allowed, limits=limits, expires=until)
    _show_secret(key.id, secret, json)


@app.command("list")
def list_(store: Store = None, config: Config = None, json: Json = False) -> None:
    """List the keys; of their secrets nothing is known."""
    with _keys(store, config) as keys:
        output.emit([_row(key) for key in keys.list()], json)


@app.command()
def revoke(id: Id, store: Store = None, config: Config = None) -> None:
    """Refuse a key from now on; gateways that run know it some seconds later."""
    with _keys(store, config) as keys:
        keys.revoke(id)
    output.say(f"{id} is revoked")


@app.command()
def rotate(id: Id, store: Store = None, config: Config = None, json: Json = False) -> None:
    """Give a key a new secret, shown this once; the old one is refused from now on."""
    with _keys(store, config) as keys:
        secret = keys.rotate(id)
    _show_secret(id, secret, json)


@contextmanager
def _keys(store: str | None, config: Path | None) -> Iterator[KeyStore]:
    from waypost.store.keystore import KeyStore

    opened = database(store, config)
    try:
        yield KeyStore(opened)
    finally:
        opened.close()


def _show_secret(id: str, secret: str, json: bool) -> None:
    output.emit([{"id": id, "secret": secret}], json)
    if not json:
        output.say("Keep the secret now: it is stored nowhere, and cannot be shown again.")


def _row(key: Key) -> dict[str, Any]:
    limits = key.limits
    expires = key.expires
    return {
        "id": key.id,
        "name": key.name,
        "team": key.team,
        "models": key.models,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "parallel": limits.parallel,
        "usd": limits.usd,
        "per": limits.per if limits.usd is not None else None,
        "expires": None if expires is None else datetime.fromtimestamp(expires, UTC).isoformat(timespec="minutes"),
        "state": "revoked" if key.disabled else "valid" if key.valid(time.time()) else "expired",
    }


def _seconds(text: str) -> float:
    """A span such as 12h in seconds.

    >>> _seconds("30d") == 30 * 86_400
    True
    """
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if found is None:
        raise BadInput(f"--expires must be a number and a unit of {', '.join(_UNITS)}, such as 30d; got '{text}'")
    return int(found[1]) * _UNITS[found[2]]
