"""A config that changes while requests are served: the new parts take over whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from waypost.errors import WaypostError
from waypost.gateway.build import Built, build
from waypost.gateway.seeing.logs import configure
from waypost.gateway.settings import Settings
from waypost.gateway.wire import Receive, Scope, Send

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Generation:
    """The parts of one reading of the config, and how many requests are on them."""

    built: Built
    under_way: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Reloading:
    """The application that stands for whichever parts are current.

    ``again`` reads the config anew.  A request ends on the parts that it began with; those are closed when the last
    of their requests has ended, except for what newer parts go on with.
    """

    def __init__(self, built: Built, again: Callable[[], Settings] | None = None) -> None:
        self._again = again
        self._current = Generation(built)
        self._old: list[Generation] = []
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self._seen = self._pending = _bytes(built.settings)

    @property
    def built(self) -> Built:
        """The current parts."""
        return self._current.built

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request on the current parts, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        generation = self._current
        generation.under_way += 1
        try:
            await generation.built.app(scope, receive, send)
        finally:
            generation.under_way -= 1
            if not generation.under_way and generation is not self._current:
                generation.idle.set()

    def watch(self) -> None:
        """Look whether the file has changed, and reload if so; a change is believed when it was seen twice.

        The bytes are compared, and not times or inodes: it is right for editors that replace the file, for volumes
        whose links are swapped, and for clocks that stand still.
        """
        found = _bytes(self.built.settings)
        if found is None or found == self._seen:
            self._pending = self._seen
        elif found == self._pending:
            self._seen = found
            self.soon()
        else:
            self._pending = found  # perhaps half of it is written

    def soon(self) -> None:
        """Reload without waiting for it."""
        task = asyncio.create_task(self.reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> bool:
        """Read the config again and go on with it, if all of it can be used; else the old one goes on.

        Returns whether the new one serves.  A gateway that is about to end keeps what it has.
        """
        if self._again is None or self.built.app.readiness.draining:
            return False
        async with self._one_at_a_time:
            try:
                settings = await asyncio.to_thread(self._again)
                built = await asyncio.to_thread(self._build, settings)
                await self._open(built)
            except (WaypostError, OSError) as error:
                _log.error("the config was not reloaded, and the old one goes on: %s", error)
                for other in getattr(error, "others", ()):
                    _log.error("and: %s", other)
                return False
            except Exception:  # noqa: BLE001 - an outer edge: whatever the new parts do, the old ones serve
                _log.exception("the config was not reloaded, and the old one goes on")
                return False
            self._take_over(built)
        if built.settings.server != settings.server:
            _log.warning("of `server` only `max_body_bytes` and `max_in_flight` change before the next start")
        _log.warning("the config %s was reloaded", built.settings.file)
        return True

    def _build(self, settings: Settings) -> Built:
        before = self.built.settings.server
        server = replace(
            before, max_body_bytes=settings.server.max_body_bytes, max_in_flight=settings.server.max_in_flight
        )
        return build(replace(settings, server=server), self.built)

    async def _open(self, built: Built) -> None:
        """Let the new parts connect before they serve: a good key must not be refused because none was read yet."""
        try:
            await built.app.open()
        except BaseException:
            await built.app.close(kept=self._living())
            raise

    def _living(self) -> list[object]:
        return [part for one in (self._current, *self._old) for part in one.built.app.parts()]

    def _take_over(self, built: Built) -> None:
        before = self.built
        # It may have begun to end while the new parts were made.
        built.app.readiness.draining = before.app.readiness.draining
        if built.settings.logs != before.settings.logs:
            configure(built.settings.logs)
        built.app.readiness.start()
        old, self._current = self._current, Generation(built)
        self._old.append(old)
        if not old.under_way:
            old.idle.set()
        task = asyncio.create_task(self._retire(old))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retire(self, old: Generation) -> None:
        await old.idle.wait()
        await self._close(old)

    async def _close(self, old: Generation) -> None:
        self._old.remove(old)
        await old.built.app.close(kept=self._living())

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.built.app.readiness.start()
        await self.built.app.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for old in list(self._old):
            await self._close(old)
        await self.built.app.close()
        await send({"type": "lifespan.shutdown.complete"})


def _bytes(settings: Settings) -> bytes | None:
    """What the config file holds now; None where it cannot be read, as between the two steps of a replacement."""
    try:
        return settings.file.read_bytes()
    except OSError:
        return None
