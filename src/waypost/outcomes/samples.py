"""Prompt files: JSONL or CSV with the fields ``id, prompt, scorer, reference, group``.

``prompt`` and ``scorer`` are needed; a missing id is a hash of the prompt, so that a second run knows its rows.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from waypost.errors import BadInput, nearest
from waypost.outcomes import scoring
from waypost.types import Sample

FIELDS = tuple(field.name for field in fields(Sample))
_NEEDED = ("prompt", "scorer")


def read(path: Path) -> list[Sample]:
    """The samples of a ``.jsonl`` or ``.csv`` file, each with an id of its own.

    Raises:
        BadInput: a file that is missing or empty, a field that is unknown, missing or no text, a scorer that does
            not exist, an id that occurs twice; the sentence names file, line and field.
    """
    kind = _kind(path)
    if not path.is_file():
        raise BadInput(f"no file {path}; give a JSONL or CSV file of prompts, or 'builtin'")
    found: dict[str, int] = {}
    samples = []
    try:
        for line, values in _json_lines(path) if kind == ".jsonl" else _csv_lines(path):
            sample = _sample(path, line, values)
            if sample.id in found:
                if values.get("id"):
                    raise BadInput(f"{path}:{line}: field 'id': {sample.id!r} is also in line {found[sample.id]}")
                raise BadInput(
                    f"{path}:{line}: field 'prompt' is the same as in line {found[sample.id]}; "
                    "remove one of the two, or give each an `id`"
                )
            found[sample.id] = line
            samples.append(sample)
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: the file must be UTF-8 text; byte {error.start} is not") from error
    if not samples:
        raise BadInput(f"{path} holds no prompts")
    return samples


def write(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples as ``.jsonl`` or ``.csv``, as `read` reads them.

    Raises:
        BadInput: another ending.
    """
    if _kind(path) == ".jsonl":
        lines = (json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in samples)
        path.write_text("".join(lines), encoding="utf-8")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def stable_id(prompt: str) -> str:
    """A short name made of the prompt alone.

    >>> stable_id("What is 2 + 2?") == stable_id("What is 2 + 2?")
    True
    """
    return hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in (".jsonl", ".csv"):
        raise BadInput(f"{path}: a file of prompts ends in .jsonl or .csv, this one in {kind or 'nothing'!r}")
    return kind


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadInput(f"{path}:{number}: this is not JSON: {error.msg} (column {error.colno})") from error
            if not isinstance(values, dict):
                raise BadInput(f"{path}:{number}: a line must be a JSON object with {', '.join(FIELDS)}")
            yield number, values


def _csv_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        while True:
            try:
                # Where the row begins, behind the header or the row before; a quoted prompt may hold line breaks.
                line = reader.line_num + 1 if reader.fieldnames else 1
                values = next(reader, None)
            except csv.Error as error:
                raise BadInput(f"{path}:{reader.line_num}: this is not CSV: {error}") from error
            if values is None:
                return
            if None in values:
                raise BadInput(f"{path}:{line}: more fields than the header has; quote a text that holds commas")
            yield line, {k: v for k, v in values.items() if v is not None}


def _sample(path: Path, line: int, values: Mapping[str, Any]) -> Sample:
    for name in values:
        if name not in FIELDS:
            raise BadInput(f"{path}:{line}: no field {name!r}; there are {', '.join(FIELDS)}.{nearest(name, FIELDS)}")
    for name in _NEEDED:
        if not str(values.get(name) or "").strip():
            raise BadInput(f"{path}:{line}: field {name!r} is missing or empty")
    texts = {name: _text(path, line, name, value) for name, value in values.items() if value is not None}
    sample = Sample(**{**texts, "id": texts.get("id") or stable_id(texts["prompt"])})
    try:
        scoring.check(sample)
    except BadInput as error:
        raise BadInput(f"{path}:{line}: {error}") from error
    return sample


def _text(path: Path, line: int, name: str, value: Any) -> str:
    if isinstance(value, str):
        return _encodable(path, line, name, value)
    if name == "reference" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadInput(f"{path}:{line}: field {name!r} must be a text, got {json.dumps(value)}")


def _encodable(path: Path, line: int, name: str, text: str) -> str:
    """The text, unless it holds half of a character, which JSON can write and no file or model can take."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start].encode("unicode_escape").decode()
        raise BadInput(f"{path}:{line}: field {name!r} holds {half}, half of a character; write the whole") from error
    return text
