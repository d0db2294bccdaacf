"""The only reader of YAML and of the environment: a config file becomes `Settings`, or an error that names the line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml

from waypost.errors import BadConfig
from waypost.gateway.entry import Entry, Scalar
from waypost.gateway.sections.cache import CACHE, CacheSettings
from waypost.gateway.sections.choosing import ROUTER, STRATEGY, contradictions
from waypost.gateway.sections.kinds import (
    DEFINITIONS,
    FLAG,
    PATH,
    Mistakes,
    kinds_of,
    number,
    read_fields,
    required_of,
    section,
    setting,
)
from waypost.gateway.sections.limits import KEYS, TEAMS, LimiterSettings
from waypost.gateway.sections.logs import LogSettings
from waypost.gateway.sections.models import MODELS, ModelSettings
from waypost.gateway.sections.profiles import CALIBRATION, PROFILES, strange_calibration, strange_profiles
from waypost.gateway.sections.reliability import ReliabilitySettings
from waypost.gateway.sections.server import ServerSettings
from waypost.gateway.sections.store import EMBEDDED, STORE, SpoolSettings
from waypost.gateway.sections.traces import TraceSettings
from waypost.gateway.sections.traffic import FALLBACK, CanarySettings, SessionSettings, ShadowSettings, strange_traffic
from waypost.objective import Objective
from waypost.outcomes.calibration import Calibration
from waypost.pool.secret import Secret
from waypost.store.limits import Limits

__all__ = ["EMBEDDED", "SCHEMA", "ModelSettings", "ServerSettings", "Settings", "load", "schema", "schema_text"]

# What `schema_text` gives, shipped for editors.
SCHEMA = EMBEDDED / "waypost.schema.json"

_DEFAULT = Path("waypost.yaml")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MOST_NESTED = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """A config file, read.  A section is one line here: its kind, what it is for, and its default.

    ``router`` is "builtin", "cheapest", a folder, or None: the built-in one if it knows every model, else the
    cheapest.  The objective of a ``calibration`` is the default profile.  ``places`` says where in the file a field
    (``router``) or a profile (``profiles.cheap``) stands.
    """

    file: Path
    models: tuple[ModelSettings, ...] = setting(MODELS, "The pool: what can be called.")
    router: str | Path | None = setting(ROUTER, "builtin, cheapest, or a folder that `waypost train` saved.", None)
    strategy: str = setting(STRATEGY, "Ask one model, or escalate from cheap ones to better ones.", "single")
    head: Path | None = setting(PATH, "The folder of a cascade's head, saved by `waypost train`.", None)
    profiles: Mapping[str, Objective] = setting(
        PROFILES, "Named trade-offs; clients ask for one as auto:name, and auto is `default`.", factory=dict
    )
    calibration: Calibration | None = setting(CALIBRATION, "A file of `waypost calibrate --out`.", None)
    server: ServerSettings = setting(section(ServerSettings), "Where to listen, and the limits.", ServerSettings())
    store: Path | Secret | None = setting(STORE, "Decisions and feedback: a SQLite file, or postgresql://…", None)
    spool: SpoolSettings = setting(section(SpoolSettings), "Where rows wait for the store.", SpoolSettings())
    keep_days: float | None = setting(number(least=1.0), "Days after which decisions are deleted; else never.", None)
    cache: CacheSettings | None = setting(CACHE, "Give an answer again to the same request; off if left out.", None)
    logs: LogSettings = setting(section(LogSettings), "What is said on stderr while it runs.", LogSettings())
    traces: TraceSettings | None = setting(section(TraceSettings), "Where spans are sent; off if left out.", None)
    log_prompts: bool = setting(FLAG, "Keep the prompts' text too, not only its hash.", False)
    fallback: Mapping[str, tuple[str, ...]] = setting(
        FALLBACK,
        "Who is asked next, in this order, by what a client asks for: auto, auto:name, a model.",
        factory=dict,
    )
    sessions: SessionSettings = setting(
        section(SessionSettings), "Conversations, and the price of switching their model.", SessionSettings()
    )
    shadow: ShadowSettings | None = setting(section(ShadowSettings), "Only watch, while one model serves.", None)
    canary: CanarySettings | None = setting(section(CanarySettings), "Try a new router on a share of traffic.", None)
    reliability: ReliabilitySettings = setting(
        section(ReliabilitySettings), "How often a provider is tried, and when it is left alone.", ReliabilitySettings()
    )
    keys: Literal["required", "optional", "off"] | None = setting(
        KEYS, "Whether callers need a key; off only on this machine, unless it is said here.", None
    )
    teams: Mapping[str, Limits] = setting(TEAMS, "What the keys of a team may use together.", factory=dict)
    limits: LimiterSettings = setting(
        section(LimiterSettings), "Where limits are kept, and what a call may cost.", LimiterSettings()
    )
    places: Mapping[str, str] = field(default_factory=dict)


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Read a config file; without a path ``waypost.yaml`` here, or else the embedded one.

    ``env`` fills ``${VARIABLE}`` references and is the process's environment unless given.

    Raises:
        BadConfig: the file cannot be used; the sentence names file, line, field, what is allowed and the nearest
            valid name, and ``others`` are all other mistakes that were found.
    """
    environment = os.environ if env is None else env
    path = _found(path)
    root = _read(path, environment)
    top = root.fields()
    mistakes = Mistakes(list(contradictions(top)))
    with mistakes.kept():
        settings = Settings(file=path, **read_fields(root, kinds_of(Settings), required_of(Settings)))
        mistakes.found += _strangers(top, settings)
    mistakes.tell()
    calibrated = settings.calibration
    default = Objective.from_mapping(calibrated.objective) if calibrated else Objective()
    places = {name: entry.where for name, entry in top.items()}
    places |= {f"profiles.{name}": top["profiles"].fields()[name].where for name in settings.profiles}
    profiles = MappingProxyType({"default": default, **settings.profiles})
    return replace(settings, profiles=profiles, places=MappingProxyType(places))


def load_sections(names: Iterable[str], path: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The file that `load` would read, and of it these sections only, as far as they are there.

    For commands that run where the gateway does not: no key of a provider has to be set there.

    Raises:
        BadConfig: the file cannot be read, has a section that nobody knows, or one of these cannot be used.
    """
    path = _found(path)
    kinds = kinds_of(Settings)
    top = _read(path, os.environ).fields(kinds)
    return path, {name: kinds[name].read(top[name]) for name in names if name in top and not top[name].is_null()}


def schema() -> dict[str, Any]:
    """What a config file may say as JSON schema, for editors."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "waypost.yaml",
        "description": "The config of a Waypost gateway.",
        **section(Settings).schema,
        "definitions": DEFINITIONS,
    }


def schema_text() -> str:
    """The schema as it is shipped in the file `SCHEMA`."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _strangers(top: Mapping[str, Entry], settings: Settings) -> list[BadConfig]:
    """Where a section names models that are not there."""
    known = [model.name for model in settings.models]
    found = [*strange_profiles(top, known, settings.profiles), *strange_traffic(top, known, settings)]
    if settings.calibration is not None:
        found += strange_calibration(top["calibration"], known, settings.calibration)
    return found


def _found(path: Path | None) -> Path:
    if path is not None:
        return path
    return _DEFAULT if _DEFAULT.is_file() else EMBEDDED / "waypost.yaml"


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
            return Entry(self.file, line, name or "config", self._fields(node, name, depth), env=self.env)
        if isinstance(node, yaml.SequenceNode):
            items = [self.entry(item, f"{name}[{i}]", depth + 1) for i, item in enumerate(node.value)]
            return Entry(self.file, line, name or "config", items, env=self.env)
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
            return Entry(self.file, line, name, self._typed(node.tag, text, node), written=text, env=self.env)
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
            env=self.env,
        )

    def _typed(self, tag: str, text: str, node: yaml.Node) -> Scalar:
        try:
            value: Scalar = self.loader.construct_object(yaml.ScalarNode(tag, text, node.start_mark, node.end_mark))
        except (yaml.YAMLError, ValueError):
            return text
        return value
