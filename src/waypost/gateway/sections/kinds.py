"""Kinds of values: how an entry of a config file is read, and the JSON schema of what may stand there, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from waypost.errors import BadConfig
from waypost.gateway.entry import Entry
from waypost.pool.secret import Secret

_REDIS = ("redis", "rediss", "unix")
REFERENCE = {"$ref": "#/definitions/reference"}
# What a reference to the environment looks like, in every schema that is made of the kinds here.
DEFINITIONS = {"reference": {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"}}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: ``read`` gets it from an entry, ``schema`` is what JSON schema says of it.

    >>> port = whole_number(0, 65535)
    >>> port.schema["anyOf"][0]
    {'type': 'integer', 'minimum': 0, 'maximum': 65535}
    """

    read: Callable[[Entry], Any]
    schema: Mapping[str, Any]


def setting(kind: Kind, says: str, default: Any = MISSING, *, factory: Any = MISSING) -> Any:
    """A field of a section: its kind, one line on what it means, and its default; without one it must be given."""
    metadata = {"kind": kind, "says": says}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(made: type) -> Kind:
    """Named fields that become the dataclass ``made``, whose fields are `setting`s; others are left to the code.

    >>> from pathlib import Path
    >>> @dataclass(frozen=True)
    ... class Cache:
    ...     size: int = setting(whole_number(least=1), "answers kept", 100)
    >>> line = Entry(Path("waypost.yaml"), 8, "cache", {"size": Entry(Path("waypost.yaml"), 8, "cache.size", 5)})
    >>> section(Cache).read(line)
    Cache(size=5)
    """
    kinds = kinds_of(made)
    required = required_of(made)
    described = {f.name: _described(f, required) for f in fields(made) if f.name in kinds}
    return Kind(lambda entry: made(**read_fields(entry, kinds, required)), object_of(described, required))


def kinds_of(made: type) -> dict[str, Kind]:
    """The settings of a section's dataclass."""
    return {f.name: f.metadata["kind"] for f in fields(made) if "kind" in f.metadata}


def required_of(made: type) -> list[str]:
    """The settings of a section's dataclass that must be given."""
    return [f.name for f in fields(made) if "kind" in f.metadata and f.default is f.default_factory is MISSING]


def read_fields(entry: Entry, kinds: Mapping[str, Kind], required: Iterable[str] = ()) -> dict[str, Any]:
    """The values of those fields that are there and not null, each by its own kind.

    Raises:
        BadConfig: the first mistake, with all others of these fields.
    """
    mistakes = Mistakes()
    with mistakes.kept():
        entry.fields(kinds)
    given = entry.fields()
    missing = [name for name in required if name not in given]
    mistakes.found += [entry.error(f"needs `{name}`") for name in missing]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in kinds and (name in required or not value.is_null()):
            with mistakes.kept():
                values[name] = kinds[name].read(value)
    mistakes.tell()
    return values


@dataclass(slots=True)
class Mistakes:
    """Mistakes that are found one after the other, so that all can be told at once."""

    found: list[BadConfig] = field(default_factory=list)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a mistake that is found inside, and go on."""
        try:
            yield
        except BadConfig as error:
            self.found += [error, *error.others]

    def tell(self) -> None:
        """Raise the first mistake, if there is any, with the others."""
        if self.found:
            first, *others = self.found
            raise BadConfig(str(first), others)


def number(least: float | None = None, most: float | None = None) -> Kind:
    """A finite number; in the environment or written out."""
    limits = {"minimum": least, "maximum": most}
    schema = {"type": "number"} | {name: limit for name, limit in limits.items() if limit is not None}
    return Kind(lambda entry: entry.number(least, most), {"anyOf": [schema, REFERENCE]})


def whole_number(least: int = 0, most: int | None = None) -> Kind:
    """A whole number from ``least`` to ``most``."""
    schema = {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})
    return Kind(lambda entry: entry.whole_number(least, most), {"anyOf": [schema, REFERENCE]})


def one_of(words: Iterable[str]) -> Kind:
    """One of the words."""
    allowed = tuple(words)
    false = [{"const": False}] if "off" in allowed else []
    return Kind(lambda entry: entry.one_of(allowed), {"anyOf": [{"enum": list(allowed)}, REFERENCE, *false]})


def list_of(kind: Kind) -> Kind:
    """A list of values of one kind, as a tuple."""
    return Kind(lambda entry: tuple(_all(entry.items(), kind)), {"type": "array", "items": kind.schema})


def named(kind: Kind) -> Kind:
    """Values of one kind under names that the user chooses, as a read-only mapping."""

    def read(entry: Entry) -> Mapping[str, Any]:
        given = entry.fields()
        return MappingProxyType(dict(zip(given, _all(given.values(), kind), strict=True)))

    return Kind(read, {"type": "object", "additionalProperties": kind.schema})


def object_of(properties: Mapping[str, Any], required: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON schema of an object of these properties and no others."""
    schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    needed = list(required)
    return schema | ({"required": needed} if needed else {})


def described(kind: Kind, says: str, *, nullable: bool = True) -> dict[str, Any]:
    """The schema of a kind with a line for the reader of an editor's hint; an optional field may be null."""
    schema = dict(kind.schema)
    if nullable:
        schema = {"anyOf": [*(schema["anyOf"] if set(schema) == {"anyOf"} else [schema]), {"type": "null"}]}
    return {"description": says, **schema}


def _described(one: Field[Any], required: Iterable[str]) -> dict[str, Any]:
    schema = described(one.metadata["kind"], one.metadata["says"], nullable=one.name not in required)
    return schema | ({"default": one.default} if isinstance(one.default, str | int | float | bool) else {})


def _all(entries: Iterable[Entry], kind: Kind) -> list[Any]:
    mistakes, values = Mistakes(), []
    for entry in entries:
        with mistakes.kept():
            values.append(kind.read(entry))
    mistakes.tell()
    return values


def _secret(entry: Entry) -> Secret:
    if not entry.whole:
        raise entry.error("must name an environment variable, like ${OPENAI_API_KEY}; keys never stand in this file")
    return Secret(entry.text())


def _redis(entry: Entry) -> Secret:
    text = entry.text()
    try:
        # A port that is no number is found when it is asked for; part of a password may stand in its place.
        scheme, password, _ = (url := urlsplit(text)).scheme, url.password, url.port
    except ValueError:
        scheme, password = "", None
    if scheme not in _REDIS:
        raise entry.error("must be the address of a Redis, like redis://127.0.0.1:6379/0, or a variable that holds it")
    if password is not None and not entry.names:
        raise entry.error("holds a password, which never stands in this file; use a variable like ${REDIS_URL}")
    return Secret(text)


TEXT = Kind(Entry.text, {"type": "string", "minLength": 1})
FLAG = Kind(Entry.flag, {"anyOf": [{"type": "boolean"}, REFERENCE]})
DAY = Kind(Entry.day, {"anyOf": [{"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}, REFERENCE]})
PATH = Kind(Entry.path, TEXT.schema)
# Only ever a reference: what is in the file is in every backup and diff of it.
SECRET = Kind(_secret, REFERENCE)
REDIS = Kind(_redis, TEXT.schema)
