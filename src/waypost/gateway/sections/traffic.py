"""``fallback:``, ``sessions:``, ``shadow:`` and ``canary:`` how real traffic is led to a router."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from waypost.errors import BadConfig, UnknownModel
from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import PATH, REDIS, TEXT, list_of, named, number, setting, whole_number
from waypost.pool.secret import Secret

if TYPE_CHECKING:
    from waypost.gateway.settings import Settings

FALLBACK = named(list_of(TEXT))
_WEEK = 604_800.0


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How long a conversation is taken to be in its model's prompt cache."""

    seconds: float = setting(
        number(least=0.0, most=_WEEK), "Seconds that a provider keeps a prompt cached; 0 forgets all.", 300.0
    )
    most: int = setting(whole_number(least=1), "Conversations remembered at once, the latest.", 10_000)
    redis: Secret | None = setting(REDIS, "URL of a Redis in which several gateways remember them together.", None)


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """The incumbent serves, and the router only watches."""

    incumbent: str = setting(TEXT, "The model that serves whatever the router would choose.")
    profile: str = setting(TEXT, "The profile by which requests that name the incumbent are watched.", "default")


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """A new router for a share of the traffic."""

    router: Path = setting(PATH, "The folder that `waypost train` saved the new router in.")
    share: float = setting(number(least=0.0, most=1.0), "Its share of the conversations, 0 to 1.")


def strange_traffic(top: Mapping[str, Entry], models: Sequence[str], settings: Settings) -> Iterator[BadConfig]:
    """Models and profiles that are named here and stand nowhere, and what contradicts itself."""
    profiles = {"default", *settings.profiles}
    asked = [*models, "auto", *(f"auto:{name}" for name in settings.profiles if name != "default")]
    for key, names in settings.fallback.items():
        entry = top["fallback"].fields()[key]
        if key not in asked:
            yield entry.error(f"is nothing that a client can ask for; that is {', '.join(asked)}")
        yield from (entry.error(f"names {UnknownModel(name, models)}") for name in names if name not in models)
        if len({key, *names}) <= len(names):
            yield entry.error("names a model twice, or as its own fallback")
        if key not in models and settings.strategy == "cascade":
            yield entry.error("is for `strategy: single`; a cascade goes on by what an answer tells it")
    shadow = settings.shadow
    if shadow is not None and shadow.incumbent not in models:
        yield top["shadow"].fields()["incumbent"].error(f"names {UnknownModel(shadow.incumbent, models)}")
    if shadow is not None and shadow.profile not in profiles:
        yield top["shadow"].fields()["profile"].error(f"is no profile; there is {', '.join(sorted(profiles))}")
    if shadow is not None and settings.strategy == "cascade":
        yield top["shadow"].error("is for `strategy: single`; what a cascade would do depends on answers nobody gave")
    if settings.canary is not None and shadow is not None:
        yield top["canary"].error("has no traffic where `shadow` keeps it for the incumbent; remove one of the two")
