"""The only reader of YAML and of the environment: a config file becomes `Settings`, or an error that names the line."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from waypost.errors import BadConfig, BadInput, BadRequest
from waypost.gateway.calibrated import calibration, strangers
from waypost.gateway.entry import Entry, Reader, Scalar, read
from waypost.gateway.reliable import ReliabilitySettings, reliability
from waypost.objective import Objective
from waypost.outcomes.calibration import Calibration
from waypost.pool import KINDS
from waypost.pool.catalogue import LOCAL
from waypost.pool.download import cache_folder, location
from waypost.pool.secret import Secret
from waypost.types import ModelCard

EMBEDDED = Path(__file__).parents[1] / "embedded"
CAPABILITIES = ("json", "tools", "vision")
STRATEGIES = ("single", "cascade")
# Recorded answers are for tests and evaluation; they cannot stand in a config.
CONFIGURABLE = tuple(kind for kind in KINDS if kind != "replay")

_DEFAULT = Path("waypost.yaml")
_BUILTIN = "builtin:"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Names travel in headers and in lists there, and "auto" is taken.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_TOP = (
    "models",
    "router",
    "strategy",
    "head",
    "profiles",
    "calibration",
    "server",
    "store",
    "log_prompts",
    "reliability",
)
_PER_MTOK = tuple(f"usd_per_mtok_{what}" for what in ("in", "out", "cached", "written", "reasoning"))
_MOST_NESTED = 20


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


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen, and the limits."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 10_000_000
    max_in_flight: int = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """A config file, read.

    ``router`` is "builtin", "cheapest", a folder, or None: the built-in one if it knows every model, else the
    cheapest.  The objective of a ``calibration`` is the default profile.  ``places`` says where in the file a field
    (``router``) or a profile (``profiles.cheap``) stands.
    """

    file: Path
    models: tuple[ModelSettings, ...]
    router: str | Path | None = None
    strategy: str = "single"
    head: Path | None = None
    profiles: Mapping[str, Objective] = field(default_factory=dict)
    calibration: Calibration | None = None
    server: ServerSettings = ServerSettings()
    store: Path | None = None
    log_prompts: bool = False
    reliability: ReliabilitySettings = field(default_factory=ReliabilitySettings)
    places: Mapping[str, str] = field(default_factory=dict)


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Read a config file; without a path ``waypost.yaml`` here, or else the embedded one.

    ``env`` fills ``${VARIABLE}`` references and is the process's environment unless given.

    Raises:
        BadConfig: the file cannot be used; the sentence names file, line, field, what is allowed and the nearest
            valid name.
    """
    environment = os.environ if env is None else env
    if path is None:
        path = _DEFAULT if _DEFAULT.is_file() else EMBEDDED / "waypost.yaml"
    root = _read(path, environment)
    top = root.fields(_TOP)
    if "models" not in top:
        raise root.error("needs `models`: a list of at least one")
    models = _models(top["models"], environment)
    known = [model.name for model in models]
    profiles = {name: _profile(name, entry, known) for name, entry in _fields(top, "profiles").items()}
    strategy, head = _strategy(top)
    calibrated = _calibration(top, known) if "calibration" in top else None
    default = Objective.from_mapping(calibrated.objective) if calibrated else Objective()
    places = {name: entry.where for name, entry in top.items()}
    places |= {f"profiles.{name}": entry.where for name, entry in _fields(top, "profiles").items()}
    return Settings(
        file=path,
        models=models,
        router=_router(top["router"]) if "router" in top else None,
        strategy=strategy,
        head=head,
        profiles=MappingProxyType({"default": default, **profiles}),
        calibration=calibrated,
        server=_server(top["server"]) if "server" in top else ServerSettings(),
        store=_store(top["store"]) if "store" in top and not top["store"].is_null() else None,
        log_prompts=top["log_prompts"].flag() if "log_prompts" in top else False,
        reliability=reliability(top["reliability"]) if "reliability" in top else ReliabilitySettings(),
        places=MappingProxyType(places),
    )


def _read(path: Path, env: Mapping[str, str]) -> Entry:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadConfig(f"cannot read the config {path}: {error.strerror}; `waypost init` writes one") from error
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: the file must be UTF-8 text; byte {error.start} is not") from error
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise BadConfig(f"{path}:{line}: this is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise BadConfig(f"{path}: this is not YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise BadConfig(f"{path}: the file is empty; it needs `models`, and `waypost init` writes an example")
    return _Tree(path, env, loader).entry(node, "", 0)


@dataclass(frozen=True, slots=True)
class _Tree:
    """Turns YAML's node tree, which knows its lines, into entries."""

    file: Path
    env: Mapping[str, str]
    loader: Any

    def entry(self, node: yaml.Node, name: str, depth: int) -> Entry:
        line = node.start_mark.line + 1
        if depth > _MOST_NESTED:
            raise BadConfig(f"{self.file}:{line}: '{name}' is nested more than {_MOST_NESTED} levels deep")
        if isinstance(node, yaml.MappingNode):
            return Entry(self.file, line, name or "config", self._fields(node, name, depth))
        if isinstance(node, yaml.SequenceNode):
            items = [self.entry(item, f"{name}[{i}]", depth + 1) for i, item in enumerate(node.value)]
            return Entry(self.file, line, name or "config", items)
        return self._scalar(node, name or "config", line)

    def _fields(self, node: yaml.MappingNode, name: str, depth: int) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadConfig(f"{self.file}:{line}: '{name or 'config'}' has a field whose name is not text")
            full = f"{name}.{key.value}" if name else key.value
            if key.value in found:
                first = found[key.value].line
                raise BadConfig(f"{self.file}:{line}: '{full}' stands twice, first at line {first}; keep one")
            # The key's line, not the value's: that is where the eye looks for a field.
            found[key.value] = replace(self.entry(value, full, depth + 1), line=line)
        return found

    def _scalar(self, node: Any, name: str, line: int) -> Entry:
        text: str = node.value
        names = tuple(_REFERENCE.findall(text))
        if not names:
            return Entry(self.file, line, name, self._typed(node.tag, text, node), written=text)
        filled = _REFERENCE.sub(lambda match: self.env.get(match[1], ""), text)
        whole = _REFERENCE.fullmatch(text) is not None
        # In {braces} YAML wants a reference in quotes, which then do not make a number a text.
        tag = self.loader.resolve(yaml.ScalarNode, filled, (True, False)) if whole else node.tag
        return Entry(
            self.file,
            line,
            name,
            self._typed(tag, filled, node),
            written=filled,
            names=names,
            # An empty variable is as good as none: no field of ours may be empty.
            unset=tuple(n for n in names if not self.env.get(n)),
            whole=whole,
        )

    def _typed(self, tag: str, text: str, node: yaml.Node) -> Scalar:
        try:
            value: Scalar = self.loader.construct_object(yaml.ScalarNode(tag, text, node.start_mark, node.end_mark))
        except (yaml.YAMLError, ValueError):
            return text
        return value


def _models(entry: Entry, env: Mapping[str, str]) -> tuple[ModelSettings, ...]:
    models: dict[str, ModelSettings] = {}
    for item in entry.items():
        model = _model(item, env)
        if model.name in models:
            raise item.error(f"has the name '{model.name}', which {models[model.name].where} has too; names are unique")
        models[model.name] = model
    if not models:
        raise entry.error("must have at least one model")
    return tuple(models.values())


def _model(entry: Entry, env: Mapping[str, str]) -> ModelSettings:
    given = entry.fields()
    for needed in ("name", "kind"):
        if needed not in given:
            raise entry.error(f"needs `{needed}`")
    name, kind = _name(given["name"]), given["kind"].one_of(CONFIGURABLE)
    wanted = inspect.signature(KINDS[kind]).parameters
    readers = {n: _reader(str(p.annotation), env) for n, p in wanted.items() if p.kind is p.KEYWORD_ONLY}
    entry.fields(("name", "kind", "optional", *readers, *_CARD))
    optional = "optional" in given and given["optional"].flag()
    missing = entry.variables() if optional else ()
    settings = {} if missing else read(given, readers)
    for setting in readers:
        if wanted[setting].default is inspect.Parameter.empty and setting not in given:
            raise entry.error(f"is of kind '{kind}', which needs `{setting}`")
    stated = {} if missing else read(given, _CARD)
    if "usd_per_call" in stated and stated.keys().isdisjoint(_PER_MTOK):
        # A price a call is the whole price, unless something is said of tokens too.
        stated |= dict.fromkeys(_PER_MTOK, 0.0)
    card = replace(_known(name, kind, given), **stated)
    return ModelSettings(
        name=name,
        kind=kind,
        card=card,
        settings=MappingProxyType(settings),
        where=entry.where,
        missing=f"the environment variable {missing[0]} is not set" if missing else None,
    )


def _name(entry: Entry) -> str:
    name = entry.text()
    if not _NAME.fullmatch(name):
        raise entry.error(f"must be made of letters, digits and . _ : / @ + -, got '{name}'")
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


def _reader(annotation: str, env: Mapping[str, str]) -> Reader:
    """How to read a setting, by what the constructor of its kind says it takes."""
    readers: dict[str, Reader] = {
        "Secret": _secret,
        "Path": lambda entry: _path(entry, env),
        "int": Entry.whole_number,
        "float": lambda entry: entry.number(least=0.0),
        "bool": Entry.flag,
        "str": Entry.text,
    }
    return readers[annotation.removesuffix(" | None")]


def _secret(entry: Entry) -> Secret:
    if not entry.whole:
        raise entry.error("must name an environment variable, like ${OPENAI_API_KEY}; keys never stand in this file")
    return Secret(entry.text())


def _path(entry: Entry, env: Mapping[str, str]) -> Path:
    text = entry.text()
    if not text.startswith(_BUILTIN):
        return entry.path()
    try:
        return location(text.removeprefix(_BUILTIN), cache_folder(env))
    except BadInput as error:
        raise entry.error(f"is '{text}': {error}") from error


def _capabilities(entry: Entry) -> frozenset[str]:
    return frozenset(item.one_of(CAPABILITIES) for item in entry.items())


_CARD: Mapping[str, Reader] = {
    **dict.fromkeys(_PER_MTOK, lambda entry: entry.number(least=0.0)),
    "usd_per_call": lambda entry: entry.number(least=0.0),
    "context": lambda entry: entry.whole_number(least=1),
    "parameters": lambda entry: entry.number(least=0.0),
    "answer_tokens": lambda entry: entry.number(least=1.0),
    "released": Entry.day,
    "open": Entry.flag,
    "local": Entry.flag,
    "capabilities": _capabilities,
    "domains": lambda entry: tuple(item.text() for item in entry.items()),
    "description": Entry.text,
}


def _fields(top: Mapping[str, Entry], name: str) -> dict[str, Entry]:
    return top[name].fields() if name in top and not top[name].is_null() else {}


def _profile(name: str, entry: Entry, models: Sequence[str]) -> Objective:
    given = entry.fields()
    try:
        objective = Objective.from_mapping(entry.plain())
    except BadRequest as error:
        place = given.get(error.field, entry)
        raise BadConfig(f"{place.where}: profile '{name}': {error}") from error
    for said, unknown in strangers(objective, models):
        raise BadConfig(f"{given[said].where}: profile '{name}': '{said}': {unknown}")
    return objective


def _calibration(top: Mapping[str, Entry], models: Sequence[str]) -> Calibration:
    """What says how to choose by default, so that nothing else may."""
    entry = top["calibration"]
    if "default" in _fields(top, "profiles"):
        raise entry.error("is the default profile, and `profiles` has a `default` too; remove one")
    if "head" in top:
        raise entry.error("is of a router, and a cascade chooses by its `head`; remove one")
    return calibration(entry, models)


def _strategy(top: Mapping[str, Entry]) -> tuple[str, Path | None]:
    """The strategy and, of a cascade, its head; what the strategy would not look at is refused."""
    if "strategy" not in top or top["strategy"].one_of(STRATEGIES) == "single":
        if "head" in top:
            raise top["head"].error("is only for `strategy: cascade`; say that too, or remove it")
        return "single", None
    if "head" not in top:
        raise top["strategy"].error("needs `head`: the folder of a head saved by `waypost train --router cascade`")
    if "router" in top:
        raise top["router"].error("is only for `strategy: single`; a cascade chooses by its `head`, so remove one")
    return "cascade", top["head"].path()


def _router(entry: Entry) -> str | Path:
    text = entry.text()
    if text in ("builtin", "cheapest"):
        return text
    if not entry.path().is_dir():
        raise entry.error(f"must be builtin, cheapest, or a folder saved by `waypost train`; there is no '{text}'")
    return entry.path()


def _server(entry: Entry) -> ServerSettings:
    readers: dict[str, Reader] = {
        "host": Entry.text,
        "port": lambda port: port.whole_number(0, 65535),
        "max_body_bytes": lambda limit: limit.whole_number(least=1),
        "max_in_flight": lambda limit: limit.whole_number(least=1),
    }
    return ServerSettings(**read(entry.fields(f.name for f in fields(ServerSettings)), readers))


def _store(entry: Entry) -> Path:
    # The embedded config lies in the installed package, which is no place to write to.
    return entry.path() if entry.file.parent != EMBEDDED else Path(entry.text())
