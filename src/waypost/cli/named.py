"""What users name on the command line, found: routers, strategies, objectives, tables."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.cli import output
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.gateway.choice.deciding import Deciding
    from waypost.objective import Objective
    from waypost.outcomes import Outcomes

# A comma that no bracket or brace holds.
_COMMA = re.compile(r",(?![^\[]*\]|[^{]*\})")
_SAMPLE = 500


def words(values: Sequence[str]) -> list[str]:
    """The words of a comma-separated option that may also be repeated; a JSON list stays whole.

    >>> words(["knn,ridge", "domain", 'usd=1,allowed=["a","b"]'])
    ['knn', 'ridge', 'domain', 'usd=1', 'allowed=["a","b"]']
    """
    return [word.strip() for value in values for word in _COMMA.split(value) if word.strip()]


def few(prompts: Sequence[str]) -> Sequence[str]:
    """At most 500 of some prompts, from all over: tables are often sorted by group.

    >>> few(["a", "b"]), few(list("abcd") * 250)[:4]
    (['a', 'b'], ['a', 'c', 'a', 'c'])
    """
    return prompts[:: max(1, -(-len(prompts) // _SAMPLE))]


@contextmanager
def one_thread(fits: bool = False) -> Iterator[None]:
    """Multiply matrices on one thread: small products gain nothing from more, and busy cores make threads wait.

    Only what is loaded can be told so; with ``fits`` that is also what routers load when they are fitted.
    """
    from threadpoolctl import threadpool_limits

    for name in ("numpy", *(["scipy.linalg"] if fits else [])):
        importlib.import_module(name)
    with threadpool_limits(1, "blas"):
        yield


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
    """The trade-off of ``--objective usd=…,budget=…,local=…,allowed=a|b``, on top of ``base``.

    >>> objective(["usd=100,local=0.1"]).weights
    {'quality': 1.0, 'usd': 100.0, 'local': 0.1}
    >>> objective(["allowed=small|large"]).allowed
    ('small', 'large')
    """
    from waypost.objective import FLAGS, Objective

    given = pairs(values)
    if isinstance(names := given.get("allowed"), str):
        given["allowed"] = [name.strip() for name in names.split("|")]
    flags = {name: given.pop(name) for name in FLAGS if name in given}
    return Objective.from_mapping({**given, **({"flags": flags} if flags else {})}, base)


def table(path: Path | None, format: str) -> tuple[str, Outcomes]:
    """A table and its name: the file's, or the one that is shipped."""
    from waypost.outcomes import readers

    if path is not None:
        return path.stem, readers.read(format, [path], output.say)[0]
    from waypost import embedded

    return "embedded", readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")])[0]


def pool(config: Path | None, folder: Path | None) -> tuple[Deciding, Objective]:
    """What decides for the models of a config, or a router (or a head) saved in a folder; and the default trade-off.

    A folder without a config brings its own models, of which only the names may be known.
    """
    from waypost import routers
    from waypost.gateway import settings
    from waypost.gateway.choice.deciding import deciding
    from waypost.types import ModelCard

    found = settings.load(config)
    cards = {model.name: model.card for model in found.models if model.missing is None}
    if folder and config is None:
        cards = {name: cards.get(name, ModelCard(name)) for name in routers.load(folder).models}
    return deciding(found, cards, folder), found.profiles["default"]


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


def own_class(spec: str, seed: int = 0) -> Any:
    """An instance of the user's class, written ``package.module:Class``; the working folder is searched too.

    The seed goes to a class whose constructor has a ``seed``.
    """
    module_name, _, class_name = spec.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise BadInput(f"--router {spec} must be written package.module:Class")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except (ImportError, SyntaxError) as error:
        raise BadInput(f"cannot import '{module_name}' for --router {spec}: {error}") from error
    lacking = [name for name in ("fit", "predict") if not callable(getattr(found, name, None))]
    if not isinstance(found, type) or lacking:
        raise BadInput(f"--router {spec} must be a class with fit and predict; {module_name} has {found!r}")
    given = {"seed": seed} if "seed" in inspect.signature(found).parameters else {}
    needed = [p.name for p in inspect.signature(found).parameters.values() if _needed(p) and p.name not in given]
    if needed:
        raise BadInput(f"--router {spec} is made without arguments; give {', '.join(needed)} a default in its __init__")
    return found(**given)


def _needed(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic


def _value(text: str) -> Any:
    import orjson

    # As Python, and `waypost systems`, write what JSON writes true, false and null.
    text = {"True": "true", "False": "false", "None": "null"}.get(text, text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
