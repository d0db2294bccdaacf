"""``waypost eval``: measure routers and strategies on recorded outcomes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import measured, named, output

if TYPE_CHECKING:
    from waypost.evaluation import Comparison, Line


def eval_(
    table: Annotated[Path | None, typer.Argument(help="An outcomes table; default: the shipped one.")] = None,
    format: Annotated[str, typer.Option(help="waypost, routerdc or routerbench.")] = "waypost",
    train: Annotated[list[str] | None, typer.Option(help="Training files, each weighing the same.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test files, measured one by one.")] = None,
    router: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as knn,ridge; also folders saved by train, or package.module:Class; default: all of ours."
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="cascade, or a folder saved by train; default: cascade, if no --router is named and answers were kept."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="The trade-off, such as usd=100,seconds=0.1 or budget=0.001.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A waypost.yaml whose cards the flags of --objective weigh, such as local=0.1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the routers and the resamples.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap behind the intervals.")] = 2000,
    json: Annotated[bool, typer.Option("--json", help="One object a line for each router and test file.")] = False,
) -> None:
    """Measure routers and strategies on recorded outcomes, beside each single model, chance and the oracle.

    Without --train and --test a table is split 70 to 30 by prompt.
    """
    from waypost.evaluation import compare, play, seen_in_training

    data = measured.read(table, format, train or [], test or [], seed)
    trade_off = named.objective(objective or [])
    cards = measured.cards(data, config, trade_off)
    comparisons: list[Comparison] = []
    with named.one_thread(fits=True):
        asked = measured.asked(data, named.words(router or []), named.words(strategy or []), seed)
        trade_offs = {spec: measured.solved(spec, made, trade_off, data.train, cards) for spec, made in asked.items()}
        for name, tested in data.tests.items():
            if data.train is not None and (seen := seen_in_training(tested, data.train)):
                output.say(f"{name}: {seen} of {len(tested)} test prompts are also in training, which flatters routers")
            with output.step(f"measuring on {name}, {len(tested):,} questions"):
                earned = {spec: play(made, tested, trade_offs[spec], cards) for spec, made in asked.items()}
                found = compare(tested, earned, train=data.train, resamples=resamples, seed=seed)
            _say_overspent(name, found, trade_off.budget)
            output.emit(_rows(name, found) if json else _people(found), json, title="" if json else _title(name, found))
            comparisons.append(found)
    if len(comparisons) > 1 and not json:
        output.emit(_macro(comparisons), json=False, title=f"\nmean of {len(comparisons)} test files")


def _say_overspent(test: str, found: Comparison, budget: float | None) -> None:
    """Name what paid more than the budget, which is solved on expected costs of one call a question."""
    for line in found.lines:
        if line.kind == "asked" and budget is not None and line.usd > budget:
            output.say(f"{test}: {line.name} paid ${line.usd:.3g} per question, over the budget of ${budget:g}")


def _rows(test: str, found: Comparison) -> Iterator[dict[str, Any]]:
    """What machines get: one row for each router and strategy that was asked for."""
    best, oracle = found.line(found.best_single, "model"), found.line("oracle", "bound")
    for line in found.lines:
        if line.kind == "asked":
            yield {
                "router": line.name,
                "test": test,
                "n": line.n,
                "missing": line.missing,
                "unpriced": line.unpriced,
                "quality": line.quality,
                "usd": line.usd,
                "seconds": line.seconds,
                "best_single": best.quality,
                "best_single_model": best.name,
                "best_single_usd": best.usd,
                "oracle": oracle.quality,
                "ci95": line.ci95,
                "gain": line.gain,
                "gain_ci95": line.gain_ci95,
                "vs_cheapest_ci95": line.vs_cheapest_ci95,
                "gap_closed": line.gap_closed,
                "verdict": line.verdict,
                "share": line.share,
            }


def _people(found: Comparison) -> list[dict[str, Any]]:
    """What people get, within 120 columns: everything that was measured, best first."""
    best = found.line(found.best_single, "model")
    frugal = any(line.vs_cheapest_ci95 and line.name != "cheapest" for line in found.lines)
    return [
        {
            "": line.name,
            "quality %": f"{100 * line.quality:.2f}",
            "95 %": _points(line.ci95, ".1f"),
            "vs best single": _points(line.gain_ci95, "+.2f"),
            **({"vs cheapest": _points(line.vs_cheapest_ci95, "+.2f")} if frugal else {}),
            "$ / 1,000": None if math.isnan(line.usd) else f"{1000 * line.usd:.3g}",
            "seconds": None if math.isnan(line.seconds) else f"{line.seconds:.3g}",
            "verdict": _verdict(line, best, found),
        }
        for line in sorted(found.lines, key=lambda line: -line.quality)
    ]


def _verdict(line: Line, best: Line, found: Comparison) -> str:
    """In few words: beats, matches or loses against the best single model, and at which cost; and what is unknown."""
    if line.kind == "model":
        words = _marks(line.name, found)
    elif line.kind == "bound":
        words = [
            {"oracle": "best of each question", "chance": "any, in expectation", "zero": "a mix of models"}[line.name]
        ]
    else:
        words = [
            line.verdict + (f" at {line.usd / best.usd:.0%} of its cost" if line.usd >= 0 and best.usd > 0 else "")
        ]
    if line.missing:
        words.append(f"{line.missing} not measured")
    if 0 < line.unpriced < line.n:  # where nothing has a price the dash says it all
        words.append(f"{line.unpriced} of unknown cost")
    return "; ".join(words)


def _marks(name: str, found: Comparison) -> list[str]:
    marks = {
        "best in hindsight": found.best_single,
        "best in training": found.best_single_in_training,
        "cheapest model": found.cheapest,
    }
    if found.best_single == found.best_single_in_training:
        marks = {"best, in training too": found.best_single, "cheapest model": found.cheapest}
    return [mark for mark, marked in marks.items() if marked == name]


def _title(name: str, found: Comparison) -> str:
    return f"\n{name}: {found.n:,} questions, best single model {found.best_single}"


def _points(bounds: tuple[float, float] | None, form: str) -> str:
    return "–" if bounds is None or math.isnan(bounds[0]) else " … ".join(f"{100 * bound:{form}}" for bound in bounds)


def _macro(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The plain mean over test files, for what every file has."""
    columns = [{(line.kind, line.name): line for line in one.lines} for one in found]
    common = [key for key in columns[0] if all(key in column for column in columns)]
    rows = [(name, [column[kind, name] for column in columns]) for kind, name in common]
    best = sum(one.line(one.best_single, "model").quality for one in found) / len(found)
    rows.sort(key=lambda row: -sum(line.quality for line in row[1]))
    return [
        {
            "": name,
            "quality %": f"{100 * sum(line.quality for line in lines) / len(lines):.2f}",
            "vs best single of each": f"{100 * (sum(line.quality for line in lines) / len(lines) - best):+.2f}",
            "$ / 1,000": 1000 * sum(line.usd for line in lines) / len(lines),
            "beats": sum(line.verdict == "beats" for line in lines),
            "matches": sum(line.verdict == "matches" for line in lines),
            "loses": sum(line.verdict == "loses" for line in lines),
        }
        for name, lines in rows
    ]
