"""``waypost report``: everything that was measured, as one page to read and figures to print."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import lines, measured, named, output
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.evaluation import Comparison

_HEAD = 1024  # bytes in which a page says what made it


def report(
    out: Annotated[Path, typer.Argument(help="The HTML file to write; only an earlier report is replaced.")],
    table: Annotated[Path | None, typer.Argument(help="An outcomes table; default: the shipped one.")] = None,
    format: Annotated[str, typer.Option(help="As of waypost eval.")] = "waypost",
    train: Annotated[list[str] | None, typer.Option(help="Training files, each weighing the same.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test files, measured one by one.")] = None,
    router: Annotated[
        list[str] | None,
        typer.Option(help="As of waypost eval: names, folders, package.module:Class, or all."),
    ] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="As of waypost eval: cascade, or a saved folder.")] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="The trade-off, such as usd=100,seconds=0.1 or budget=0.001.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A waypost.yaml whose cards the flags of --objective weigh, such as local=0.1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the routers and the resamples.")] = 0,
    resamples: Annotated[int, typer.Option(min=40, help="Of the bootstrap behind the intervals.")] = 2000,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for PNG and SVG files of the charts, for a paper.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Also print all the numbers, as one object.")] = False,
) -> None:
    """Write one HTML file with what routers and strategies are worth on recorded outcomes.

    Cost-quality curves, who gets which questions, calibration, confusions, leaks and the table of waypost eval; the
    file needs no network.
    """
    from waypost import __version__
    from waypost.evaluation.report import figures as drawing
    from waypost.evaluation.report import page, words
    from waypost.evaluation.report.findings import Findings
    from waypost.evaluation.report.measure import Measuring, part
    from waypost.outcomes.leaks import clusters

    _writable(out, figures, page.MARK)
    library = page.plotly()
    new = drawing.matplotlib() if figures is not None else None
    data = measured.read(table, format, train or [], test or [], seed)
    trade_off = named.objective(objective or [])
    cards = measured.cards(data, config, trade_off)
    with named.one_thread(fits=True):
        asked = measured.asked(data, named.words(router or []), named.words(strategy or []), seed)
        trade_offs = {spec: measured.solved(spec, made, trade_off, data.train, cards) for spec, made in asked.items()}
        measuring = Measuring(asked, trade_offs, cards, data.train, trade_off.weights, resamples, seed)
        tests = []
        for name, tested in data.tests.items():
            with output.step(f"measuring on {name}, {len(tested):,} questions"):
                clusters_N = clusters(tested.prompts, tested.sources)
                tests.append(measuring.tested(name, tested, data.leaks.get(name), clusters_N))
    given = {
        "format": format, "train": train, "test": test, "router": router, "strategy": strategy,
        "objective": objective, "config": config, "seed": seed, "resamples": resamples,
    }  # fmt: skip
    findings = Findings(
        version=__version__,
        command=_command(out, table, given),
        seed=seed,
        resamples=resamples,
        weights=trade_off.weights,
        budget=trade_off.budget,
        train=None if data.train is None else part("training", data.train),
        tests=tuple(tests),
    )
    with output.step(f"writing {out}"):
        shown = page.page(findings, {one.part.name: _table(one.found) for one in tests}, library)
        out.write_bytes(shown.encode("utf-8", errors="replace"))
        if figures is not None and new is not None:
            drawing.save(findings, figures, new)
    sentences = words.sentences(findings)
    for name, said in sentences.items():
        output.say("\n- ".join((f"\n{name}", *said)))
    if json:
        verdicts = {one.part.name: {line.name: line.verdict for line in one.asked} for one in tests}
        numbers = {field.name: getattr(findings, field.name) for field in fields(findings)}
        output.emit([{**numbers, "verdicts": verdicts, "sentences": sentences}], json=True)


def _writable(out: Path, figures: Path | None, mark: str) -> None:
    """Refuse early what cannot be written, or would replace a file that is no report: OUT comes before the table.

    Raises:
        BadInput: says why OUT or the folder of the figures cannot be.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise BadInput(
            f"the first argument is the page to write, which ends in .html, not {out}; "
            f"to report on a table: waypost report report.html {out}"
        )
    if not out.parent.is_dir():
        raise BadInput(f"there is no folder {out.parent} to write {out.name} in; make it first")
    if out.is_dir():
        raise BadInput(f"{out} is a folder; name a file to write, such as {out / 'report.html'}")
    if out.exists():
        with out.open("rb") as file:
            if mark.encode() not in file.read(_HEAD):
                raise BadInput(f"{out} is there already and was not made by waypost report; name another file")
    if figures is not None and figures.exists() and not figures.is_dir():
        raise BadInput(f"--figures {figures} is a file; name a folder")


def _table(found: Comparison) -> list[dict[str, Any]]:
    """The ranking as `waypost eval` shows it, and what does not fit a terminal."""
    from waypost.evaluation.report import human

    ranked = sorted(found.lines, key=lambda line: (math.isnan(line.quality), -line.quality))
    return [
        {
            **row,
            "quality, 95 %": human.span(line.ci95),
            "beats": human.chance(line.p_beats),
            "p": human.probability(line.p_adjusted),
        }
        for row, line in zip(lines.people(found), ranked, strict=True)
    ]


def _command(out: Path, table: Path | None, given: Mapping[str, object]) -> str:
    """What makes the page again, with the names of files but not their places, which are one machine's own."""
    words = ["waypost", "report", out.name, *([table.name] if table else [])]
    standard = {"format": "waypost", "seed": 0, "resamples": 2000}
    for option, value in given.items():
        values = value if isinstance(value, list) else [value]
        for one in values:
            if one is not None and one != standard.get(option):
                words += [f"--{option}", _name(str(one))]
    return shlex.join(words)


def _name(word: str) -> str:
    """The last part of each path in a comma-separated list."""
    return ",".join(Path(part).name if "/" in part or "\\" in part else part for part in word.split(","))
