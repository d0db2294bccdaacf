"""Everything that can be said of a config before it is served: what stops it, and what its author may not mean."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Container, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from waypost.errors import BadConfig, WaypostError
from waypost.gateway.callers.doors import kept_together, keys_of, loopback
from waypost.gateway.callers.identity import unknown_team
from waypost.gateway.plan import Plan, plan
from waypost.gateway.running.readiness import Readiness
from waypost.gateway.running.workers import divided
from waypost.gateway.settings import ModelSettings, Settings, load
from waypost.gateway.storing import address, writer
from waypost.pool.gguf import Gguf
from waypost.pool.secret import Secret
from waypost.store.database import Database
from waypost.store.keystore import KeyStore
from waypost.store.limits import Period
from waypost.store.postgres import postgres_url
from waypost.store.redis_client import redis_client
from waypost.store.schema import HEAD

# A model that is loaded from a slow disk is not broken, and each question has time limits of its own.
_PATIENCE_SECONDS = 300.0
_REDIS_SECONDS = 5.0
_PERIOD_DAYS: Mapping[Period, float] = {"day": 1, "week": 7, "month": 31, "total": math.inf}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say of a config; an error stops the start, a warning does not."""

    level: Literal["error", "warning"]
    says: str


def check(path: Path | None, env: Mapping[str, str] | None = None, *, connect: bool = False) -> list[Finding]:
    """What is wrong with a config, as far as it can be said at once, and what looks wrong.

    No model or store is called, opened or written, unless ``connect``: then the models are asked whether they are
    ready, however long that takes, the store is opened, and Redis is asked for a word.
    """
    try:
        settings = load(path, env)
        keys_of(settings)
        kept_together(settings)
        planned = plan(settings)
    except BadConfig as error:
        return [Finding("error", str(one)) for one in (error, *error.others)]
    except WaypostError as error:
        return [Finding("error", str(error))]
    found = [Finding("warning", says) for says in _doubts(settings, planned)]
    unusable = dict(_unusable(settings))
    found += [Finding("error", says) for says in unusable.values()]
    if connect:
        found += [Finding("error", says) for says in _unreachable(settings, planned, unusable)]
        found += [Finding("warning", says) for says in _strange_teams(settings)]
    else:
        found += [Finding("warning", says) for says in _absent(settings, planned)]
    return found


def _doubts(settings: Settings, planned: Plan) -> Iterator[str]:
    models = {model.name: model for model in settings.models}
    places = _places(settings)
    for name, reason in planned.missing.items():
        yield f"{places[name]}: model '{name}' cannot be called: {reason}"
    for name, model in planned.models.items():
        if model.card.usd(1, 1) is None:
            yield (
                f"{places[name]}: model '{name}' has no price in the shipped list, so its cost is unknown: "
                f"{_unpaid(settings, models[name])}; say `usd_per_mtok_in` and `usd_per_mtok_out`, or `usd_per_call`, "
                "and 0 if it is free"
            )
    for name in planned.unchosen:
        yield (
            f"{places[name]}: model '{name}' is unknown to the router {planned.chosen.words}: "
            "it is called by name only, never by 'auto'"
        )
    if settings.keys == "off" and not loopback(settings.server.host):
        yield (
            f"{settings.places['keys']}: 'keys' is off and 'server.host' is {settings.server.host}: whoever reaches it "
            "may spend on the keys of your providers; say `keys: required`, or listen on 127.0.0.1"
        )
    if settings.keys == "optional" and not loopback(settings.server.host):
        yield (
            f"{settings.places['keys']}: 'keys' is optional and 'server.host' is {settings.server.host}: whoever "
            "reaches it and leaves the key out may spend on the keys of your providers, without any limit; say "
            "`keys: required`, or listen on 127.0.0.1"
        )
    if settings.logs.requests != "off" and settings.logs.level in ("warning", "error"):
        yield (
            f"{settings.places['logs']}: 'logs.requests' is {settings.logs.requests}, and nothing is said of them with "
            f"the level {settings.logs.level}; say `level: info`"
        )
    if doubt := divided(settings):
        yield doubt
    yield from _forgotten(settings)


def _unpaid(settings: Settings, model: ModelSettings) -> str:
    """Which calls of a model without a price are refused, since a budget has to pay for them."""
    if model.limits is not None and model.limits.usd is not None:
        return "every call of it is refused, for its own `limits` have a budget in USD"
    teams = [f"'{name}'" for name, limits in settings.teams.items() if limits.usd is not None]
    if teams and settings.keys not in (None, "off"):  # else nobody is of a team
        return f"a call of it with a key of the team {' or '.join(teams)} is refused, for that has a budget in USD"
    return "a call that a budget has to pay for is refused"


def _forgotten(settings: Settings) -> Iterator[str]:
    """Budgets whose period is longer than the log remembers: what was spent is read from it at every start."""
    if settings.keep_days is None:
        return
    budgets = {f"team '{name}'": limits for name, limits in settings.teams.items()}
    budgets |= {f"model '{model.name}'": model.limits for model in settings.models if model.limits is not None}
    for whose, limits in budgets.items():
        if limits.usd is not None and settings.keep_days < _PERIOD_DAYS[limits.per]:
            period = "of all time" if limits.per == "total" else f"of a {limits.per}"
            yield (
                f"{settings.places['keep_days']}: 'keep_days' is {settings.keep_days:g}, and the {whose} has a budget "
                f"{period}: a start reads what was spent from the log, and would not know of what is deleted; "
                "keep decisions longer, or leave 'keep_days' out"
            )


def _unusable(settings: Settings) -> Iterator[tuple[str, str]]:
    """By section, what a start refuses before it connects: addresses that are none, and clients that are missing."""
    store = address(settings)
    if isinstance(store, str):
        try:
            postgres_url(store)
        except WaypostError as error:
            yield "store", f"{settings.places['store']}: 'store' cannot be used: {error}"
    for section, url in _redis(settings).items():
        if (problem := _no_client(url)) is not None:
            yield section, f"{settings.places[section]}: '{section}.redis' cannot be used: {problem}"


def _absent(settings: Settings, planned: Plan) -> Iterator[str]:
    """Models whose files or packages are not here: the gateway starts, and serves them when they have come."""
    places = _places(settings)
    for name, model in planned.models.items():
        if isinstance(model, Gguf) and (reason := asyncio.run(model.ready())) is not None:
            yield f"{places[name]}: model '{name}' is not ready: {reason}"


def _unreachable(settings: Settings, planned: Plan, unusable: Container[str]) -> Iterator[str]:
    """What does not answer, of what can be asked at all."""
    places = _places(settings)
    for name, reason in asyncio.run(_states(planned)).items():
        if reason is not None:
            yield f"{places[name]}: model '{name}' is not ready: {reason}"
    if settings.store is not None and "store" not in unusable:
        try:
            _open_store(settings)
        except WaypostError as error:
            yield f"{settings.places['store']}: 'store' cannot be used: {error}"
    for section, url in _redis(settings).items():
        if section not in unusable and (problem := asyncio.run(_silent(url))) is not None:
            yield f"{settings.places[section]}: '{section}.redis' does not answer: {problem}"


def _places(settings: Settings) -> Mapping[str, str]:
    """Where in the file each model stands."""
    return {model.name: model.where for model in settings.models}


def _redis(settings: Settings) -> Mapping[str, Secret]:
    """The addresses of Redis, by section."""
    cache = settings.cache.redis if settings.cache is not None else None
    urls = {"limits": settings.limits.redis, "cache": cache, "sessions": settings.sessions.redis}
    return {section: url for section, url in urls.items() if url is not None}


def _strange_teams(settings: Settings) -> Iterator[str]:
    """Keys whose team the config does not know; a store that cannot be used is told of elsewhere."""
    store = address(settings)
    if store is None or settings.keys in (None, "off"):
        return
    with suppress(WaypostError), closing(Database(store)) as database:
        for key in KeyStore(database).list() if database.version() == HEAD else ():  # and no table is made
            if not key.disabled and key.team is not None and key.team not in settings.teams:
                yield f"{settings.places['keys']}: the key '{key.id}' {unknown_team(key.team, settings.teams)}"


def _open_store(settings: Settings) -> None:
    opened = writer(settings)
    if opened is not None:
        try:
            opened.database.version()
        finally:
            opened.close()


async def _states(planned: Plan) -> Mapping[str, str | None]:
    readiness = Readiness(planned.models)
    try:
        return await readiness.states(_PATIENCE_SECONDS)
    finally:
        await readiness.close()
        await asyncio.gather(*(model.close() for model in planned.models.values()))


def _no_client(url: Secret) -> str | None:
    """Why no client of a Redis can be made; nothing of its address is told, which may hold a password."""
    try:
        redis_client(url.reveal())
    except ModuleNotFoundError:
        return "it needs pip install 'waypost[redis]'"
    except ValueError:
        return "give a URL like redis://127.0.0.1:6379/0, with no options but those of Redis' client"
    return None


async def _silent(url: Secret) -> str | None:
    """Why a Redis says nothing."""
    from redis.exceptions import RedisError

    client = redis_client(url.reveal())
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            await client.ping()
    except TimeoutError:
        return f"no word in {_REDIS_SECONDS:g} s"
    except (RedisError, OSError) as error:
        return str(error)
    finally:
        await client.aclose()
    return None
