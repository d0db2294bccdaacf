"""A value of a config file together with its place, so that every error can name file, line and field."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from waypost.errors import BadConfig, nearest

Scalar = str | int | float | bool | date | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One value: a scalar, a list of entries, or named entries.

    ``written`` is the text of a scalar with its ``${VARIABLE}`` references filled in; ``names`` are the variables
    it refers to, ``unset`` those that ``env`` lacks; ``whole`` says that it is one reference and no more.

    >>> Entry(Path("waypost.yaml"), 3, "server.port", "high").whole_number()
    Traceback (most recent call last):
    waypost.errors.BadConfig: waypost.yaml:3: 'server.port' must be a whole number, got 'high'
    """

    file: Path
    line: int
    field: str
    value: Scalar | list[Self] | dict[str, Self]
    written: str = ""
    names: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    whole: bool = False
    # Never shown: it holds keys.
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def error(self, problem: str) -> BadConfig:
        """The error of this value: its place, its field, and the problem."""
        return BadConfig(f"{self.where}: '{self.field}' {problem}")

    @property
    def where(self) -> str:
        """File and line, as editors and terminals link them."""
        return f"{self.file}:{self.line}"

    def fields(self, allowed: Iterable[str] | None = None) -> dict[str, Self]:
        """The named values; with ``allowed``, an unknown name is refused with the nearest one."""
        if not isinstance(self.value, dict):
            raise self._wanted("fields of the form `name: value`")
        if allowed is not None:
            names = list(allowed)
            unknown = [
                entry.error(f"is unknown; allowed here are {', '.join(names)}.{nearest(name, names)}")
                for name, entry in self.value.items()
                if name not in names
            ]
            if unknown:
                raise BadConfig(str(unknown[0]), unknown[1:])
        return self.value

    def items(self) -> list[Self]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self._wanted("a list")
        return self.value

    def text(self) -> str:
        """A text that is not empty."""
        value = self._scalar()
        if self.names and self.written:
            return self.written
        if not isinstance(value, str) or not value:
            raise self._wanted("text", " (put it in quotes to make it text)" if value not in (None, "") else "")
        return value

    def one_of(self, allowed: Iterable[str]) -> str:
        """One of the allowed words."""
        names = list(allowed)
        if self.value is False and "off" in names:  # in YAML, off is a way to write false
            return "off"
        value = None if isinstance(self.value, bool) else self.text()
        if value not in names:
            hint = "" if self.names or value is None else nearest(value, names)
            raise self.error(f"must be one of {', '.join(names)}; got {self.got()}.{hint}")
        return str(value)

    def number(self, least: float | None = None, most: float | None = None) -> float:
        """A finite number from ``least`` to ``most``."""
        value = self._scalar()
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wanted("a number")
        if (least is not None and value < least) or (most is not None and value > most):
            floor = f"at least {least:g}" if least is not None else ""
            limits = floor if most is None else f"at most {most:g}" if least is None else f"{least:g} to {most:g}"
            raise self.error(f"must be {limits}, got {self.got()}")
        return value

    def whole_number(self, least: int = 0, most: int | None = None) -> int:
        """A whole number from ``least`` to ``most``."""
        value = self._scalar()
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wanted("a whole number")
        if value < least or (most is not None and value > most):
            limits = f"at least {least}" if most is None else f"{least} to {most}"
            raise self.error(f"must be {limits}, got {self.got()}")
        return value

    def flag(self) -> bool:
        """True or false."""
        value = self._scalar()
        if not isinstance(value, bool):
            raise self._wanted("true or false")
        return value

    def day(self) -> date:
        """A date, written 2024-10-31."""
        value = self._scalar()
        # The reader of YAML gives a datetime, which is a date too, where a time of day is written.
        if type(value) is not date:
            raise self._wanted("a date like 2024-10-31")
        return value

    def path(self) -> Path:
        """A path; ``~`` is the user's folder, and a relative one starts at the config file."""
        return self.file.parent / Path(self.text()).expanduser()

    def is_null(self) -> bool:
        """Whether nothing is given, or null."""
        return self.value is None and not self.names

    def plain(self) -> Any:
        """The value without its places, as JSON would give it."""
        if isinstance(self.value, dict):
            return {name: entry.plain() for name, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self._scalar()

    def variables(self) -> tuple[str, ...]:
        """The variables that the environment lacks, here and inside."""
        return self.unset + tuple(name for entry in self._inside() for name in entry.variables())

    def referred(self) -> tuple[str, ...]:
        """The variables whose values are in use, here and inside."""
        return self.names + tuple(name for entry in self._inside() for name in entry.referred())

    def got(self) -> str:
        """What stands here, for an error; a value out of the environment may be a key, so it is named and not said."""
        got = {dict: "named fields", list: "a list", type(None): "nothing"}.get(type(self.value))
        return got or ("the value of " + ", ".join(self.names) if self.names else _shown(self.value))

    def _inside(self) -> Iterable[Self]:
        if isinstance(self.value, dict):
            return self.value.values()
        return self.value if isinstance(self.value, list) else ()

    def _scalar(self) -> Scalar:
        if self.unset:
            raise self.error(f"refers to the environment variable {self.unset[0]}, which is not set")
        if isinstance(self.value, dict | list):
            raise self._wanted("a single value")
        return self.value

    def _wanted(self, what: str, hint: str = "") -> BadConfig:
        return self.error(f"must be {what}, got {self.got()}{hint}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, str) else str(value)
