"""From settings to a listening server: the models, the router, the strategy, the store, and uvicorn."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from waypost import pool
from waypost.errors import BadConfig, BadInput
from waypost.gateway.app import App
from waypost.gateway.budgets import Budgets
from waypost.gateway.deciding import Deciding, deciding
from waypost.gateway.drifting import Drifting
from waypost.gateway.learning import Learning
from waypost.gateway.ledger import Ledger
from waypost.gateway.readiness import Readiness
from waypost.gateway.serving import Serving
from waypost.gateway.settings import ModelSettings, Settings
from waypost.objective import Objective
from waypost.routers import Online, Router
from waypost.routers.fingerprint import fingerprint
from waypost.store import Writer
from waypost.strategies import Exploring
from waypost.types import Model, ModelCard

_GRACE_SECONDS = 10
_LONG_SECONDS = 0.005  # a decision that takes longer is made beside the event loop
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
    models = {model.name: _model(model) for model in settings.models if model.missing is None}
    missing = {model.name: model.missing for model in settings.models if model.missing is not None}
    cards = {name: model.card for name, model in models.items()}
    if not cards:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise BadConfig(f"{settings.file}: no model can be called ({reasons})")
    chosen = deciding(settings, cards)
    profiles = {name: _callable(objective, cards) for name, objective in settings.profiles.items()}
    budgets = Budgets(chosen.solved)
    budgets.keep(profiles, settings.places)
    learning = _learning(settings, chosen)
    strategy = chosen.strategy if learning is None else Exploring(learning.router, cards)
    serving = Serving(
        models=models,
        strategy=strategy,
        profiles=profiles,
        ledger=Ledger(_writer(settings), keep_prompts=settings.log_prompts),
        budgets=budgets,
        drifting=_drifting(settings, chosen, profiles["default"]),
        learning=learning,
        decides_long=_long(chosen.router),
        max_body_bytes=settings.server.max_body_bytes,
        max_in_flight=settings.server.max_in_flight,
    )
    unchosen = tuple(name for name in cards if name not in chosen.known)
    app = App(serving, Readiness(models, missing))
    return app, Started(url, cards, strategy.name, chosen.words, missing, unchosen)


def _long(router: Router) -> bool:
    """Whether a router keeps the event loop waiting: the least of three, which also brings what it loads on first use.

    Raises:
        NotInstalled: what reads its prompts is missing.
    """
    router.predict(["How long does one decision take?"])
    taken = []
    for number in range(3):  # three texts, since some remember what they have read
        started = time.perf_counter()
        router.predict([f"How long does decision {number} take?"])
        taken.append(time.perf_counter() - started)
    return min(taken) > _LONG_SECONDS


def _drifting(settings: Settings, chosen: Deciding, default: Objective) -> Drifting | None:
    """What watches the traffic of a calibrated router."""
    known = settings.calibration
    if known is None:
        return None
    if fingerprint(chosen.router) != known.fingerprint:
        raise BadConfig(
            f"{settings.places['calibration']}: 'calibration' is of another router than {chosen.words} "
            f"(it was made for {known.router}); calibrate this one, or remove it"
        )
    return Drifting(known.reference, default)


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


def _callable(profile: Objective, cards: Mapping[str, ModelCard]) -> Objective:
    """A profile that does not ask for optional models that cannot be called, unless it asks for no others."""
    profile = replace(profile, bias={name: points for name, points in profile.bias.items() if name in cards})
    allowed = tuple(name for name in profile.allowed or () if name in cards)
    return replace(profile, allowed=allowed) if allowed else profile


def _model(model: ModelSettings) -> Model:
    try:
        return pool.make(model.kind, model.card, model.settings)
    except BadInput as error:
        raise BadConfig(f"{model.where}: model '{model.name}': {error}") from error


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
