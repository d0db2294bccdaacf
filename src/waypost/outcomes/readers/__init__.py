"""Tables that others publish, one format a file; ``READERS`` is the only registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from waypost.errors import BadInput, BadTable, nearest
from waypost.outcomes.readers import (
    battles,
    embedllm,
    litellm,
    llmrouter,
    openai,
    routellm,
    routerarena,
    routerbench,
    routerdc,
    routereval,
    sprout,
)
from waypost.outcomes.readers._files import Head, head
from waypost.outcomes.readers._intake import Format, Intake, Seen
from waypost.outcomes.readers._joined import joined
from waypost.outcomes.table import Outcomes
from waypost.types import Outcome

__all__ = ["READERS", "Format", "Intake", "answers", "guessed", "named", "read"]

Report = Callable[[str], None]


def _waypost(path: Path, _: Intake) -> Iterator[Outcome]:
    from waypost.outcomes import parquet  # brings DuckDB, which the other formats do not need

    return parquet.read(path).rows()


def _is_waypost(found: Head) -> bool:
    return found.kind == "parquet" and found.has("id", "prompt", "group", "model", "quality", "usd")


READERS: Mapping[str, Format] = {
    "waypost": Format(_waypost, _is_waypost),
    "routerdc": Format(routerdc.rows, routerdc.fits),
    "routerbench": Format(routerbench.rows, routerbench.fits),
    "llmrouter": Format(llmrouter.rows, llmrouter.fits),
    "routellm": Format(routellm.rows, routellm.fits),
    "battles": Format(battles.rows, battles.fits),
    "sprout": Format(sprout.rows, sprout.fits),
    "routerarena": Format(routerarena.rows, routerarena.fits),
    "routereval": Format(routereval.rows, routereval.fits),
    "embedllm": Format(embedllm.rows, embedllm.fits),
    "litellm": Format(litellm.rows, litellm.fits, scored=False),
    "openai": Format(openai.rows, openai.fits, scored=False),
}


def named(format: str) -> Format:
    """The format of a name.

    Raises:
        BadInput: a format that has no reader.

    >>> named("csv")
    Traceback (most recent call last):
    ...
    waypost.errors.BadInput: no format 'csv'; there are waypost, routerdc, routerbench, llmrouter, routellm, battles, \
sprout, routerarena, routereval, embedllm, litellm, openai.
    """
    if format not in READERS:
        raise BadInput(f"no format '{format}'; there are {', '.join(READERS)}.{nearest(format, READERS)}")
    return READERS[format]


def guessed(path: Path) -> str:
    """The format that a file's content tells.

    Raises:
        BadTable: a file that is missing, that no format fits, or that several fit.
    """
    try:
        found = head(path)
    except OSError as error:
        raise BadTable(f"cannot read {path}: {error.strerror}") from error
    fitting = [name for name, format in READERS.items() if format.fits(found)]
    if len(fitting) > 1:
        raise BadTable(f"{path} may be {' or '.join(fitting)}, which mean different things; say which with --format")
    if not fitting:
        names = ", ".join(found.names[:8])
        raise BadTable(f"{path} ({found.kind} of {names or 'no names'}) looks like none of {', '.join(READERS)}")
    return fitting[0]


def answers(format: str, paths: Sequence[Path], intake: Intake, *, distinct: bool = True) -> Iterator[Outcome]:
    """The answers of files that are one table, with ids of their own; ``intake`` counts and hears of all else.

    Files that hold the same questions, such as one file a model, are joined by id and prompt.  In a table the answers
    are ``distinct``, one of each model to each question; a list of prompts also takes questions without an answer.

    Raises:
        BadInput: a format that has no reader.
        BadTable: a file that is missing or that its format does not allow; names file and row.
    """
    reader = named(format)
    return joined(((path, _rows(format, reader, path, intake)) for path in paths), intake, distinct=distinct)


def read(format: str, paths: Sequence[Path | str], report: Report = lambda _: None) -> list[Outcomes]:
    """One table a file, all with the same models in the order of the first.

    ``report`` receives a sentence for whatever a reader left out or renamed.  The units of the files are compared, as
    `Intake.problems` says; our own tables were when they were imported.

    Raises:
        BadInput: a format that has no reader, or a log, which has no scores.
        BadTable: a file that is missing or that its format does not allow, or files whose models or units differ.
    """
    if not named(format).scored:
        raise BadInput(
            f"{format} is a log without scores; make prompts of it (waypost import … --out prompts.jsonl) "
            f"and collect outcomes for them"
        )
    files = [Path(path) for path in paths]
    seen: dict[tuple[Path, str], Seen] = {}
    tables = [_table(format, file, Intake(seen=seen), report) for file in files]
    return [_aligned(table, tables[0], file, files[0]) for table, file in zip(tables, files, strict=True)]


def _table(format: str, file: Path, intake: Intake, report: Report) -> Outcomes:
    if format == "waypost":
        from waypost.outcomes import parquet

        return parquet.read(file)
    table = Outcomes.from_rows(answers(format, [file], intake))
    intake.check()
    for sentence in intake.sentences():
        report(sentence if sentence.startswith(file.name) else f"{file.name}: {sentence}")
    return table


def _rows(format: str, reader: Format, path: Path, intake: Intake) -> Iterator[Outcome]:
    try:
        yield from reader.rows(path, intake)
    except OSError as error:
        raise BadTable(f"cannot read {path} as {format}: {error.strerror}") from error


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
