"""A fitted router on disk: ``router.json`` (settings, names, numbers) and ``weights.safetensors`` (arrays).

Beside them may lie ``sample.safetensors``: what the router predicts for some prompts, on which budgets are solved.

A router is a dataclass: the fields of its constructor are its settings, the others are what it learned.  Nothing
is ever unpickled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from waypost.encoders import named
from waypost.errors import BadInput, NotFitted, NotInstalled, nearest
from waypost.types import Prediction

FORMAT = 1


def save(router: Any, folder: Path, *, kind: str) -> None:
    """Write a fitted router; ``kind`` is its name in the registry.

    Raises:
        NotFitted: there is nothing to save yet.
    """
    from safetensors.numpy import save as serialise

    if not router.models:
        raise NotFitted(f"router '{kind}'")
    settings, learned, arrays = {}, {}, {}
    for field in dataclasses.fields(router):
        value = getattr(router, field.name)
        if field.name == "encoder":
            settings["encoder"] = value.name
        elif field.init:
            settings[field.name] = value
        elif isinstance(value, np.ndarray):
            arrays[field.name] = np.ascontiguousarray(value)
        else:
            learned[field.name] = value
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
    fields = {field.name for field in dataclasses.fields(router) if not field.init}
    if unknown := (learned.keys() | arrays.keys()) ^ fields:
        raise BadInput(f"{folder} does not hold what a '{kind}' learns ({', '.join(sorted(unknown))}); train it again")
    for name, value in learned.items():
        setattr(router, name, tuple(value) if isinstance(value, list) else value)
    for name, array in arrays.items():
        setattr(router, name, array)
    return router


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
