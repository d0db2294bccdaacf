"""A fitted router on disk: ``router.json`` (settings, names, numbers) and ``weights.safetensors`` (arrays).

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
    from safetensors.numpy import load_file

    for name in ("router.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise NotInstalled(f"no saved router in {folder} ({name} is missing); make one with waypost train --out")
    try:
        facts = orjson.loads((folder / "router.json").read_bytes())
        kind, settings, learned = facts["router"], dict(facts["settings"]), facts["learned"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadInput(f"{folder / 'router.json'} is not a saved router: {error}") from error
    if facts.get("format") != FORMAT:
        raise BadInput(f"{folder} has format {facts.get('format')}, this version reads {FORMAT}; train it again")
    if kind not in kinds:
        raise BadInput(f"{folder} holds a '{kind}', known are {', '.join(kinds)}.{nearest(kind, kinds)}")
    if "encoder" in settings:
        settings["encoder"] = named(settings["encoder"])
    try:
        router = kinds[kind](**settings)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{folder / 'router.json'} has settings that a '{kind}' does not take: {error}") from error
    for name, value in learned.items():
        setattr(router, name, tuple(value) if isinstance(value, list) else value)
    for name, array in load_file(folder / "weights.safetensors").items():
        setattr(router, name, array)
    return router
