"""What a calibration found, as it lies on disk: a trade-off, what it promises, and the traffic it was found on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from waypost.errors import BadInput
from waypost.outcomes.drift import Reference

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """``objective`` in the words of a config; ``promise`` the figures measured, each with its interval.

    ``router`` is how the router was named, and ``fingerprint`` tells it from any other; ``goal`` is what was asked.
    """

    objective: Mapping[str, Any]
    goal: Mapping[str, Any]
    promise: Mapping[str, Any]
    router: str
    fingerprint: str
    reference: Reference

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        content = {"format": FORMAT, **{**asdict(self), "reference": self.reference.plain()}}
        path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what was written.

        Raises:
            BadInput: the file is missing, or is no calibration of this version.
        """
        again = "make one with waypost calibrate --out"
        try:
            content = orjson.loads(path.read_bytes())
        except OSError as error:
            raise BadInput(f"cannot read the calibration {path}: {error.strerror}; {again}") from error
        except orjson.JSONDecodeError as error:
            raise BadInput(f"{path} is no calibration: it is not JSON ({error}); {again}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BadInput(f"{path} is no calibration of format {FORMAT}; {again}")
        lacking = [name for name in cls.__dataclass_fields__ if name not in content]
        if lacking or not all(isinstance(content[name], dict) for name in ("objective", "goal", "promise")):
            raise BadInput(f"{path} is no whole calibration (see {', '.join(lacking) or 'objective'}); {again}")
        try:
            reference = Reference.read(content["reference"])
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from error
        facts = {name: content[name] for name in ("objective", "goal", "promise")}
        return cls(**facts, router=str(content["router"]), fingerprint=str(content["fingerprint"]), reference=reference)
