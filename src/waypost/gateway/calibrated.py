"""The calibration that a config names: read, and fit for the models there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from waypost.errors import BadInput, UnknownModel
from waypost.gateway.entry import Entry
from waypost.objective import Objective
from waypost.outcomes.calibration import Calibration


def calibration(entry: Entry, models: Sequence[str]) -> Calibration:
    """What lies in the file that an entry names.

    Raises:
        BadConfig: it is missing, no calibration, or speaks of models that the config does not have.
    """
    try:
        found = Calibration.read(entry.path())
        unknown = next(strangers(Objective.from_mapping(found.objective), models), None)
    except BadInput as error:
        raise entry.error(f"cannot be used: {error}") from error
    if unknown is not None:
        raise entry.error(f"speaks of a model that is not here: {unknown[1]}")
    return found


def strangers(objective: Objective, models: Sequence[str]) -> Iterator[tuple[str, UnknownModel]]:
    """Where an objective names models that are not there, and what to say of them."""
    for said, named in (("allowed", objective.allowed or ()), ("bias", objective.bias)):
        yield from ((said, UnknownModel(model, models)) for model in named if model not in models)
