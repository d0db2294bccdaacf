"""``waypost train``: fit a router on recorded outcomes and save it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import measured, named, output, tuned

if TYPE_CHECKING:
    from waypost.objective import Objective
    from waypost.outcomes import Outcomes
    from waypost.types import ModelCard


def train(
    router: Annotated[str, typer.Option(help="knn, ridge, domain … (waypost systems lists them), or cascade.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    table: Annotated[Path | None, typer.Argument(help="An outcomes table; default: the shipped one.")] = None,
    format: Annotated[str, typer.Option(help="waypost, routerbench, routerdc … (see waypost import).")] = "waypost",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting of the router, as name=value.")] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Try the settings worth trying, by cross-validation within training.")
    ] = False,
    objective: Annotated[
        list[str] | None, typer.Option(help="What to tune and to measure for, such as usd=100; default: quality alone.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A waypost.yaml whose cards the flags of --objective weigh, such as local=0.1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the folds and the router.")] = 0,
    all_: Annotated[
        bool, typer.Option("--all", help="Fit on every row; without it 30 in 100 prompts are held out and measured.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Fit a router on a table, save it, and say what it learned and how it does on the part held out."""
    from waypost import routers

    settings, trade_off = named.pairs(set_ or []), named.objective(objective or [])
    named.new_router(router, settings, seed)  # what cannot be made is said before any work
    name, whole = named.table(table, format)
    cards = measured.cards(measured.Data(None, {name: whole}, shipped=table is None), config, trade_off)
    fitted_on, held_out = (whole, None) if all_ else measured.apart(whole, seed)
    report: dict[str, Any] = {"router": router, "out": str(out), "table": name, "rows": len(fitted_on)}
    with named.one_thread(fits=True):
        if tune:
            trials = tuned.trials(router, settings, fitted_on, trade_off, cards, seed)
            settings = {**settings, **trials[0].settings}
            report |= {"settings": settings, "trials": tuned.rows(trials)}
        made = named.new_router(router, settings, seed)
        with output.fitting(
            f"fitting {router} on {len(fitted_on):,} prompts × {len(fitted_on.models)} models of {name}"
        ):
            made.fit(fitted_on)
        routers.save(made, out, sample=named.few(fitted_on.prompts))
        if held_out is not None:
            report |= _held_out(made, held_out, trade_off, cards, seed)
    models = [{"model": key, "quality": q, "usd": usd} for key, (q, usd) in fitted_on.means().items()]
    if json:
        output.emit([{**report, "models": models}], json=True)
        return
    if tune:
        output.emit(tuned.people(report["trials"]), json=False, title=tuned.title(fitted_on))
    output.emit(models, json=False, title=f"\nmeans of the {len(fitted_on):,} prompts it was fitted on")
    typer.echo(f"\nsaved in {out}; try it with: waypost route --router {out} 'your prompt'")
    if held_out is not None:
        typer.echo(_sentence(report))


def _sentence(report: Mapping[str, Any]) -> str:
    quality, best = report["quality"], report["best_single"]
    cost = "" if math.isnan(report["usd"]) else f" at ${1000 * report['usd']:.4g} per 1,000"
    return (
        f"On {report['held_out']:,} prompts held out its quality is {quality:.1%}{cost}: it {report['verdict']} "
        f"the best single model there, {report['best_single_model']} with {best:.1%}."
    )


def _held_out(
    made: Any, table: Outcomes, objective: Objective, cards: Mapping[str, ModelCard], seed: int
) -> dict[str, Any]:
    """How the fitted router does on prompts that it has not seen, next to the best single model there."""
    from waypost.evaluation import compare, play, solved

    trade_off = solved(made, named.few(table.prompts), objective, cards)
    found = compare(table, {"it": play(made, table, trade_off, cards)}, seed=seed)
    line, best = found.line("it"), found.line(found.best_single, "model")
    return {
        "held_out": found.n,
        "quality": line.quality,
        "usd": line.usd,
        "best_single": best.quality,
        "best_single_model": best.name,
        "gain_ci95": line.gain_ci95,
        "verdict": line.verdict,
    }
