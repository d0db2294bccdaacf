"""What a config amounts to: its models, router, profiles and budgets, made without opening or calling anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from waypost import pool
from waypost.errors import BadConfig, BadInput
from waypost.gateway.calls.breaker import Breaker
from waypost.gateway.calls.reliable import Reliable
from waypost.gateway.choice.budgets import Budgets
from waypost.gateway.choice.choosing import Canary, Choosing, Shadow
from waypost.gateway.choice.deciding import Deciding, deciding
from waypost.gateway.choice.drifting import Drifting
from waypost.gateway.sections.kinds import Mistakes
from waypost.gateway.sections.reliability import ReliabilitySettings
from waypost.gateway.settings import ModelSettings, Settings
from waypost.objective import Objective
from waypost.routers import Router
from waypost.routers.fingerprint import fingerprint
from waypost.types import Model, ModelCard

_LONG_SECONDS = 0.005  # a decision that takes longer is made beside the event loop


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a gateway that need no file, thread or connection of their own.

    ``missing`` are models that cannot be built, with the reason; ``unchosen`` those that the router knows nothing
    of, which are called by name only.
    """

    models: Mapping[str, Model]
    missing: Mapping[str, str]
    chosen: Deciding
    profiles: Mapping[str, Objective]
    budgets: Budgets
    choosing: Choosing
    drifting: Drifting | None
    decides_long: bool

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The cards of the models that can be called."""
        return {name: model.card for name, model in self.models.items()}

    @property
    def unchosen(self) -> tuple[str, ...]:
        """Models that only a client can choose."""
        return tuple(name for name in self.cards if name not in self.chosen.known)


def plan(settings: Settings, made: Mapping[str, Model] | None = None) -> Plan:
    """What a config amounts to; models that are ``made`` already are taken as they are.

    Raises:
        BadConfig: a model's settings are refused, the router knows no model of the pool, a profile's budget is too
            small, or the calibration is of another router.
        NotInstalled: a saved router is missing, or what reads its prompts.
    """
    models = _models(settings, made or {})
    missing = {model.name: model.missing for model in settings.models if model.missing is not None}
    cards = {name: model.card for name, model in models.items()}
    if not cards:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise BadConfig(f"{settings.file}: no model can be called ({reasons})")
    chosen = deciding(settings, cards)
    profiles = {name: _callable(objective, cards) for name, objective in settings.profiles.items()}
    budgets = Budgets(chosen.solved)
    budgets.keep(profiles, settings.places)
    trial = _trial(settings, cards)
    return Plan(
        models=models,
        missing=missing,
        chosen=chosen,
        profiles=profiles,
        budgets=budgets,
        choosing=_choosing(settings, chosen, trial, cards, profiles, budgets),
        drifting=_drifting(settings, chosen, profiles["default"]),
        decides_long=_long(chosen.router) or (trial is not None and _long(trial.router)),
    )


def _choosing(
    settings: Settings,
    chosen: Deciding,
    trial: Deciding | None,
    cards: Mapping[str, ModelCard],
    profiles: Mapping[str, Objective],
    budgets: Budgets,
) -> Choosing:
    shadow, canary = settings.shadow, settings.canary
    if shadow is not None and shadow.incumbent not in cards:
        raise BadConfig(f"{settings.places['shadow']}: the incumbent '{shadow.incumbent}' cannot be called")
    return Choosing(
        chosen.strategy,
        cards,
        fallbacks=settings.fallback,
        canary=Canary(trial.strategy, canary.share) if trial is not None and canary is not None else None,
        shadow=Shadow(shadow.incumbent, budgets.solved(profiles[shadow.profile])) if shadow else None,
    )


def _trial(settings: Settings, cards: Mapping[str, ModelCard]) -> Deciding | None:
    """What decides for the canary's share."""
    if settings.canary is None:
        return None
    trial = deciding(settings, cards, settings.canary.router)
    if not set(trial.known) & set(trial.cards):
        raise BadConfig(
            f"{settings.places['canary']}: the canary's router knows {', '.join(trial.known)} and none of the models "
            f"here, which are {', '.join(trial.cards)}; train one on outcomes of these"
        )
    return trial


def _models(settings: Settings, made: Mapping[str, Model]) -> dict[str, Model]:
    models: dict[str, Model] = {}
    providers: dict[tuple[object, ...], Breaker] = {}
    for model in settings.models:
        if isinstance(known := made.get(model.name), Reliable):
            providers[_place(model)] = known.provider
    mistakes = Mistakes()
    for model in settings.models:
        if model.missing is None:
            with mistakes.kept():
                known = made.get(model.name)
                models[model.name] = known or _reliable(model, _model(model), settings.reliability, providers)
    mistakes.tell()
    return models


def _place(model: ModelSettings) -> tuple[object, ...]:
    """What the models of one provider have in common."""
    return model.kind, model.settings.get("base_url"), model.settings.get("api_key")


def _reliable(
    model: ModelSettings, made: Model, settings: ReliabilitySettings, providers: dict[tuple[object, ...], Breaker]
) -> Model:
    """A provider's model is tried again and left alone, by a breaker of its own and one of its place and key."""
    if "base_url" not in pool.settings_of(model.kind):
        return made
    # Neither address nor key can stand in a metric, so the first of its models names it.
    provider = providers.setdefault(_place(model), Breaker(f"the provider of {model.name}", settings.breaker))
    return Reliable(made, Breaker(model.name, settings.breaker), provider, settings)


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
