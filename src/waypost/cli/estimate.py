"""``waypost estimate``: what a router would have earned, from logged decisions of another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import measured, named, output

if TYPE_CHECKING:
    from waypost.evaluation.logged import Logged
    from waypost.evaluation.off_policy import Estimate, Figure, OffPolicy
    from waypost.outcomes import Outcomes


def estimate(
    log: Annotated[
        Path, typer.Argument(help="Decisions with prompt, model, propensity and quality: JSONL, CSV, Parquet.")
    ],
    router: Annotated[
        list[str], typer.Option(help="Such as knn,ridge; also folders saved by train, or package.module:Class.")
    ],
    train: Annotated[
        Path | None, typer.Option(help="An outcomes table to fit a router on that was not saved; not of this log.")
    ] = None,
    format: Annotated[str, typer.Option(help="Of --train, as of waypost eval.")] = "waypost",
    objective: Annotated[
        list[str] | None, typer.Option(help="The trade-off, such as usd=100 or budget=0.001 or allowed=small|large.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A waypost.yaml whose cards the flags of --objective weigh, such as local=0.1.")
    ] = None,
    direct: Annotated[
        str, typer.Option(help="The router that expects outcomes for the direct and the doubly robust estimate.")
    ] = "ridge",
    seed: Annotated[int, typer.Option(help="Of the routers, the folds and the resamples.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap behind the intervals.")] = 2000,
    json: Annotated[bool, typer.Option("--json", help="One object a line for each router.")] = False,
) -> None:
    """Estimate what routers would have earned on logged decisions that were made by chance, with known propensities.

    A router that would choose what the log could not have chosen is refused.
    """
    from waypost.evaluation import off_policy
    from waypost.evaluation.logged import Logged
    from waypost.types import ModelCard

    logged = Logged.read(log)
    if logged.unscored:
        output.say(f"{logged.unscored:,} decisions have no quality and are left out; what follows is of the others")
    fitting = named.table(train, format)[1] if train else None
    _say_seen(logged, fitting)
    tables = {"log": logged.outcomes()} | ({"train": fitting} if fitting else {})
    data = measured.Data(fitting, tables)
    trade_off = named.objective(objective or [])
    known = measured.cards(data, config, trade_off)
    with named.one_thread(fits=True):
        asked = measured.asked(data, named.words(router), [], seed)
        with output.step(f"fitting {direct} on four fifths of the log, five times"):
            expected = off_policy.cross_fitted(logged, lambda: named.new_router(direct, {}, seed), seed=seed)
        for spec, made in asked.items():
            cards = {name: known.get(name, ModelCard(name)) for name in (*known, *made.models)}
            solved = measured.solved(spec, made, trade_off, fitting, cards)
            target_NM = off_policy.policy(made, logged, solved, cards)
            found = off_policy.estimate(logged, target_NM, expected, resamples=resamples, seed=seed)
            _tell(spec, log, logged, found, json)


def _say_seen(logged: Logged, fitting: Outcomes | None) -> None:
    from waypost.outcomes.leaks import find

    if fitting is not None and (seen := len(find(logged.prompts, fitting.prompts))):
        output.say(
            f"{seen:,} of {len(logged):,} logged prompts are also in --train, which flatters a router fitted on it"
        )


def _tell(spec: str, log: Path, logged: Logged, found: OffPolicy, json: bool) -> None:
    sentence = _sentence(spec, found)
    if json:
        row = {"router": spec, "log": log.stem, "unscored": logged.unscored, "verdict": found.verdict}
        output.emit([{**row, "best": found.best.name, "sentence": sentence, **_plain(found)}], json)
        return
    output.emit(_lines(found), json, title=f"\n{log.stem}: {found.n:,} decisions, {spec}")
    typer.echo(f"\n{sentence}")
    for doubt in found.doubts:
        typer.echo(f"Doubtful: {doubt}.")


def _plain(found: OffPolicy) -> dict[str, Any]:
    """All figures by name: every estimator as an object of its own."""
    plain = asdict(found)
    return {**plain, "estimates": {one.pop("name"): one for one in plain["estimates"]}}


def _lines(found: OffPolicy) -> Iterator[dict[str, Any]]:
    for one in (found.served, *found.estimates):
        yield {
            "": one.name,
            "quality %": f"{100 * one.quality.value:.2f}",
            "95 %": _interval(one.quality, 100, ".1f"),
            "vs served": "" if one is found.served else _interval(one.gain, 100, "+.2f"),
            "$ / 1,000": None if math.isnan(one.usd.value) else f"{1000 * one.usd.value:.3g}",
            "95 % ": _interval(one.usd, 1000, ".3g"),
        }


def _sentence(spec: str, found: OffPolicy) -> str:
    """Better, worse, or that it cannot be told; by how much, and at which cost."""
    best = found.best
    verdict = {
        "better": f"{spec} would have been better than what was served",
        "worse": f"{spec} would have been worse than what was served",
        "cannot tell": f"Whether {spec} would have been better or worse than what was served, this log cannot tell",
    }[found.verdict]
    gain = f"quality {100 * best.gain.value:+.2f} points (95 % {_interval(best.gain, 100, '+.2f')})"
    sample = f"effective sample {found.effective:,.0f} of {found.n:,} decisions"
    return f"{verdict}: {gain}, {_cost(best, found.served)}; {best.name}, {sample}."


def _cost(best: Estimate, served: Estimate) -> str:
    if math.isnan(best.extra_usd.value):
        return "cost unknown"
    paid = f"${1000 * best.usd.value:.3g} instead of ${1000 * served.usd.value:.3g} per 1,000"
    return f"{paid} (difference {_interval(best.extra_usd, 1000, '+.3g')})"


def _interval(figure: Figure, scale: float, form: str) -> str:
    low, high = figure.ci95
    return "–" if math.isnan(low) else f"{scale * low:{form}} … {scale * high:{form}}"
