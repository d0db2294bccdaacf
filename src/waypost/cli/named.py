"""What users name on the command line, found: routers, strategies, objectives, tables."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.cli import output
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.objective import Objective
    from waypost.outcomes import Outcomes
    from waypost.types import Strategy


@dataclass(frozen=True)
class Pool:
    """What decides for a pool, what that expects of the models, and the trade-off when none is given."""

    router: Any
    strategy: Strategy
    default: Objective


def words(values: Sequence[str]) -> list[str]:
    """The words of a comma-separated option that may also be repeated.

    >>> words(["knn,ridge", "domain"])
    ['knn', 'ridge', 'domain']
    """
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def pairs(values: Sequence[str]) -> dict[str, Any]:
    """``name=value`` texts with their values as numbers, booleans or JSON where they are such.

    >>> pairs(["k=40", "name=x,cold=true"])
    {'k': 40, 'name': 'x', 'cold': True}
    """
    found: dict[str, Any] = {}
    for word in words(values):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadInput(f"'{word}' must be written name=value")
        found[name] = _value(value)
    return found


def objective(values: Sequence[str], base: Objective | None = None) -> Objective:
    """The trade-off of ``--objective usd=…,seconds=…,local=…``, on top of ``base``: weights, least quality, flags.

    >>> objective(["usd=100,local=0.1"]).weights
    {'quality': 1.0, 'usd': 100.0, 'local': 0.1}
    """
    from waypost.objective import FLAGS, Objective

    given = pairs(values)
    flags = {name: given.pop(name) for name in FLAGS if name in given}
    return Objective.from_mapping({**given, **({"flags": flags} if flags else {})}, base)


def table(path: Path | None, format: str) -> tuple[str, Outcomes]:
    """A table and its name: the file's, or the one that is shipped."""
    from waypost.outcomes import readers

    if path is not None:
        return path.stem, readers.read(format, [path], output.say)[0]
    from waypost import embedded

    return "embedded", readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")])[0]


def pool(config: Path | None, folder: Path | None) -> Pool:
    """The models of a config with its strategy, or with a router (or a cascade's head) saved in a folder.

    A folder without a config brings its own models, of which only the names may be known.
    """
    from waypost import routers
    from waypost.gateway import settings
    from waypost.gateway.deciding import deciding
    from waypost.types import ModelCard

    found = settings.load(config)
    cards = {model.name: model.card for model in found.models if model.missing is None}
    if folder and config is None:
        cards = {name: cards.get(name, ModelCard(name)) for name in routers.load(folder).models}
    chosen = deciding(found, cards, folder)
    return Pool(chosen.router, chosen.strategy, found.profiles["default"])


def new_router(name: str, settings: Mapping[str, Any], seed: int) -> Any:
    """A router or the cascade's head by name, not fitted; ``seed`` goes to those that draw numbers.

    Raises:
        BadInput: an unknown name or setting, with the nearest one.
    """
    from waypost import encoders, routers

    given = dict(settings)
    if "seed" in inspect.signature(routers.KINDS.get(name, object)).parameters:
        given.setdefault("seed", seed)
    if isinstance(given.get("encoder"), str):
        given["encoder"] = encoders.named(given["encoder"])
    return routers.make(name, **given)


def own_class(spec: str) -> Any:
    """An instance of the user's class, written ``package.module:Class``; the working folder is searched too."""
    module_name, _, class_name = spec.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError as error:
        raise BadInput(f"cannot import '{module_name}' for --router {spec}: {error}") from error
    lacking = [name for name in ("fit", "predict") if not callable(getattr(found, name, None))]
    if not isinstance(found, type) or lacking:
        raise BadInput(f"--router {spec} must be a class with fit and predict; {module_name} has {found!r}")
    return found()


def _value(text: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
