"""From settings to a listening server: a socket, the application, and uvicorn."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import cast

import uvicorn

from waypost.errors import BadInput
from waypost.gateway.build import build
from waypost.gateway.door import Door
from waypost.gateway.protocol import Connection
from waypost.gateway.running.reload import Reloading
from waypost.gateway.running.worker import Worker
from waypost.gateway.settings import Settings
from waypost.types import ModelCard


@dataclass(frozen=True, slots=True)
class Started:
    """What there is to say when the server listens.

    ``missing`` are models that cannot be built, with the reason; ``unchosen`` those that the router knows nothing
    of, which are called by name only.
    """

    url: str
    cards: Mapping[str, ModelCard]
    strategy: str
    router: str
    missing: Mapping[str, str]
    unchosen: tuple[str, ...]


class Gateway(uvicorn.Server):
    """A server that listens already: ``run`` serves until a signal or `stop`.

    ``again`` reads the config anew: at each SIGHUP, and when the file has changed.  A ``worker`` listens where its
    supervisor does.

    Raises:
        BadInput: the port is in use, the address is not ours, or a model's settings are refused.
        BadConfig: the store cannot be used, the router knows no model of the pool, a profile's budget is too small, or
            the calibration is of another router.
        NotInstalled: a saved router is missing.
    """

    def __init__(
        self,
        settings: Settings,
        announce: Callable[[Started], None],
        *,
        again: Callable[[], Settings] | None = None,
        worker: Worker | None = None,
    ) -> None:
        # First the port: it is the likeliest to fail, and nothing has to be closed again.
        self._socket = worker.listener if worker else listen(settings.server.host, settings.server.port)
        try:
            built = build(settings, pages=worker.pages if worker else None)
        except Exception:
            self._socket.close()
            raise
        self._reloading = Reloading(built, again)
        self._url = url_of(self._socket)
        self._worker = worker
        self._announce = announce
        self._door = Door(settings.server)
        self._leave_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            self._reloading,
            http=cast(type[asyncio.Protocol], partial(Connection, self._door)),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=settings.server.drain_seconds,
            callback_notify=self._each_second,
            timeout_notify=1,
        )
        super().__init__(config)

    @property
    def about(self) -> Started:
        """What there is to say of what is served now."""
        built = self._reloading.built
        planned, strategy = built.plan, built.app.serving.choosing.strategy.name
        words, missing = planned.chosen.words, planned.missing
        return Started(self._url, planned.cards, strategy, words, missing, planned.unchosen)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal or `stop`."""
        super().run([*(sockets or ()), self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, then say so."""
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._loop.add_signal_handler(signal.SIGHUP, self._reloading.soon)
        await super().startup(sockets)
        self._announce(self.about)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On a signal become unready and drain; a second one ends at once."""
        if self.should_exit:
            self.force_exit = True
        self._drain()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to close the port, which waits for balancers to see that we are unready."""
        leaving = await super().on_tick(counter)
        if not leaving or self.force_exit:
            return leaving
        if self._leave_at is None:
            self._drain()
            self._leave_at = time.monotonic() + self._door.limits.shutdown_delay_seconds
        return time.monotonic() >= self._leave_at

    def stop(self) -> None:
        """End gracefully; from any thread."""
        self.should_exit = True

    def reload(self) -> Future[bool]:
        """Read the config again, from any thread; the result is whether the new one serves."""
        if self._loop is None:
            raise RuntimeError("a gateway that does not run yet cannot reload")
        return asyncio.run_coroutine_threadsafe(self._reloading.reload(), self._loop)

    def _drain(self) -> None:
        self._reloading.built.app.readiness.draining = True
        self._door.drain()

    async def _each_second(self) -> None:
        self._reloading.watch()
        self._door.limits = self._reloading.built.settings.server
        if self._worker is not None:
            self._worker.pages.write(self._reloading.built.app.page())
            self.should_exit = self.should_exit or self._worker.orphaned()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        BadInput: the port is in use, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Now and not in the event loop, so that nobody can take the port while the models are made.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise BadInput(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            "stop what listens there, or choose another with --port or --host"
        ) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """The address of a listening socket, as clients write it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
