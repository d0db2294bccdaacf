"""``models:`` the pool; what a kind of model takes is what the constructor of its class takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from waypost.errors import BadInput
from waypost.gateway.entry import Entry
from waypost.gateway.sections.kinds import (
    DAY,
    FLAG,
    PATH,
    SECRET,
    TEXT,
    Kind,
    Mistakes,
    described,
    list_of,
    number,
    object_of,
    one_of,
    read_fields,
    whole_number,
)
from waypost.gateway.sections.limits import LIMITS
from waypost.pool import KINDS
from waypost.pool.catalogue import LOCAL
from waypost.pool.download import cache_folder, location
from waypost.store.limits import Limits
from waypost.types import ModelCard

CAPABILITIES = ("json", "tools", "vision")
# Recorded answers are for tests and evaluation; they cannot stand in a config.
CONFIGURABLE = tuple(kind for kind in KINDS if kind != "replay")

_BUILTIN = "builtin:"
# Names travel in headers and in lists there, and "auto" is taken.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_PER_MTOK = tuple(f"usd_per_mtok_{what}" for what in ("in", "out", "cached", "written", "reasoning"))


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model: its card, the settings of its kind, and where the file says so.

    ``missing`` says which variable an optional model lacks; such a model is known, and cannot be called.
    """

    name: str
    kind: str
    card: ModelCard
    settings: Mapping[str, Any]
    where: str
    missing: str | None = None
    limits: Limits | None = None


def _models(entry: Entry) -> tuple[ModelSettings, ...]:
    models: dict[str, ModelSettings] = {}
    mistakes = Mistakes()
    for item in entry.items():
        with mistakes.kept():
            model = _model(item)
            if model.name in models:
                first = models[model.name].where
                raise item.error(f"has the name '{model.name}', which {first} has too; names are unique")
            models[model.name] = model
    mistakes.tell()
    if not models:
        raise entry.error("must have at least one model")
    return tuple(models.values())


def _model(entry: Entry) -> ModelSettings:
    given = entry.fields()
    for needed in ("name", "kind"):
        if needed not in given:
            raise entry.error(f"needs `{needed}`")
    kind = given["kind"].one_of(CONFIGURABLE)
    kinds, required = _settings(kind)
    optional = "optional" in given and given["optional"].flag()
    missing = entry.variables() if optional else ()
    known = {**_EVERY, **kinds, **_CARD}
    if missing:
        entry.fields(known)
        values: dict[str, Any] = {"name": _NAMED.read(given["name"])}
    else:
        values = read_fields(entry, known)
    for setting in required:
        if setting not in given:
            raise entry.error(f"is of kind '{kind}', which needs `{setting}`")
    stated = {name: value for name, value in values.items() if name in _CARD}
    if "usd_per_call" in stated and stated.keys().isdisjoint(_PER_MTOK):
        # A price a call is the whole price, unless something is said of tokens too.
        stated |= dict.fromkeys(_PER_MTOK, 0.0)
    return ModelSettings(
        name=values["name"],
        kind=kind,
        card=replace(_known(values["name"], kind, given), **stated),
        settings=MappingProxyType({name: value for name, value in values.items() if name in kinds}),
        where=entry.where,
        limits=values.get("limits"),
        missing=f"the environment variable {missing[0]} is not set" if missing else None,
    )


def _settings(kind: str) -> tuple[dict[str, Kind], list[str]]:
    """What a kind of model takes, and what it must be given."""
    wanted = [p for p in inspect.signature(KINDS[kind]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    kinds = {p.name: _BY_ANNOTATION[str(p.annotation).removesuffix(" | None")] for p in wanted}
    return kinds, [p.name for p in wanted if p.default is inspect.Parameter.empty]


def _name(entry: Entry) -> str:
    name = entry.text()
    if not _NAME.fullmatch(name):
        raise entry.error(f"must be made of letters, digits and . _ : / @ + -, got {entry.got()}")
    if name == "auto" or name.startswith("auto:"):
        raise entry.error(f"cannot be '{name}': that is how clients ask for the router's choice")
    return name


def _known(name: str, kind: str, given: Mapping[str, Entry]) -> ModelCard:
    """What the catalogue says of a model, by the name of its weights, its own, or its kind."""
    path = given["path"].written if "path" in given else ""
    for key in (path.removeprefix(_BUILTIN), name, kind):
        if key in LOCAL and kind in ("gguf", key):
            return replace(LOCAL[key], name=name)
    if kind in ("openai", "anthropic"):
        # What a provider's model can do is for the config to narrow: when in doubt it is asked, and may refuse.
        return ModelCard(name, capabilities=frozenset(CAPABILITIES))
    return ModelCard(name, local=True)


def _path(entry: Entry) -> Path:
    text = entry.text()
    if not text.startswith(_BUILTIN):
        return entry.path()
    try:
        return location(text.removeprefix(_BUILTIN), cache_folder(entry.env))
    except BadInput as error:
        raise entry.error(f"is '{text}': {error}") from error


_NAMED = Kind(_name, {"type": "string", "pattern": rf"^(?!auto$|auto:){_NAME.pattern}$|^\$\{{"})
_EVERY: Mapping[str, Kind] = {"name": _NAMED, "kind": one_of(CONFIGURABLE), "optional": FLAG, "limits": LIMITS}
_BY_ANNOTATION: Mapping[str, Kind] = {
    "Secret": SECRET,
    "Path": Kind(_path, PATH.schema),
    "int": whole_number(),
    "float": number(least=0.0),
    "bool": FLAG,
    "str": TEXT,
    "tuple[str, ...]": list_of(TEXT),
}
_WORDS = list_of(one_of(CAPABILITIES))
_CARD: Mapping[str, Kind] = {
    **dict.fromkeys(_PER_MTOK, number(least=0.0)),
    "usd_per_call": number(least=0.0),
    "context": whole_number(least=1),
    "parameters": number(least=0.0),
    "answer_tokens": number(least=1.0),
    "released": DAY,
    "open": FLAG,
    "local": FLAG,
    "capabilities": Kind(lambda entry: frozenset(_WORDS.read(entry)), _WORDS.schema),
    "domains": list_of(TEXT),
    "description": TEXT,
}
SAYS: Mapping[str, str] = {
    "name": "What clients ask for; letters, digits and . _ : / @ + -.",
    "kind": "How the model is reached.",
    "optional": "Whether the gateway starts without the model's environment variables; it cannot be called then.",
    "limits": "The most that all callers together may ask of it, and spend on it.",
    "base_url": "The provider's address, up to and including /v1 where it speaks OpenAI's protocol.",
    "api_key": "The environment variable that holds the provider's key, as ${NAME}.",
    "upstream": "What the provider calls the model; else its name here.",
    "apis": "Which of OpenAI's APIs the endpoint has for the model: chat, completions, embeddings, responses.",
    "encoder": "The encoder that makes the vectors: static-256 or minilm.",
    "timeout": "Seconds for the whole answer, streamed or not.",
    "connect_timeout": "Seconds until the connection stands.",
    "first_byte_timeout": "Seconds until the first byte of a streamed answer.",
    "idle_timeout": "Seconds between two bytes of an answer.",
    "path": "The model's GGUF file, or builtin: and the name of one that Waypost fetches.",
    "template": "The chat template by name; else the file's own.",
    "slots": "Answers that are written at once.",
    "threads": "Threads that compute; else half of the cores.",
    "usd_per_mtok_in": "USD per million tokens of input.",
    "usd_per_mtok_out": "USD per million tokens of output.",
    "usd_per_mtok_cached": "USD per million tokens read from the provider's prompt cache.",
    "usd_per_mtok_written": "USD per million tokens written to the provider's prompt cache.",
    "usd_per_mtok_reasoning": "USD per million tokens that are thought and not shown.",
    "usd_per_call": "USD per call; alone it means that tokens cost nothing beyond it.",
    "context": "The longest prompt and answer together, in tokens.",
    "parameters": "Size in billions of parameters.",
    "answer_tokens": "Length of a typical answer, in tokens.",
    "released": "When the model came out, as 2024-10-31.",
    "open": "Whether its weights are open.",
    "local": "Whether it runs on machines of ours.",
    "capabilities": "What it can do: json, tools, vision.",
    "domains": "What it is good at, in words of yours.",
    "description": "One line for people, shown in /v1/models.",
}


def _schema() -> dict[str, Any]:
    choices = []
    for kind in CONFIGURABLE:
        kinds, required = _settings(kind)
        fields = {
            name: described(one, SAYS.get(name, ""), nullable=name not in ("name", "kind", *required))
            for name, one in {**_EVERY, **kinds, **_CARD}.items()
        }
        fields["kind"] = {"description": SAYS["kind"], "const": kind}
        choices.append(object_of(fields, ["name", "kind", *required]))
    return {"type": "array", "minItems": 1, "items": {"oneOf": choices}}


MODELS = Kind(_models, _schema())
