"""The models of a pool and the ways to reach them, one file each; `KINDS` is the only registry."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from waypost.errors import BadInput, nearest
from waypost.pool.anthropic import Anthropic
from waypost.pool.arithmetic import Arithmetic
from waypost.pool.encoder import LocalEncoder
from waypost.pool.gguf import Gguf
from waypost.pool.openai_http import OpenAI
from waypost.pool.replay import Replay
from waypost.pool.translate import Translate
from waypost.types import Model, ModelCard

KINDS: Mapping[str, type] = {
    "openai": OpenAI,
    "anthropic": Anthropic,
    "gguf": Gguf,
    "arithmetic": Arithmetic,
    "translate": Translate,
    "encoder": LocalEncoder,
    "replay": Replay,
}

__all__ = ["KINDS", "make", "settings_of"]


def settings_of(kind: str) -> dict[str, bool]:
    """The settings that a kind takes, each with whether it is required.

    Raises:
        BadInput: no such kind, with the nearest name.

    >>> settings_of("gguf")
    {'path': True, 'template': False, 'slots': False, 'threads': False}
    """
    if kind not in KINDS:
        raise BadInput(f"no kind of model '{kind}'; there are {', '.join(KINDS)}.{nearest(kind, KINDS)}")
    parameters = list(inspect.signature(KINDS[kind]).parameters.values())[1:]
    return {p.name: p.default is inspect.Parameter.empty for p in parameters}


def make(kind: str, card: ModelCard, settings: Mapping[str, Any]) -> Model:
    """A model of a kind; nothing is opened, loaded or called yet.

    Raises:
        BadInput: an unknown kind or setting, with the nearest name, or a setting that is missing or out of range.

    >>> make("arithmetic", ModelCard("sums"), {}).card.name
    'sums'
    """
    known = settings_of(kind)
    for name in settings:
        if name not in known:
            allowed = f"it takes {', '.join(known)}" if known else "it takes none"
            raise BadInput(f"kind '{kind}' has no setting '{name}'; {allowed}.{nearest(name, known)}")
    for name, required in known.items():
        if required and name not in settings:
            raise BadInput(f"'{card.name}': kind '{kind}' needs the setting '{name}'")
    model: Model = KINDS[kind](card, **settings)
    return model
