"""``waypost collect``: run prompts through a pool's models, score the answers, fill an outcomes table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import named, output
from waypost.errors import BadInput, NotInstalled, UnknownModel

if TYPE_CHECKING:
    from waypost.gateway.settings import ModelSettings, Settings
    from waypost.outcomes.collect import Report
    from waypost.types import Model, Sample

_LINE_EVERY = 20.0


def collect(
    prompts: Annotated[str, typer.Argument(help="A .jsonl or .csv file of prompts, or 'builtin'.")],
    out: Annotated[Path, typer.Option(help="The outcomes table to fill (Parquet); rows in it are not paid twice.")],
    config: Annotated[Path | None, typer.Option(help="A config; else ./waypost.yaml, else the embedded pool.")] = None,
    models: Annotated[list[str] | None, typer.Option(help="Names, with commas between; else every model.")] = None,
    n: Annotated[int, typer.Option(help="How many prompts of 'builtin'.", min=1)] = 2400,
    seed: Annotated[int, typer.Option(help="Of the prompts of 'builtin'.")] = 0,
    concurrency: Annotated[int, typer.Option(help="Calls in flight per hosted model; local ones: 1.", min=1)] = 8,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.", min=1)] = 96,
    judge: Annotated[
        str | None, typer.Option(help="The model that marks answers to prompts of scorer 'judge'.")
    ] = None,
    limit_usd: Annotated[float | None, typer.Option(help="Start no call once so much is spent.", min=0.0)] = None,
    json: Annotated[bool, typer.Option("--json", help="Report as one JSON object a model.")] = False,
) -> None:
    """Ask every model every prompt, score the answers and keep them; start again to go on after a stop."""
    from waypost.gateway.settings import load
    from waypost.outcomes.collect import PARAMETERS
    from waypost.outcomes.collect import collect as run

    if out.suffix != ".parquet":
        raise BadInput(f"--out is {out}; a table must end in .parquet")
    settings = load(config)
    asked = _chosen(settings, named.words(models or []))
    samples = _samples(prompts, n, seed)
    marker = _chosen(settings, [judge])[0] if judge else None
    output.say(f"{len(samples):,} prompts × {len(asked)} models ({', '.join(m.name for m in asked)}) into {out}")
    with _progress(len(samples) * len(asked)) as show:
        report = asyncio.run(
            _with_models(
                asked,
                marker,
                lambda pool, judge_: run(
                    samples,
                    pool,
                    out,
                    # Two calls would share a local model's cores, and its seconds would say that it is slow.
                    concurrency={m.name: 1 if m.card.local else concurrency for m in asked},
                    judge=judge_,
                    progress=show,
                    limit_usd=limit_usd,
                    parameters={**PARAMETERS, "max_tokens": max_tokens},
                ),
            )
        )
    output.emit(_rows(report), json)
    if not json:
        _say_end(report)


async def _with_models(asked: Sequence[ModelSettings], marker: ModelSettings | None, work: Any) -> Report:
    """Make the models, run, and close them whatever happens."""
    from waypost import pool

    made: dict[str, Model] = {m.name: pool.make(m.kind, m.card, m.settings) for m in asked}
    judge = None
    if marker is not None:
        judge = made.get(marker.name) or pool.make(marker.kind, marker.card, marker.settings)
    try:
        report: Report = await work(made, judge)
    finally:
        for model in {id(m): m for m in [*made.values(), *([judge] if judge else [])]}.values():
            await model.close()
    return report


def _chosen(settings: Settings, names: Sequence[str]) -> list[ModelSettings]:
    """The config's models of these names, or every model that can be called."""
    known = {model.name: model for model in settings.models}
    for name in names:
        if name not in known:
            raise UnknownModel(name, known)
        if missing := known[name].missing:
            raise NotInstalled(f"{name} cannot be called: {missing}")
    return [known[name] for name in dict.fromkeys(names)] or [m for m in settings.models if m.missing is None]


def _samples(prompts: str, n: int, seed: int) -> list[Sample]:
    from waypost.embedded.prompts import generate
    from waypost.outcomes import samples

    return generate(n, seed) if prompts == "builtin" else samples.read(Path(prompts))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Report], None]]:
    """A bar where stderr is a terminal; a line every 20 seconds where it is not."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(total)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total)
        yield lambda report: bar.update(task, completed=_through(report), description=_state(report))


def _lines(total: int) -> Callable[[Report], None]:
    last = perf_counter()

    def show(report: Report) -> None:
        nonlocal last
        if (now := perf_counter()) - last < _LINE_EVERY:
            return
        last = now
        output.say(f"{_through(report):,} of {total:,}, {_state(report)}")

    return show


def _through(report: Report) -> int:
    return sum(t.there + t.done + t.failed for t in report.models.values())


def _state(report: Report) -> str:
    """Rate, time left, money and counts of a collection in one line."""
    done = sum(t.done for t in report.models.values())
    counts = ", ".join(f"{name} {t.there + t.done}" for name, t in report.models.items())
    return f"{done / max(report.seconds, 1e-9):.1f}/s, {_left(report)}, ${report.usd:.4g}, {counts}"


def _left(report: Report) -> str:
    """The time that the slowest model still needs at its own pace so far."""
    paces = [(t.left, t.done + t.failed) for t in report.models.values() if t.left and not t.gave_up]
    if not all(asked for _, asked in paces):
        return "time left unknown"
    seconds = max((left * report.seconds / asked for left, asked in paces), default=0.0)
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def _rows(report: Report) -> list[Mapping[str, Any]]:
    return [
        {
            "model": name,
            "rows": t.there + t.done,
            "new": t.done,
            "declined": t.declined,
            "failed": t.failed,
            "unpriced": t.unpriced,
            "quality": t.mean,
            "usd": None if t.unpriced else t.usd,
            "gave_up": t.gave_up,
        }
        for name, t in report.models.items()
    ]


def _say_end(report: Report) -> None:
    cost = f"${report.usd:.4g}" + (f" and {report.unpriced:,} answers of unknown price" if report.unpriced else "")
    typer.echo(f"\n{report.table} holds the rows; this run took {report.seconds:.0f} s and cost {cost}.")
    if report.stopped:
        typer.echo(f"Stopped: {report.stopped}.")
    elif failed := sum(t.failed for t in report.models.values()):
        typer.echo(f"{failed:,} calls failed and are no rows; run the command again to try them once more.")
