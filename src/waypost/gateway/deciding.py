"""Which strategy a config asks for, and what that decides by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waypost import routers
from waypost.errors import BadConfig, NotInstalled
from waypost.gateway.settings import EMBEDDED, Settings
from waypost.routers import Cheapest, Escalation, Router
from waypost.strategies import Cascade, Single
from waypost.types import ModelCard, Strategy

BUILTIN = EMBEDDED / "router"


@dataclass(frozen=True, slots=True)
class Deciding:
    """A strategy with its router (or a cascade's head), the words for it, and the models that it knows."""

    strategy: Strategy
    router: Router | Escalation
    words: str

    @property
    def known(self) -> Sequence[str]:
        """Models that it can choose."""
        return self.router.models


def deciding(settings: Settings, cards: Mapping[str, ModelCard], folder: Path | None = None) -> Deciding:
    """What decides for the models of a config, or what was saved in ``folder`` instead.

    Raises:
        NotInstalled: a saved router is missing.
        BadConfig: a head stands where a router must, or the reverse.
    """
    if folder is not None:
        return _of(routers.load(folder), cards, str(folder))
    if settings.strategy == "cascade" and settings.head is not None:
        head = routers.load(settings.head)
        if not isinstance(head, Escalation):
            raise BadConfig(f"{settings.file}: 'head' must hold a cascade's head, {settings.head} holds a router")
        return _of(head, cards, str(settings.head))
    router, words = _router(settings, cards)
    if isinstance(router, Escalation):
        raise BadConfig(f"{settings.file}: {words} holds a cascade's head; say `strategy: cascade`, `head: {words}`")
    return _of(router, cards, words)


def _of(loaded: Router | Escalation, cards: Mapping[str, ModelCard], words: str) -> Deciding:
    strategy = Cascade(loaded, cards) if isinstance(loaded, Escalation) else Single(loaded, cards)
    return Deciding(strategy, loaded, words)


def _router(settings: Settings, cards: Mapping[str, ModelCard]) -> tuple[Router | Escalation, str]:
    if settings.router is None:
        # A router that knows nothing of half the pool would never choose it, and nobody has asked for that.
        try:
            router: Router = routers.load(BUILTIN)
        except NotInstalled:
            return Cheapest.from_cards(cards), "cheapest"
        known = set(cards) <= set(router.models)
        return (router, "builtin") if known else (Cheapest.from_cards(cards), "cheapest")
    if settings.router == "cheapest":
        return Cheapest.from_cards(cards), "cheapest"
    return routers.load(BUILTIN if settings.router == "builtin" else settings.router), str(settings.router)
