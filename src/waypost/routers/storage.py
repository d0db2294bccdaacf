"""A fitted router on disk: ``router.json`` (settings, names, numbers) and ``weights.safetensors`` (arrays).

Beside them may lie ``sample.safetensors``: what the router predicts for some prompts, on which budgets are solved.

A router is a dataclass: the fields of its constructor are its settings, the others are what it learned: arrays, dicts
of arrays, JSON values, and parts that are dataclasses of these (``costs.heads_DK`` is the array of a part).  Nothing is
ever unpickled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from waypost.encoders import ENCODERS, named
from waypost.errors import BadInput, NotFitted, NotInstalled, nearest
from waypost.types import Prediction

FORMAT = 1


def save(router: Any, folder: Path, *, kind: str) -> None:
    """Write a fitted router; ``kind`` is its name in the registry.

    Raises:
        NotFitted: there is nothing to save yet.
        BadInput: its encoder would not be the same once it is loaded.
    """
    from safetensors.numpy import save as serialise

    if not router.models:
        raise NotFitted(f"router '{kind}'")
    made_of = [field.name for field in dataclasses.fields(router) if field.init]
    settings = {name: _plain(getattr(router, name)) for name in made_of}
    learned, arrays = {}, {}
    for name, value in leaves(router):
        if name in settings:
            continue
        if isinstance(value, np.ndarray):
            arrays[name] = np.ascontiguousarray(value)
        else:
            learned[name] = _plain(value)
    folder.mkdir(parents=True, exist_ok=True)
    # Not by safetensors itself, which makes files that only their owner can read.
    (folder / "weights.safetensors").write_bytes(serialise(arrays))
    facts = {"format": FORMAT, "router": kind, "settings": settings, "learned": learned}
    (folder / "router.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def load(folder: Path, kinds: Mapping[str, type]) -> Any:
    """Read a saved router of one of ``kinds``.

    Raises:
        NotInstalled: the folder or one of its files is missing.
        BadInput: the files are not a router of this version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    kind, settings, learned = _facts(folder, kinds)
    try:
        router = kinds[kind](**settings)
        arrays = load_file(folder / "weights.safetensors")
    except (TypeError, ValueError, SafetensorError) as error:
        raise BadInput(f"{folder} is not a saved '{kind}' that this version can read: {error}") from error
    learns = {name for name, _ in leaves(router)} - {field.name for field in dataclasses.fields(router) if field.init}
    found = {name for name in learned.keys() | arrays.keys() if not _in_dict(router, name)}
    if unknown := found ^ learns:
        raise BadInput(f"{folder} does not hold what a '{kind}' learns ({', '.join(sorted(unknown))}); train it again")
    for name, value in (learned | arrays).items():
        _put(router, name, value)
    return router


def leaves(part: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of all that a router, or a part of one, is made of: parts of parts have dotted names.

    A dict of arrays is one leaf an array, and none when it is empty.
    """
    for field in dataclasses.fields(part):
        name, value = f"{prefix}{field.name}", getattr(part, field.name)
        if dataclasses.is_dataclass(value) and not hasattr(value, "encode"):
            yield from leaves(value, f"{name}.")
        elif isinstance(value, dict) and all(isinstance(one, np.ndarray) for one in value.values()):
            yield from ((f"{name}.{key}", one) for key, one in sorted(value.items()))
        else:
            yield name, value


def _plain(value: Any) -> Any:
    """A value as JSON holds it: an encoder by its name."""
    if isinstance(value, str) or not hasattr(value, "encode"):
        return value
    name = str(getattr(value, "name", type(value).__name__))
    try:
        found: Any = named(name)
    except BadInput:
        found = None
    if type(found) is not type(value) or found.name != name:
        raise BadInput(
            f"a router with the encoder '{name}' ({type(value).__name__}) cannot be saved: only an encoder's name is "
            f"kept, and this one cannot be made again from it. Take {', '.join(ENCODERS)}, or hub:./folder; what a "
            "language model is asked can be set in the routers that ask one"
        )
    return name


def _owner(router: Any, name: str) -> tuple[Any, str]:
    """The part, or the dict of arrays, that holds a leaf, and the leaf's name in it."""
    *path, last = name.split(".")
    for step in path:
        router = getattr(router, step, None)
    return router, last


def _in_dict(router: Any, name: str) -> bool:
    return isinstance(_owner(router, name)[0], dict)


def _put(router: Any, name: str, value: Any) -> None:
    owner, last = _owner(router, name)
    if isinstance(owner, dict):
        owner[last] = value
    elif hasattr(getattr(owner, last), "encode") and not isinstance(getattr(owner, last), str):
        setattr(owner, last, named(value))
    else:
        setattr(owner, last, tuple(value) if isinstance(value, list) else value)


def _facts(folder: Path, kinds: Mapping[str, type]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The kind of a saved router, its settings, and what it learned besides arrays."""
    path = folder / "router.json"
    for file in (path, folder / "weights.safetensors"):
        if not file.is_file():
            raise NotInstalled(
                f"no saved router in {folder} ({file.name} is missing); make one with waypost train --out"
            )
    try:
        facts = orjson.loads(path.read_bytes())
        kind, settings, learned = str(facts["router"]), dict(facts["settings"]), dict(facts["learned"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is not a saved router: {error}") from error
    if facts.get("format") != FORMAT:
        raise BadInput(f"{folder} has format {facts.get('format')}, this version reads {FORMAT}; train it again")
    if kind not in kinds:
        raise BadInput(f"{folder} holds a '{kind}', known are {', '.join(kinds)}.{nearest(kind, kinds)}")
    if "encoder" in settings:
        settings["encoder"] = named(str(settings["encoder"]))
    return kind, settings, learned


def save_sample(sample: Prediction, folder: Path) -> None:
    """Keep a prediction beside a saved router."""
    from safetensors.numpy import save as serialise

    arrays = {name: np.ascontiguousarray(array) for name, array in sample._asdict().items() if name != "models"}
    (folder / "sample.safetensors").write_bytes(serialise(arrays))


def load_sample(folder: Path, models: tuple[str, ...]) -> Prediction | None:
    """The prediction that was kept, or None."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / "sample.safetensors"
    if not path.is_file():
        return None
    try:
        arrays = load_file(path)
        return Prediction(models, *(arrays[name] for name in Prediction._fields[1:]))
    except (SafetensorError, KeyError) as error:
        raise BadInput(f"{path} is not a sample of predictions: {error}; train the router again") from error
