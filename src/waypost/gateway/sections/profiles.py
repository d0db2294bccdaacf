"""``profiles:`` and ``calibration:`` named objectives, and the one that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from waypost.errors import BadConfig, BadInput, BadRequest, UnknownModel
from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import PATH, REFERENCE, Kind, described, named, object_of
from waypost.objective import FLAGS, Objective
from waypost.outcomes.calibration import Calibration

SAYS: Mapping[str, str] = {
    "quality": "Weight of the expected quality.",
    "usd": "Points of quality per USD: at 100, a cent is worth one full point.",
    "seconds": "Points of quality per second.",
    "risk": "Points of quality per standard deviation of the router's doubt.",
    "min_quality": "Models that are expected below it are not chosen, unless all are; 0 to 1.",
    "budget": "Mean USD per query to stay within; it becomes a weight of `usd`.",
    "allowed": "The only models to choose from.",
    "flags": "Points for what a model is: " + ", ".join(FLAGS) + ".",
    "bias": "Points for a model, or against it.",
}


def _profile(entry: Entry) -> Objective:
    given = entry.fields()
    name = entry.field.removeprefix("profiles.")
    try:
        return Objective.from_mapping(entry.plain())
    except BadRequest as error:
        place = given.get(error.field.partition(".")[0], entry)
        if place is not entry and (names := place.referred()):
            # The error says what came, and what comes out of the environment may be a key.
            problem = f"'{error.field}' cannot be used, got the value of {', '.join(names)}"
            raise BadConfig(f"{place.where}: profile '{name}': {problem}") from None
        raise BadConfig(f"{place.where}: profile '{name}': {error}") from error


def _calibration(entry: Entry) -> Calibration:
    try:
        return Calibration.read(entry.path())
    except BadInput as error:
        raise entry.error(f"cannot be used: {error}") from error


def _schema() -> dict[str, Any]:
    number = {"anyOf": [{"type": "number", "minimum": 0}, REFERENCE]}
    special: dict[str, dict[str, Any]] = {
        "min_quality": {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, REFERENCE]},
        "budget": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, REFERENCE]},
        "allowed": {
            "anyOf": [{"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}, {"type": "null"}]
        },
        "flags": object_of(dict.fromkeys(FLAGS, number)),
        "bias": {"type": "object", "additionalProperties": {"anyOf": [{"type": "number"}, REFERENCE]}},
    }
    names = [f.name for f in fields(Objective) if f.name in SAYS]
    kinds = {name: Kind(Entry.plain, special.get(name, number)) for name in names}
    return object_of({name: described(kind, SAYS[name], nullable=False) for name, kind in kinds.items()})


PROFILES = named(Kind(_profile, _schema()))
CALIBRATION = Kind(_calibration, PATH.schema)


def strange_profiles(
    top: Mapping[str, Entry], models: Sequence[str], profiles: Mapping[str, Objective]
) -> Iterator[BadConfig]:
    """Where profiles name models that are not there."""
    for name, objective in profiles.items():
        given = top["profiles"].fields()[name].fields()
        for said, unknown in _strangers(objective, models):
            yield BadConfig(f"{given[said].where}: profile '{name}': '{said}': {unknown}")


def strange_calibration(entry: Entry, models: Sequence[str], found: Calibration) -> Iterator[BadConfig]:
    """Whether a calibration speaks of models that are not there."""
    try:
        objective = Objective.from_mapping(found.objective)
    except BadInput as error:
        yield entry.error(f"cannot be used: {error}")
        return
    for _, unknown in _strangers(objective, models):
        yield entry.error(f"speaks of a model that is not here: {unknown}")


def _strangers(objective: Objective, models: Sequence[str]) -> Iterator[tuple[str, UnknownModel]]:
    """Where an objective names models that are not there, and what to say of them."""
    for said, named_there in (("allowed", objective.allowed or ()), ("bias", objective.bias)):
        yield from ((said, UnknownModel(model, models)) for model in named_there if model not in models)
