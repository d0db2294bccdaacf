"""Which strategy a config asks for, and what that decides by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waypost import routers
from waypost.errors import BadConfig, BadInput, NotInstalled
from waypost.gateway.settings import EMBEDDED, Settings
from waypost.objective import Objective
from waypost.routers import Cheapest, Head, Router
from waypost.strategies import Cascade, Single
from waypost.types import ModelCard, Prediction, Strategy

BUILTIN = EMBEDDED / "router"


@dataclass(frozen=True, slots=True)
class Deciding:
    """A strategy with its router (or a cascade's head), the words for it, and the cards of the pool.

    ``sample`` is what the router expects of prompts of the kind that it will see, where it was saved with some.
    """

    strategy: Strategy
    router: Router
    words: str
    cards: Mapping[str, ModelCard]
    sample: Prediction | None

    @property
    def known(self) -> Sequence[str]:
        """Models that it can choose."""
        return self.router.models

    def solved(self, objective: Objective) -> Objective:
        """The objective with its budget turned into a weight; a cascade's is that of calling one model.

        Raises:
            BadInput: the budget cannot be kept, or there is no sample to solve it on.
        """
        if objective.budget is None:
            return objective
        if self.sample is None:
            raise BadInput(f"a budget is solved on a sample, and router {self.words} was saved without; train it again")
        return objective.solved(self.sample, self.cards)


def deciding(settings: Settings, cards: Mapping[str, ModelCard], folder: Path | None = None) -> Deciding:
    """What decides for the models of a config, or what was saved in ``folder`` instead.

    Models that only make embeddings are never chosen among: vectors of different models cannot be compared.

    Raises:
        NotInstalled: a saved router is missing.
        BadConfig: a head stands where a router must, or the reverse, or it knows none of the models.
    """
    cards = {name: card for name, card in cards.items() if card.apis != {"embeddings"}} or cards
    if folder is not None:
        return _saved(folder, cards, str(folder))
    chosen = _configured(settings, cards)
    if not set(cards) & set(chosen.known):
        where = settings.places.get("head" if settings.strategy == "cascade" else "router", settings.file)
        raise BadConfig(
            f"{where}: {chosen.words} knows {', '.join(chosen.known)} and none of the models here, which are "
            f"{', '.join(cards)}; train one on outcomes of these, or say `router: cheapest`"
        )
    return chosen


def _configured(settings: Settings, cards: Mapping[str, ModelCard]) -> Deciding:
    if settings.strategy == "cascade" and settings.head is not None:
        chosen = _saved(settings.head, cards, str(settings.head))
        if not isinstance(chosen.router, Head):
            raise BadConfig(f"{settings.file}: 'head' must hold a cascade's head, {settings.head} holds a router")
        return chosen
    if settings.router == "cheapest":
        return _cheapest(cards)
    if settings.router is None:
        return _unsaid(cards)
    chosen = _saved(BUILTIN if settings.router == "builtin" else Path(settings.router), cards, str(settings.router))
    if isinstance(chosen.router, Head):
        words = f"{settings.file}: {chosen.words} holds a cascade's head"
        raise BadConfig(f"{words}; say `strategy: cascade`, `head: {chosen.words}`")
    return chosen


def _saved(folder: Path, cards: Mapping[str, ModelCard], words: str) -> Deciding:
    loaded = routers.load(folder)
    strategy = Cascade(loaded, cards) if isinstance(loaded, Head) else Single(loaded, cards)
    return Deciding(strategy, loaded, words, cards, routers.load_sample(folder, loaded.models))


def _cheapest(cards: Mapping[str, ModelCard]) -> Deciding:
    router = Cheapest.from_cards(cards)
    return Deciding(Single(router, cards), router, "cheapest", cards, router.predict(["any prompt"]))


def _unsaid(cards: Mapping[str, ModelCard]) -> Deciding:
    """The built-in router, unless it knows nothing of some model: it would never choose that, and nobody asked so."""
    try:
        builtin = _saved(BUILTIN, cards, "builtin")
    except NotInstalled:
        return _cheapest(cards)
    return builtin if set(cards) <= set(builtin.known) else _cheapest(cards)
