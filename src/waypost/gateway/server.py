"""From settings to a listening server: the models, the router, the strategy, the store, and uvicorn."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from waypost.errors import BadConfig, BadInput
from waypost.gateway.app import App
from waypost.gateway.deciding import Deciding
from waypost.gateway.learning import Learning
from waypost.gateway.ledger import Ledger
from waypost.gateway.plan import plan
from waypost.gateway.readiness import Readiness
from waypost.gateway.serving import Serving
from waypost.gateway.settings import Settings
from waypost.routers import Online
from waypost.store import Writer
from waypost.strategies import Exploring
from waypost.types import ModelCard

_GRACE_SECONDS = 10
# Longer than the pools of common clients keep an idle connection, so that they close it, and not we under their feet.
_KEEP_ALIVE_SECONDS = 75


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

    Raises:
        BadInput: the port is in use, the address is not ours, or a model's settings are refused.
        BadConfig: the store cannot be used, the router knows no model of the pool, a profile's budget is too small, or
            the calibration is of another router.
        NotInstalled: a saved router is missing.
    """

    def __init__(self, settings: Settings, announce: Callable[[Started], None]) -> None:
        # First the port: it is the likeliest to fail, and nothing has to be closed again.
        self._socket = _listen(settings.server.host, settings.server.port)
        try:
            app, self.about = _build(settings, _url(self._socket))
        except Exception:
            self._socket.close()
            raise
        self._announce = announce
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        super().__init__(config)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal or `stop`."""
        super().run([*(sockets or ()), self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, then say so."""
        await super().startup(sockets)
        self._announce(self.about)

    def stop(self) -> None:
        """End gracefully; from any thread."""
        self.should_exit = True


def _build(settings: Settings, url: str) -> tuple[App, Started]:
    planned = plan(settings)
    learning = _learning(settings, planned.chosen)
    strategy = planned.chosen.strategy if learning is None else Exploring(learning.router, planned.cards)
    serving = Serving(
        models=planned.models,
        choosing=replace(planned.choosing, strategy=strategy),
        profiles=planned.profiles,
        ledger=Ledger(_writer(settings), keep_prompts=settings.log_prompts),
        budgets=planned.budgets,
        drifting=planned.drifting,
        learning=learning,
        decides_long=planned.decides_long,
        max_body_bytes=settings.server.max_body_bytes,
        max_in_flight=settings.server.max_in_flight,
    )
    app = App(serving, Readiness(planned.models, planned.missing))
    about = Started(url, planned.cards, strategy.name, planned.chosen.words, planned.missing, planned.unchosen)
    return app, about


def _learning(settings: Settings, chosen: Deciding) -> Learning | None:
    """What teaches a router that learns: one in a folder of the user's, where feedback is kept, and not calibrated.

    A calibration holds for the router that it was made for; one that goes on learning would be another.
    """
    router, folder = chosen.router, settings.router
    if not isinstance(router, Online) or not isinstance(folder, Path):
        return None
    if settings.store is None or settings.calibration is not None:
        return None
    try:
        return Learning.open(router, folder)
    except OSError as error:
        raise BadConfig(
            f"{settings.places['router']}: 'router' learns from feedback and keeps what it learns in its folder, "
            f"which cannot be written to: {error}"
        ) from error


def _writer(settings: Settings) -> Writer | None:
    return Writer(settings.store) if settings.store else None


def _listen(host: str, port: int) -> socket.socket:
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


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
