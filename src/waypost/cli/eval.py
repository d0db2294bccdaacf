"""``waypost eval``: measure routers and strategies on recorded outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli import lines, measured, named, origin, output, talks
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.cli.measured import Data
    from waypost.cli.runs import Found, Plan
    from waypost.evaluation import Comparison
    from waypost.evaluation.parts import Mask
    from waypost.objective import Objective


def eval_(
    table: Annotated[Path | None, typer.Argument(help="An outcomes table; default: the shipped one.")] = None,
    format: Annotated[str, typer.Option(help="waypost, routerdc, llmrouter … (docs/import.md).")] = "waypost",
    train: Annotated[list[str] | None, typer.Option(help="Training files, each weighing the same.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Test files, measured one by one.")] = None,
    router: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as knn,ridge; folders saved by train; package.module:Class; or all; default: the usual ones."
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="cascade, safe_route, or a folder saved by train; "
            "default: cascade, if no --router is named and answers were kept."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="The trade-off, such as usd=100,seconds=0.1 or budget=0.001.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A waypost.yaml whose cards the flags of --objective weigh, such as local=0.1.")
    ] = None,
    conversations: Annotated[
        bool, typer.Option("--conversations", help="Charge rows of one source as turns, at --config's or list prices.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the split, the routers and the resamples.")] = 0,
    resamples: Annotated[int, typer.Option(min=40, help="Of the bootstrap behind the intervals.")] = 2000,
    seeds: Annotated[int, typer.Option(min=1, help="Fit and measure each router with so many seeds.")] = 1,
    splits: Annotated[int, typer.Option(min=1, help="Split the table in so many ways, and measure on each.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="A JSONL file to which each row is appended; what it has is not run again.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One object a line for each router and test file.")] = False,
) -> None:
    """Measure routers and strategies on recorded outcomes, beside each single model, chance, zero router and oracle.

    Without --train and --test a table is split 70 to 30 by prompt, with duplicates on one side.  Test questions that
    are also in training count for no verdict.
    """
    if test and splits > 1:
        raise BadInput(f"--splits {splits} needs one TABLE to split; test files are tested whole")
    wanted = named.words(router or []), named.words(strategy or [])
    trade_off = named.objective(objective or [])
    whole = partial(measured.read, table, format, train or [], test or [])
    read, clean = whole, partial(whole, leaks="drop")
    if conversations:
        read, clean = partial(talks.read, whole, config), partial(talks.read, whole, config, clean=True)
    with named.one_thread(fits=True):
        if out is None and seeds == splits == 1:
            _show(_measured(read(seed), wanted, trade_off, config, seed, resamples), trade_off.budget, json)
            return
        from waypost.cli.runs import Plan

        plan = Plan(clean, not test, *wanted, trade_off, config, seed, seeds, splits, resamples, origin.commit(out))
        found = _run(plan, out)
    if seeds == splits == 1:
        dropped = {name: one.dropped for name, one in found.items()}
        _show({name: {"clean": one.runs[0][0]} for name, one in found.items()}, trade_off.budget, json, dropped)
    else:
        _show_spread(found, trade_off.budget, json)


def _measured(
    data: Data,
    wanted: tuple[list[str], list[str]],
    trade_off: Objective,
    config: Path | None,
    seed: int,
    resamples: int,
) -> dict[str, dict[str, Comparison]]:
    """The comparison on each part of each test, the part that counts first."""
    from waypost.evaluation import play
    from waypost.evaluation.experiment import blamed
    from waypost.evaluation.parts import compare_parts
    from waypost.outcomes.leaks import clusters

    masks = {name: _parts(data, name) for name in data.tests}
    cards = measured.cards(data, config, trade_off)
    asked = measured.asked(data, *wanted, seed)
    trade_offs = {spec: measured.solved(spec, made, trade_off, data.train, cards) for spec, made in asked.items()}
    found = {}
    for name, tested in data.tests.items():
        with output.step(f"measuring on {name}, {len(tested):,} questions"):
            earned = {}
            for spec, made in asked.items():
                with blamed(spec, name):
                    earned[spec] = talks.charge(play(made, tested, trade_offs[spec], cards), tested, data.prices)
            found[name] = compare_parts(
                tested,
                earned,
                masks[name],
                bounds=talks.bounds(tested, data.prices),
                train=data.train,
                clusters_N=clusters(tested.prompts, tested.sources),
                resamples=resamples,
                seed=seed,
            )
    return found


def _parts(data: Data, name: str) -> dict[str, Mask]:
    """Which questions of a test are clean, all and leaked; only all where nothing leaked."""
    from waypost.evaluation.parts import parts

    masks = parts(data.tests[name], data.leaks[name].leaked_N if name in data.leaks else None)
    if "leaked" in masks and "clean" not in masks:
        raise BadInput(f"too few questions of {name} are not in training to measure every model on them")
    return masks


def _run(plan: Plan, out: Path | None) -> dict[str, Found]:
    """The runs of an experiment, those that are in the file already and those that are not."""
    from waypost.evaluation.experiment import Rows

    rows = Rows(out)
    if rows.mended:
        output.say(f"{out}: the last line was torn and is cut off")
    before = len(rows)
    found = plan.run(rows)
    if out is not None:
        output.say(f"{out}: {len(rows):,} rows, {len(rows) - before:,} of them new")
    return found


def _show(
    found: Mapping[str, Mapping[str, Comparison]],
    budget: float | None,
    json: bool,
    dropped: Mapping[str, int] | None = None,
) -> None:
    """Rows for machines; for people a ranking, a sentence for each router, and what leaks change."""
    heads = {name: next(iter(parts.values())) for name, parts in found.items()}
    for name, head in heads.items():
        _say_overspent(name, {line.name: line.usd for line in head.lines if line.kind == "asked"}, budget)
        if json:
            output.emit(lines.rows(name, found[name], (dropped or {}).get(name, 0)), json=True)
            continue
        output.emit(lines.people(head), json=False, title=lines.title(name, head))
        typer.echo("\n" + "\n".join(lines.sentences(head)))
        if len(found[name]) > 1:
            output.emit(lines.by_part(found[name]), json=False, title=lines.leaked(name, found[name]))
    if len(heads) > 1 and not json:
        output.emit(lines.macro(list(heads.values())), json=False, title=f"\nmean of {len(heads)} test files")


def _show_spread(found: Mapping[str, Found], budget: float | None, json: bool) -> None:
    for name, one in found.items():
        spread = one.spread()
        paid = {each.router: lines.means(same)[1] for each, same in spread if same[0].kind == "asked"}
        _say_overspent(name, paid, budget)
        output.emit(lines.spread_rows(name, one) if json else lines.spreads(spread), json, title=lines.runs(name, one))


def _say_overspent(test: str, paid: Mapping[str, float], budget: float | None) -> None:
    """Name what paid more than the budget, which is solved on expected costs of one call a question."""
    for name, usd in paid.items():
        if budget is not None and usd > budget:
            output.say(f"{test}: {name} paid ${usd:.3g} per question, over the budget of ${budget:g}")
