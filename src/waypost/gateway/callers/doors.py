"""From settings to access: where keys are looked up, who keeps the limits, and what was spent before the start."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast, get_args

from waypost.errors import BadConfig, WaypostError
from waypost.gateway.callers.access import Access
from waypost.gateway.callers.identity import Caller, Identity, Keys
from waypost.gateway.settings import Settings
from waypost.store import Writer
from waypost.store.keyring import KeyRing
from waypost.store.keystore import KeyStore
from waypost.store.limits import Limiter, Limits, Period, period
from waypost.store.local_limits import LocalLimiter
from waypost.store.spending import Scope

_log = logging.getLogger(__name__)

_START_SECONDS = 2.0
_AGAIN_SECONDS = 5.0

_Kind = tuple[Scope, Period]


@dataclass(slots=True)
class Seeds:
    """What each scope had spent when the process began, as the log has it; a scope is seeded when it is first seen.

    Of the log only that is read which some scope's budget counts, and again when a scope with another is met.
    """

    limiter: Limiter = field(default_factory=LocalLimiter)
    writer: Writer | None = None
    wall: Callable[[], float] = time.time
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _kinds: set[_Kind] = field(default_factory=set)
    _spent: dict[_Kind, dict[str, float]] = field(default_factory=dict)
    _starts: dict[_Kind, float] = field(default_factory=dict)
    _seen: dict[str, Limits] = field(default_factory=dict)

    def met(self, caller: Caller) -> None:
        """Seed the scopes of a caller."""
        for scope, limits in caller.payers:
            self.see(scope, limits)

    def want(self, scope: str, limits: Limits) -> None:
        """Have read what a scope's budget counts, before the scope is met."""
        if limits.usd is not None and (kind := _parts(scope, limits)[0]) not in self._kinds:
            self._kinds.add(kind)
            self.wanted.set()

    def see(self, scope: str, limits: Limits) -> None:
        """Seed one scope, now or when the log has been read."""
        if limits.usd is None:
            return
        self._seen[scope] = limits
        kind, name = _parts(scope, limits)
        if kind not in self._spent:
            self.want(scope, limits)
            return
        usd = self._spent[kind].get(name, 0.0)
        if usd and self._starts[kind] == period(limits.per, self.wall())[0]:
            self.limiter.seed(scope, limits, usd)

    @property
    def unread(self) -> list[_Kind]:
        """What of the log is still to be read, the shortest period first."""
        return sorted(self._kinds - self._spent.keys(), key=lambda kind: get_args(Period).index(kind[1]))

    def load(self, kind: _Kind) -> None:
        """Read a part of the log; waits for the database.

        Raises:
            StoreDown: it does not answer.
        """
        if self.writer is not None:
            start = period(kind[1], self.wall())[0]
            self._spent[kind], self._starts[kind] = self.writer.spent(kind[0], start), start

    def sow(self, kind: _Kind) -> None:
        """Seed the scopes that waited for a part of the log."""
        for scope, limits in list(self._seen.items()):
            if _parts(scope, limits)[0] == kind:
                self.see(scope, limits)


def _parts(scope: str, limits: Limits) -> tuple[_Kind, str]:
    kind, _, name = scope.partition(":")
    return (cast(Scope, kind), limits.per), name


@dataclass(slots=True)
class Doors:
    """`Access` with what it runs on: ``ring`` finds the keys, ``limiter`` keeps the limits.

    ``guarded`` says that even metrics, and who is ready, are told to those only who have a key.
    """

    access: Access = field(default_factory=Access)
    ring: KeyRing | None = None
    limiter: Limiter = field(default_factory=LocalLimiter)
    seeds: Seeds = field(default_factory=Seeds)
    guarded: bool = False
    _seeding: asyncio.Task[None] | None = None
    _seeded: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None:
        """Connect, read the keys and what was spent; waits some seconds at most, and goes on behind."""
        await self.limiter.open()
        if self.ring is not None:
            await asyncio.to_thread(self.ring.wait, _START_SECONDS)
            for key in self.ring.known:
                self.seeds.want(f"key:{key.id}", key.limits)
        if self.seeds.writer is not None:
            self._seeding = asyncio.create_task(self._seed())
            with suppress(TimeoutError):
                async with asyncio.timeout(_START_SECONDS):
                    await self._seeded.wait()

    @property
    def locked(self) -> bool:
        """Whether everybody needs a key, and none could be read yet."""
        return self.access.identity.keys == "required" and self.ring is not None and not self.ring.loaded

    @property
    def parts(self) -> tuple[object, ...]:
        """What may go on in other doors."""
        return (self.ring, self.limiter)

    async def close(self, going_on: set[int]) -> None:
        """Close all but the parts that go on elsewhere, by their ids."""
        if self._seeding is not None:
            self._seeding.cancel()
            await asyncio.wait({self._seeding})
        if self.ring is not None and id(self.ring) not in going_on:
            await asyncio.to_thread(self.ring.close)
        if id(self.limiter) not in going_on:
            await self.limiter.close()

    async def _seed(self) -> None:
        """Read what is wanted of the log, a part after the other, so that one that fails keeps no other back."""
        while True:
            self.seeds.wanted.clear()
            failed = False
            for kind in self.seeds.unread:
                try:
                    await asyncio.to_thread(self.seeds.load, kind)
                except WaypostError as error:
                    failed = True
                    _log.error("what was spent before the start is not known yet: %s", error)
                else:
                    self.seeds.sow(kind)
            if failed:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._seeded.set()
                await self.seeds.wanted.wait()


def doors(settings: Settings, writer: Writer | None, old: tuple[Settings, Doors] | None = None) -> Doors:
    """The doors of a config; limits that are kept in one place go on there, and keys known from the same store.

    Raises:
        BadConfig: keys are asked for and there is no store to keep them in, the server can be reached from outside
            and nothing is said of keys, several workers would each keep limits for themselves, or the address of
            Redis is none.
        NotInstalled: Redis is asked for without its package.
    """
    keys = keys_of(settings)
    kept_together(settings)
    limiter = _limiter(settings, old)
    ring = None
    if keys != "off" and writer is not None:
        before = old[1].ring if old is not None and old[0].store == settings.store else None
        if before is not None and old is not None and old[1].seeds.writer is writer:
            ring = before
        else:
            ring = KeyRing(KeyStore(writer.database).find_all, before)
    # Without anybody who could have a budget there is nothing to read, and the database need not be opened yet.
    paying = keys != "off" or any(model.limits is not None for model in settings.models)
    seeds = Seeds(limiter, writer if paying else None)
    identity = Identity(keys, ring if ring is not None else {}, settings.teams, met=seeds.met)
    models = {model.name: model.limits for model in settings.models if model.limits is not None}
    for name, limits in models.items():
        seeds.see(f"model:{name}", limits)
    for name, limits in settings.teams.items():
        seeds.want(f"team:{name}", limits)
    access = Access(identity, limiter, models, settings.limits.answer_tokens)
    return Doors(access, ring, limiter, seeds, keys == "required" and not loopback(settings.server.host))


def keys_of(settings: Settings) -> Keys:
    """Whether callers need a key.

    Raises:
        BadConfig: there is no store to keep them in, or others can reach the server and nothing is said of keys.
    """
    host, keys = settings.server.host, settings.keys
    if keys is None:
        if not loopback(host):
            raise BadConfig(
                f"{settings.file}: the server listens on {host}, where others can reach it, and nothing is said of "
                "keys; say `keys: required` and make some with `waypost keys create`, or `keys: off` if everyone may "
                "ask"
            )
        return "off"
    if keys != "off" and settings.store is None:
        raise BadConfig(f"{settings.places['keys']}: 'keys' are kept in the `store`, and there is none; name a file")
    return keys


def kept_together(settings: Settings) -> None:
    """Refuse limits of teams and models that several workers would each keep for themselves.

    Raises:
        BadConfig: there are such, and no Redis.
    """
    if settings.limits.redis is not None or settings.server.workers == 1:
        return
    if settings.teams or any(model.limits for model in settings.models):
        raise BadConfig(
            f"{settings.places.get('server', settings.file)}: {settings.server.workers} workers would each keep the "
            "limits of teams and models for themselves, and let through so many times as much; say "
            "`limits: {redis: ...}`, or `workers: 1`"
        )


def loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _limiter(settings: Settings, old: tuple[Settings, Doors] | None) -> Limiter:
    kept = settings.limits
    if old is not None and (old[0].limits.redis, old[0].limits.wait_seconds) == (kept.redis, kept.wait_seconds):
        return old[1].limiter
    if kept.redis is None:
        return LocalLimiter()
    # Here and not above: a package that not everybody has.
    from waypost.errors import NotInstalled
    from waypost.store.redis_limits import RedisLimiter

    try:
        return RedisLimiter(kept.redis.reveal(), wait=kept.wait_seconds)
    except ModuleNotFoundError:
        raise NotInstalled("limits are to be kept in Redis, which needs pip install 'waypost[redis]'") from None
    except ValueError:
        # Without the address: it may hold a password.
        raise BadConfig(
            f"{settings.places['limits']}: 'limits.redis' is no address of a Redis; give one like "
            "redis://127.0.0.1:6379/0"
        ) from None
