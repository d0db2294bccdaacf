"""From settings to the application: what a config amounts to, with the files and connections that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from waypost.errors import BadConfig
from waypost.gateway.app import App
from waypost.gateway.cache.lookup import Cache
from waypost.gateway.callers.doors import doors
from waypost.gateway.choice.choosing import Choosing
from waypost.gateway.choice.deciding import Deciding
from waypost.gateway.choice.drifting import Drifting
from waypost.gateway.choice.learning import Learning
from waypost.gateway.choice.sessions import Sessions
from waypost.gateway.plan import Plan, plan
from waypost.gateway.remote import Remote
from waypost.gateway.running.pages import Pages
from waypost.gateway.running.readiness import Readiness
from waypost.gateway.seeing.ledger import Ledger
from waypost.gateway.seeing.logs import RequestLines
from waypost.gateway.seeing.metrics import Metrics
from waypost.gateway.serving import Serving
from waypost.gateway.settings import Settings
from waypost.gateway.storing import writer
from waypost.gateway.traces.sender import Sender
from waypost.gateway.traces.spans import place_of
from waypost.gateway.traces.tracer import Tracer
from waypost.routers import Online
from waypost.strategies import Exploring
from waypost.types import Model


@dataclass(frozen=True, slots=True)
class Built:
    """A config, what it amounts to, and the application that serves it."""

    settings: Settings
    plan: Plan
    app: App


def build(settings: Settings, old: Built | None = None, pages: Pages | None = None) -> Built:
    """The application of a config; what the ``old`` one has and the config still says goes on in it.

    ``pages`` are where several processes keep their metrics.

    Raises:
        BadConfig: see `plan`; or the store or the router's folder cannot be used.
        NotInstalled: see `plan`.
    """
    planned = plan(settings, _unchanged(settings, old))
    # What holds nothing before it is opened, and then what has to be closed again if a later part cannot be made.
    cache, tracer, sessions = _cache(settings, old), _tracer(settings, old), _sessions(settings, old)
    going_on = set(map(id, old.app.parts())) if old is not None else set()
    with ExitStack() as undoing:
        learning = _learning(settings, planned.chosen, old)
        if learning is not None and id(learning) not in going_on:
            undoing.callback(learning.close)
        ledger = _ledger(settings, old)
        if id(ledger) not in going_on:
            undoing.callback(ledger.close)
        entrance = doors(settings, ledger.writer, (old.settings, old.app.doors) if old is not None else None)
        undoing.pop_all()
    serving = Serving(
        models=planned.models,
        choosing=_choosing(planned, learning, sessions),
        profiles=planned.profiles,
        ledger=ledger,
        budgets=planned.budgets,
        drifting=_drifting(settings, planned, old),
        learning=learning,
        cache=cache,
        lines=RequestLines(settings.logs.requests == "errors") if settings.logs.requests != "off" else None,
        tracer=tracer,
        decides_long=planned.decides_long,
        access=entrance.access,
        max_body_bytes=settings.server.max_body_bytes,
        max_in_flight=settings.server.max_in_flight,
        metrics=old.app.serving.metrics if old is not None else Metrics(),
        missing=planned.missing,
    )
    readiness = Readiness(planned.models, planned.missing)
    if old is not None:
        readiness.take_over(old.app.readiness)
    return Built(settings, planned, App(serving, readiness, old.app.pages if old is not None else pages, entrance))


def _unchanged(settings: Settings, old: Built | None) -> Mapping[str, Model]:
    """The models that are as they were: their connections, and what is known of their health, go on."""
    if old is None or settings.reliability != old.settings.reliability:
        return {}
    # That a model moved to another line of the file, or may be asked more or less, is no change of it.
    before = {model.name: replace(model, where="", limits=None) for model in old.settings.models}
    return {
        model.name: old.plan.models[model.name]
        for model in settings.models
        if model.name in old.plan.models and before[model.name] == replace(model, where="", limits=None)
    }


def _choosing(planned: Plan, learning: Learning | None, sessions: Sessions) -> Choosing:
    choosing = replace(planned.choosing, sessions=sessions)
    if learning is not None:
        choosing = replace(choosing, strategy=Exploring(learning.router, planned.cards))
    return choosing


def _sessions(settings: Settings, old: Built | None) -> Sessions:
    """Conversations that are under way stay with their models.

    Raises:
        BadConfig: they are to be remembered in a Redis, and its address is none.
        NotInstalled: likewise, and its client is missing.
    """
    known = settings.sessions
    before = old.app.serving.choosing.sessions if old is not None and old.settings.sessions == known else None
    if before is not None:
        return before
    try:
        remote = None if known.redis is None else Remote(known.redis, "sessions")
        return Sessions(known.seconds, known.most, remote=remote)
    except BadConfig as error:
        raise BadConfig(f"{settings.places['sessions']}: {error}") from None


def _ledger(settings: Settings, old: Built | None) -> Ledger:
    if old is not None and _kept(old.settings) == _kept(settings):
        return old.app.serving.ledger
    return Ledger(writer(settings), keep_prompts=settings.log_prompts)


def _kept(settings: Settings) -> tuple[object, ...]:
    """What is kept, and where."""
    return settings.store, settings.spool, settings.keep_days, settings.log_prompts


def _cache(settings: Settings, old: Built | None) -> Cache | None:
    """What was kept is still good, unless it came of other models."""
    if settings.cache is None:
        return None
    if old is not None and (old.settings.cache, old.settings.models) == (settings.cache, settings.models):
        return old.app.serving.cache
    try:
        return Cache(settings.cache)
    except BadConfig as error:
        raise BadConfig(f"{settings.places['cache']}: {error}") from None


def _drifting(settings: Settings, planned: Plan, old: Built | None) -> Drifting | None:
    """What was seen of the traffic is still to be held against the same calibration, which is of one router only."""
    drifting, before = planned.drifting, old.app.serving.drifting if old is not None else None
    if drifting is None or before is None or old is None or _told(old.settings) != _told(settings):
        return drifting
    return before.of(drifting.objective)


def _told(settings: Settings) -> tuple[object, ...] | None:
    """What makes a calibration this one and no other."""
    known = settings.calibration
    return None if known is None else (known.fingerprint, known.objective, known.reference)


def _tracer(settings: Settings, old: Built | None) -> Tracer | None:
    """What traces; whoever sends the spans goes on, and has yet to be opened if it is new."""
    traces = settings.traces
    if traces is None:
        return None
    before = old.app.serving.tracer if old is not None and old.settings.traces == traces else None
    sender = before.sender if before is not None else Sender(traces)
    places = {model.name: place_of(model) for model in settings.models}
    return Tracer(sender, traces.sample, places, settings.log_prompts)


def _learning(settings: Settings, chosen: Deciding, old: Built | None) -> Learning | None:
    """What teaches a router that learns: one in a folder of the user's, where feedback is kept, and not calibrated.

    A calibration holds for the router that it was made for; one that goes on learning would be another.
    """
    router, folder = chosen.router, settings.router
    if not isinstance(router, Online) or not isinstance(folder, Path):
        return None
    if settings.store is None or settings.calibration is not None:
        return None
    if old is not None and old.app.serving.learning is not None and old.settings.router == folder:
        if not old.app.serving.learning.teaches(router):
            raise BadConfig(
                f"{settings.places['router']}: 'router' was trained anew, and what this gateway has learnt is of the "
                "one before; start the gateway again, or train into another folder and name that"
            )
        return old.app.serving.learning
    if settings.server.workers > 1:
        raise BadConfig(
            f"{settings.places['router']}: 'router' learns from feedback, which one process does; "
            "say `workers: 1`, or remove `store` to serve it as it is"
        )
    try:
        return Learning.open(router, folder)
    except OSError as error:
        raise BadConfig(
            f"{settings.places['router']}: 'router' learns from feedback and keeps what it learns in its folder, "
            f"which cannot be written to: {error}"
        ) from error
