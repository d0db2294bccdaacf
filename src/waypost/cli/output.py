"""What commands write: rich tables for people, one JSON object a line for machines, progress on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from shutil import get_terminal_size
from time import perf_counter
from typing import Any


def emit(rows: Iterable[Mapping[str, Any]], json: bool, title: str = "") -> None:
    """Write rows to stdout: as a table with the columns of the first, or each as one line of JSON.

    Missing numbers (None, NaN) are ``null`` in JSON and a dash in a table.
    """
    if json:
        for row in rows:
            _write_line(row)
        return
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in listed[0] if listed else ():
        numbers = all(isinstance(row[name], int | float | None) for row in listed)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        # As plain text: a prompt or a model's name may hold what would be markup.
        table.add_row(*(Text(shown(value)) for value in row.values()))
    console = _console(sys.stdout)
    if title:  # by itself, as a table's own title is folded to the table's width
        console.print(Text(title, style="italic"), soft_wrap=True)
    console.print(table)


def shown(value: Any) -> str:
    """A value as people read it in a table.

    >>> shown(0.123456), shown(None), shown(("a", "b")), shown(True)
    ('0.1235', '–', 'a, b', 'yes')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)


def tell(text: str) -> None:
    """One line for people on stdout, as a result."""
    _console(sys.stdout).print(text, markup=False, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for people on stderr, where it never mixes with results."""
    _console(sys.stderr).print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show on stderr that something runs, and how long it took when it is done."""
    from rich.markup import escape

    console = _console(sys.stderr)
    started = perf_counter()
    with console.status(escape(what)) if console.is_terminal else _silent():
        yield
    say(f"{what} ({perf_counter() - started:.1f} s)")


@contextmanager
def fitting(what: str) -> Iterator[None]:
    """As `step`, with a bar of how far the fit has come where it says so, and how it ended."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from waypost.routers import progress

    console = _console(sys.stderr)
    started, last = perf_counter(), ""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    shown_as = Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    )

    def watcher(done: int, total: int, note: str) -> None:
        nonlocal last
        last = f", {note} at {done} of {total}" if note else ""
        shown_as.update(task, completed=done, total=total, note=escape(note))

    with shown_as, progress.watch(watcher):
        task = shown_as.add_task(escape(what), total=None, note="")
        yield
    say(f"{what} ({perf_counter() - started:.1f} s{last})")


def fail(error: Exception, json: bool) -> None:
    """Say on stderr what went wrong; with ``json`` also as an error object on stdout."""
    if json:
        fail_json(error, str(error), getattr(error, "code", "internal_error"))
    say(f"waypost: {error}")


def fail_json(error: BaseException, message: str, code: str) -> None:
    """Write an error object to stdout."""
    _write_line({"error": {"type": type(error).__name__, "code": code, "message": message}})


@contextmanager
def _silent() -> Iterator[None]:
    yield


def _write_line(row: Mapping[str, Any]) -> None:
    import orjson

    # orjson writes NaN as null, which is what a missing number is.
    sys.stdout.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY).decode() + "\n")
    sys.stdout.flush()


def _console(file: Any) -> Any:
    from rich.console import Console

    # A file has no width of its own: wide enough that a table is not folded.
    # Names may hold ``:x:``, which is no emoji.
    return Console(file=file, width=get_terminal_size((200, 24)).columns, emoji=False)
