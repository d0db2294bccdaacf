"""Tables that others publish, one format a file; ``READERS`` is the only registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from waypost.errors import BadInput, BadTable, nearest
from waypost.outcomes.readers import routerbench, routerdc
from waypost.outcomes.table import Outcomes

Report = Callable[[str], None]


def _waypost(path: Path, _: Report) -> Outcomes:
    from waypost.outcomes import parquet  # brings DuckDB, which the other formats do not need

    return parquet.read(path)


READERS: Mapping[str, Callable[[Path, Report], Outcomes]] = {
    "waypost": _waypost,
    "routerdc": routerdc.read,
    "routerbench": routerbench.read,
}


def read(format: str, paths: Sequence[Path | str], report: Report = lambda _: None) -> list[Outcomes]:
    """One table a file, all with the same models in the order of the first.

    ``report`` receives a sentence for whatever a reader left out or renamed.

    Raises:
        BadInput: a format that has no reader.
        BadTable: a file that is missing or that its format does not allow, or files whose models differ.

    >>> read("csv", [])
    Traceback (most recent call last):
    ...
    waypost.errors.BadInput: no format 'csv'; there are waypost, routerdc, routerbench.
    """
    if format not in READERS:
        raise BadInput(f"no format '{format}'; there are {', '.join(READERS)}.{nearest(format, READERS)}")
    files = [Path(path) for path in paths]
    tables = [_read(format, file, report) for file in files]
    return [_aligned(table, tables[0], file, files[0]) for table, file in zip(tables, files, strict=True)]


def _read(format: str, file: Path, report: Report) -> Outcomes:
    try:
        return READERS[format](file, report)
    except OSError as error:
        raise BadTable(f"cannot read {file} as {format}: {error.strerror}") from error


def _aligned(table: Outcomes, first: Outcomes, file: Path, first_file: Path) -> Outcomes:
    """The table with its models in the order of the first; nobody guesses scores for a model that a file lacks."""
    if table.models == first.models:
        return table
    same = "files that are read together must have the same models"
    if lacking := [name for name in first.models if name not in table.models]:
        raise BadTable(f"{file} has no scores of {lacking[0]!r}, which {first_file} has; {same}")
    if added := [name for name in table.models if name not in first.models]:
        raise BadTable(f"{file} has scores of {added[0]!r}, which {first_file} has not; {same}")
    return table.only(first.models)
