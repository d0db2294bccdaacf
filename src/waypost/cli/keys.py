"""``waypost keys``: make, list, change, revoke and renew the keys of callers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from waypost.cli import output
from waypost.cli.stores import Config, Store, database
from waypost.errors import BadInput, nearest

if TYPE_CHECKING:
    from waypost.store.keys import Key
    from waypost.store.keystore import KeyStore
    from waypost.store.limits import Limits, Period

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]
Id = Annotated[str, typer.Argument(help="The key's id, as `waypost keys list` shows it.")]
Team = Annotated[str | None, typer.Option(help="The team whose limits it shares.")]
Models = Annotated[str | None, typer.Option(help="The only models it may call, with commas.")]
Requests = Annotated[int | None, typer.Option(min=1, help="The most requests in a minute.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="The most tokens in a minute.")]
Parallel = Annotated[int | None, typer.Option(min=1, help="The most requests at the same time.")]
Usd = Annotated[float | None, typer.Option(min=0, help="The most USD in each --per.")]
Expires = Annotated[str | None, typer.Option(help="How long it holds from now, such as 12h, 30d or 8w.")]

app = typer.Typer(help="Make, list, change, revoke and renew the keys of callers.", no_args_is_help=True)

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PERIODS = ("day", "week", "month", "total")
_LONGEST_SECONDS = 100 * 365 * 86_400
_MOST_USD = 1e9  # what is spent is counted in whole billionths of a dollar
_CLEARED = ("team", "models", "requests-per-minute", "tokens-per-minute", "parallel", "usd", "expires")


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, in words of your own.")],
    team: Team = None,
    models: Models = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    parallel: Parallel = None,
    usd: Usd = None,
    per: Annotated[str, typer.Option(help="day, week, month, or total for all time.")] = "month",
    expires: Expires = None,
    store: Store = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key and show its secret, this once."""
    from waypost.store.limits import Limits

    limits = Limits(requests_per_minute, tokens_per_minute, parallel, _usd(usd), _period(per))
    until = None if expires is None else time.time() + _seconds(expires)
    teams = _teams(store, config)
    with _keys(store, config) as keys:
        key, secret = keys.create(name, team=team, models=_names(models), limits=limits, expires=until)
    _show_secret(key.id, secret, json)
    _look_at_team(key, teams)


@app.command("list")
def list_(store: Store = None, config: Config = None, json: Json = False) -> None:
    """List the keys, and what those with a budget have spent of it; of their secrets nothing is known."""
    with _keys(store, config, there=True) as keys:
        known = keys.list()
        spent = _spent(keys, known)
    output.emit([_row(key, spent) for key in known], json)


@app.command()
def change(
    id: Id,
    name: Annotated[str | None, typer.Option(help="Whose key it is, in words of your own.")] = None,
    team: Team = None,
    models: Models = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    parallel: Parallel = None,
    usd: Usd = None,
    per: Annotated[str | None, typer.Option(help="day, week, month, or total for all time.")] = None,
    expires: Expires = None,
    clear: Annotated[str | None, typer.Option(help=f"What it is to have no more, of {', '.join(_CLEARED)}.")] = None,
    store: Store = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Change what is said of a key, and nothing else; its secret and what it has spent stay."""
    cleared = _names(clear) or []
    for each in cleared:
        if each not in _CLEARED:
            raise BadInput(f"--clear takes {', '.join(_CLEARED)}; got '{each}'.{nearest(each, _CLEARED)}")
    limits: dict[str, Any] = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "parallel": parallel,
        "usd": _usd(usd),
        "per": None if per is None else _period(per),
    }
    rest: dict[str, Any] = {
        "name": name,
        "team": team,
        "models": None if models is None else tuple(_names(models) or ()),
        "expires": None if expires is None else time.time() + _seconds(expires),
    }
    gone = {each.replace("-", "_") for each in cleared}

    def changed(key: Key) -> Key:
        return replace(key, **_said(rest, gone), limits=replace(key.limits, **_said(limits, gone)))

    teams = _teams(store, config)
    with _keys(store, config, there=True) as keys:
        key = keys.change(id, changed)
        spent = _spent(keys, [key])
    output.emit([_row(key, spent)], json)
    _look_at_team(key, teams)


@app.command()
def revoke(id: Id, store: Store = None, config: Config = None) -> None:
    """Refuse a key from now on; gateways that run know it some seconds later."""
    with _keys(store, config, there=True) as keys:
        keys.revoke(id)
    output.say(f"{id} is revoked")


@app.command()
def rotate(id: Id, store: Store = None, config: Config = None, json: Json = False) -> None:
    """Give a key a new secret, shown this once; the old one is refused from now on."""
    with _keys(store, config, there=True) as keys:
        secret = keys.rotate(id)
    _show_secret(id, secret, json)


@contextmanager
def _keys(store: str | None, config: Path | None, *, there: bool = False) -> Iterator[KeyStore]:
    from waypost.store.keystore import KeyStore

    opened = database(store, config, there=there)
    try:
        yield KeyStore(opened)
    finally:
        opened.close()


def _show_secret(id: str, secret: str, json: bool) -> None:
    output.emit([{"id": id, "secret": secret}], json)
    if not json:
        output.say("Keep the secret now: it is stored nowhere, and cannot be shown again.")


def _said(values: Mapping[str, Any], gone: AbstractSet[str]) -> dict[str, Any]:
    """The values that were given, and None for those that are to go."""
    return {name: value for name, value in values.items() if value is not None or name in gone}


def _teams(store: str | None, config: Path | None) -> Mapping[str, Limits] | None:
    """The teams of the config, None where no config is meant; read first, so that a mistake in them makes no key."""
    if store is not None and config is None:
        return None
    from waypost.gateway.settings import load_sections

    teams: Mapping[str, Limits] = load_sections(["teams"], config)[1].get("teams", {})
    return teams


def _look_at_team(key: Key, teams: Mapping[str, Limits] | None) -> None:
    """Warn of a team without limits."""
    from waypost.gateway.callers.identity import unknown_team

    if teams is not None and key.team is not None and key.team not in teams:
        output.say(f"warning: the key '{key.id}' {unknown_team(key.team, teams)}")


def _spent(keys: KeyStore, known: Iterable[Key]) -> dict[tuple[Period, str], float]:
    """USD by period and key, as the log has it."""
    from waypost.store.decisions import iso
    from waypost.store.limits import period

    found: dict[tuple[Period, str], float] = {}
    for per in {key.limits.per for key in known if key.limits.usd is not None}:
        since = iso(period(per, time.time())[0])
        found |= {(per, id): usd for id, usd in keys.database.spent("key", since, {}).items()}
    return found


def _row(key: Key, spent: Mapping[tuple[Period, str], float]) -> dict[str, Any]:
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
        "spent": spent.get((limits.per, key.id), 0.0) if limits.usd is not None else None,
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
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST_SECONDS:
        raise BadInput(f"--expires must be at most 100 years, got '{text}'; leave it out for a key that always holds")
    return seconds


def _usd(usd: float | None) -> float | None:
    if usd is not None and not usd <= _MOST_USD:  # which NaN is not either
        raise BadInput(f"--usd must be at most {_MOST_USD:,.0f}, got {usd:g}; leave it out for no limit")
    return usd


def _period(per: str) -> Period:
    if per not in _PERIODS:
        raise BadInput(f"--per must be one of {', '.join(_PERIODS)}, got '{per}'")
    return cast("Period", per)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [each.strip() for each in text.split(",") if each.strip()]
