"""Routers predict quality, USD and seconds of each model for a prompt; this list of imports is the only registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, Self, get_args, get_type_hints, runtime_checkable

from waypost.errors import BadInput, nearest
from waypost.outcomes import Outcomes
from waypost.routers import storage
from waypost.routers.best_single import BestSingle as BestSingle
from waypost.routers.carrot_encoder import CarrotEncoder as CarrotEncoder
from waypost.routers.carrot_knn import CarrotKNN as CarrotKNN
from waypost.routers.cheapest import Cheapest as Cheapest
from waypost.routers.composition import Composition as Composition
from waypost.routers.descriptor import Descriptor as Descriptor
from waypost.routers.domain import Domain as Domain
from waypost.routers.dual_contrastive import DualContrastive as DualContrastive
from waypost.routers.escalation import Escalation as Escalation
from waypost.routers.hierarchical import Hierarchical as Hierarchical
from waypost.routers.knn import KNN as KNN
from waypost.routers.label import Label as Label
from waypost.routers.lin_ucb import LinUCB as LinUCB
from waypost.routers.mlp import MLP as MLP
from waypost.routers.online import Online as Online
from waypost.routers.parts.answers import Outlook as Outlook
from waypost.routers.preference_encoder import PreferenceEncoder as PreferenceEncoder
from waypost.routers.preference_factors import PreferenceFactors as PreferenceFactors
from waypost.routers.preference_judge import PreferenceJudge as PreferenceJudge
from waypost.routers.preference_similarity import PreferenceSimilarity as PreferenceSimilarity
from waypost.routers.random import Random as Random
from waypost.routers.retrieval import Retrieval as Retrieval
from waypost.routers.ridge import Ridge as Ridge
from waypost.routers.safe_route import SafeRoute as SafeRoute
from waypost.routers.svm import SVM as SVM
from waypost.routers.taxonomy import LEARNS, WHEN, labels
from waypost.routers.thompson import Thompson as Thompson
from waypost.routers.tryage import Tryage as Tryage
from waypost.types import Answer, Prediction


def _registered(found: Mapping[str, object]) -> dict[str, type]:
    """The routers among some names, by the names of their modules: by how they learn, means first."""
    kinds = [kind for kind in found.values() if isinstance(kind, type) and getattr(kind, "when", "") == WHEN[0]]
    kinds.sort(key=lambda kind: LEARNS.index(labels(kind).learns))
    return {kind.__module__.rpartition(".")[2]: kind for kind in kinds}


# To import a router above is to register it: it is known by the name of its module.
ROUTERS: Mapping[str, type] = _registered(globals())
# What is measured when nobody names a router: quick ones, of every kind.
USUAL = ("cheapest", "best_single", "random", "knn", "ridge", "domain", "hierarchical")
# A cascade's head looks at answers too, so it is made and saved like a router but is not one.
HEADS: Mapping[str, type] = {"cascade": Escalation, "safe_route": SafeRoute}
KINDS: Mapping[str, type] = {**ROUTERS, **HEADS}
_NAMES = {kind: name for name, kind in KINDS.items()}


@runtime_checkable
class Router(Protocol):
    """Anything with these members is a router; `waypost.checks` holds what else it promises."""

    models: tuple[str, ...]

    def fit(self, outcomes: Outcomes) -> Self:
        """Learn from a table and return itself."""
        ...

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What each model is expected to do with each prompt; pure, no I/O, no clock."""
        ...


@runtime_checkable
class Head(Router, Protocol):
    """The head of a cascade: a router that, once one model has answered, says what each is worth now."""

    def revise(self, prompt: str, answer: Answer) -> Outlook:
        """What each model is expected to do, given one model's answer; pure, no I/O, no clock."""
        ...


def make(name: str, **settings: Any) -> Any:
    """A fresh router, or a cascade's head, by name.

    Raises:
        BadInput: an unknown name or setting, with the nearest one.

    >>> make("ridge", alpha=3.0).alpha
    3.0
    """
    if name not in KINDS:
        raise BadInput(f"no router '{name}'; there are {', '.join(KINDS)}.{nearest(name, KINDS)}")
    kind: Any = KINDS[name]
    allowed = [f.name for f in fields(kind) if f.init]
    for setting in settings:
        if setting not in allowed:
            known = ", ".join(allowed) or "no settings"
            raise BadInput(f"router '{name}' has no setting '{setting}'; it has {known}.{nearest(setting, allowed)}")
    _check_types(name, kind, settings)
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        raise BadInput(f"router '{name}': {error}") from error


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def _check_types(name: str, kind: type, settings: Mapping[str, Any]) -> None:
    """Settings are written by hand: "2.5" neighbours or a text for a number must not surface as a crash in a fit."""
    hints = get_type_hints(kind)
    for setting, value in settings.items():
        allowed = get_args(hints[setting]) or (hints[setting],)
        fits = type(value) in allowed or (float in allowed and type(value) is int)
        if set(allowed) <= _WORDS.keys() and not fits:
            words = " or ".join(_WORDS[kind] for kind in allowed)
            raise BadInput(f"router '{name}': {setting} must be {words}, got {value!r}")


def name_of(router: object) -> str:
    """A router's name in the registry, or its class's name when it is a user's own."""
    return _NAMES.get(type(router)) or type(router).__name__


def save(router: Router, folder: str | Path, sample: Sequence[str] = ()) -> None:
    """Save a fitted router of the registry as JSON and safetensors.

    With ``sample``, some prompts of the kind that it will see, what it expects of them is kept too, so that a budget
    (mean USD per query) can be solved where it serves.

    Raises:
        NotFitted: there is nothing to save yet.
        BadInput: the router's class is not in the registry, so that no other process could load it.
    """
    if type(router) not in KINDS.values():
        raise BadInput(
            f"'{type(router).__name__}' is not a router of the registry ({', '.join(KINDS)}); save it yourself"
        )
    storage.save(router, Path(folder), kind=name_of(router))
    if sample:
        storage.save_sample(router.predict(sample), Path(folder))


def load(folder: str | Path) -> Any:
    """A saved router, or a cascade's head, by its folder.

    Raises:
        NotInstalled: the folder or one of its files is missing.
        BadInput: the files are not a router of this version.
    """
    return storage.load(Path(folder), KINDS)


def load_sample(folder: str | Path, models: tuple[str, ...]) -> Prediction | None:
    """What a saved router of these models expects of the sample that it was saved with, or None."""
    return storage.load_sample(Path(folder), models)
