"""``waypost calibrate``: find a trade-off for a goal, say what it will do, and tell later whether traffic drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import measured, named, output, traffic
from waypost.errors import BadInput

if TYPE_CHECKING:
    from waypost.evaluation.calibrate import Calibrated, Figure, Goal
    from waypost.objective import Objective
    from waypost.outcomes.calibration import Calibration
    from waypost.outcomes.drift import Traffic

DRIFTED, TOO_FEW = 1, 3
_APART = 0.05  # calls and first choices that differ by more are told


def calibrate(
    table: Annotated[
        Path | None, typer.Argument(help="An outcomes table (default: the shipped one); with --check a log.")
    ] = None,
    router: Annotated[str | None, typer.Option(help="A folder saved by train, one of ours, or module:Class.")] = None,
    keep: Annotated[
        float | None, typer.Option(help="Keep this share of the best single model's quality, such as 0.95.", min=0)
    ] = None,
    usd_per_query: Annotated[float | None, typer.Option(help="Spend at most this on average.", min=0)] = None,
    usd_per_day: Annotated[float | None, typer.Option(help="The same, with --requests-per-day.", min=0)] = None,
    requests_per_day: Annotated[float | None, typer.Option(help="How many queries a day has.", min=1)] = None,
    share: Annotated[str | None, typer.Option(help="Send a share of the queries to a model, as model=0.3.")] = None,
    format: Annotated[str, typer.Option(help="Of the table: waypost, routerdc, routerbench …")] = "waypost",
    objective: Annotated[
        list[str] | None, typer.Option(help="What else holds, such as seconds=0.1 or allowed=a|b.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A waypost.yaml whose cards flags weigh.")] = None,
    out: Annotated[Path | None, typer.Option(help="The calibration to write, for waypost.yaml and --check.")] = None,
    check: Annotated[Path | None, typer.Option(help="A calibration: has the traffic of a log drifted from it?")] = None,
    seed: Annotated[int, typer.Option(help="Of the split (as given to train) and the resamples.")] = 0,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap behind the intervals.")] = 2000,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Find the trade-off that reaches a goal on your own table, and say with an interval what it will really do.

    It is chosen on one half of the questions that the router has not seen and measured on the other half.

    With --check: exit code 0 when the traffic of a log (prompts, a table, or the store of serve) has not drifted from
    the calibration, 1 when it has, 3 when there are too few prompts to tell.
    """
    from waypost.evaluation.calibrate import calibrate as calibrated

    goals = {"keep": keep, "usd_per_query": usd_per_query, "usd_per_day": usd_per_day, "share": share}
    asked = {name: value for name, value in goals.items() if value is not None}
    if check is not None:
        if asked:
            raise BadInput("--check looks at traffic and sets no goal; leave out --" + next(iter(asked)))
        _check(check, table, router, format, config, json)
        return
    goal = _goal(asked, requests_per_day)
    if router is None:
        raise BadInput("--router: name the router to calibrate, best a folder saved by waypost train")
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        problem = "it is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise BadInput(f"--out {out} cannot be written: {problem}; name a file in a folder that is there")
    base = named.objective(objective or [])
    if base.budget is not None or base.usd:
        raise BadInput("--objective usd or budget is what is to be found; say --usd-per-query instead")
    with named.one_thread(fits=True):
        made, data = measured.unseen(table, format, router, seed)
        cards = measured.cards(data, config, base)
        (unseen,) = data.tests.values()
        with output.step(f"calibrating on {len(unseen):,} questions that {router} has not seen"):
            found = calibrated(made, unseen, goal, base=base, cards=cards, resamples=resamples, seed=seed)
    if out is not None:
        _write(out, found, router, made, asked)
    if json:
        output.emit([_row(found, router, asked, requests_per_day)], json=True)
    for sentence in _apart(found):
        output.say(sentence)
    if json:
        return
    output.emit(_figures(found, requests_per_day), json=False, title=_title(found))
    typer.echo("\n" + _said(found, asked, requests_per_day))
    typer.echo(_paste(found, router, out))


def _goal(asked: Mapping[str, Any], requests_per_day: float | None) -> Goal:
    from waypost.evaluation.calibrate import Keep, Send, Spend

    if len(asked) != 1:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in asked) or "none"
        raise BadInput(f"give one goal: --keep, --usd-per-query, --usd-per-day or --share; got {given}")
    if "keep" in asked:
        return Keep(asked["keep"])
    if "usd_per_query" in asked:
        return Spend(asked["usd_per_query"])
    if "usd_per_day" in asked:
        if requests_per_day is None:
            raise BadInput("--usd-per-day needs --requests-per-day: how many queries it is for")
        return Spend(asked["usd_per_day"] / requests_per_day, requests_per_day)
    model, equals, part = asked["share"].rpartition("=")
    try:
        share = float(part)
    except ValueError:
        share = -1.0
    if not equals or not 0 < share < 1:
        raise BadInput(f"--share must be written model=0.3, with a share between 0 and 1, got {asked['share']!r}")
    return Send(model, share)


def _write(out: Path, found: Calibrated, router: str, made: Any, goal: Mapping[str, Any]) -> None:
    from waypost.evaluation.calibrate import words
    from waypost.outcomes.calibration import Calibration
    from waypost.routers.fingerprint import fingerprint

    Calibration(
        objective=words(found.objective),
        goal=goal,
        promise=_promise(found),
        router=router,
        fingerprint=fingerprint(made),
        reference=found.reference,
    ).write(out)


def _promise(found: Calibrated) -> dict[str, Any]:
    promise = found.promise
    figures = {name: _figure(getattr(promise, name)) for name in ("quality", "kept", "usd", "saved")}
    first, share = (
        {model: _figure(figure) for model, figure in each.items()} for each in (promise.first, promise.share)
    )
    reached = {
        "asked": found.reached.asked,
        "measured": _figure(found.reached.measured),
        "verdict": found.reached.verdict,
    }
    facts = {"n": promise.n, "chosen_on": found.n, "best_single": promise.best_single, "reached": reached}
    return {**facts, **figures, "first": first, "share": share}


def _figure(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "ci95": [figure.low, figure.high]}


def _row(found: Calibrated, router: str, goal: Mapping[str, Any], requests_per_day: float | None) -> dict[str, Any]:
    from waypost.evaluation.calibrate import Figure, words

    promise = _promise(found)
    if requests_per_day is not None:
        promise["usd_per_day"] = _figure(Figure(*(requests_per_day * each for each in found.promise.usd)))
    return {"router": router, "goal": goal, "objective": words(found.objective), "promise": promise}


def _figures(found: Calibrated, requests_per_day: float | None) -> Iterator[dict[str, str]]:
    """The promise as people read it."""
    promise = found.promise
    lines = [
        ("quality", promise.quality, "{:.1%}"),
        (f"of the quality of {promise.best_single}", promise.kept, "{:.1%}"),
        ("USD per query", promise.usd, "{:.3g}"),
        (f"of the cost of {promise.best_single} saved", promise.saved, "{:.1%}"),
    ]
    if requests_per_day is not None:
        daily = type(promise.usd)(*(requests_per_day * each for each in promise.usd))
        lines.insert(3, (f"USD per day of {requests_per_day:,.0f} requests", daily, "{:.4g}"))
    lines += [(f"first choices of {model}", figure, "{:.1%}") for model, figure in promise.first.items()]
    lines += [(f"calls of {model} per query", figure, "{:.1%}") for model, figure in promise.share.items()]
    for what, figure, form in lines:
        value, low, high = ("–" if each != each else form.format(each) for each in figure)
        yield {"what it will do": what, "": value, "from": low, "to (95 %)": high}


def _said(found: Calibrated, goal: Mapping[str, Any], requests_per_day: float | None) -> str:
    """Whether the goal holds on the questions that the trade-off was not chosen by, in the unit in which it was set."""
    form = "${:.3g}" if "usd_per_query" in goal or "usd_per_day" in goal else "{:.1%}"
    scale = requests_per_day or 1.0 if "usd_per_day" in goal else 1.0
    asked, value, low, high = (form.format(scale * each) for each in (found.reached.asked, *found.reached.measured))
    return f"asked {asked}, measured {value} ({low} to {high}): {found.reached.verdict}"


def _apart(found: Calibrated) -> Iterator[str]:
    """The models that are called much more often than they are chosen."""
    for model, calls in found.promise.share.items():
        first = found.promise.first[model]
        if abs(calls.value - first.value) > _APART:
            yield (
                f"{model} is the first choice for {first.value:.1%} of the queries and called for {calls.value:.1%}: "
                f"what others decline falls to it, and both calls are paid"
            )


def _title(found: Calibrated) -> str:
    return f"chosen on {found.n:,} questions, measured on {found.promise.n:,} others"


def _paste(found: Calibrated, router: str, out: Path | None) -> str:
    """The lines for waypost.yaml."""
    import orjson

    from waypost.evaluation.calibrate import words

    lines = [f"router: {router}"] if Path(router).is_dir() else []
    if out is not None:
        lines.append(f"calibration: {out}  # its trade-off is the default profile, and drift is watched")
    else:
        lines.append(f"profiles: {{default: {orjson.dumps(words(found.objective)).decode()}}}")
    return "\nIn waypost.yaml:\n" + "\n".join(f"  {line}" for line in lines)


def _check(check: Path, log: Path | None, router: str | None, format: str, config: Path | None, json: bool) -> None:
    from waypost.objective import Objective
    from waypost.outcomes.calibration import Calibration
    from waypost.outcomes.drift import drifted

    if log is None:
        raise BadInput("--check compares a log with the calibration: name the log too")
    known = Calibration.read(check)
    objective = Objective.from_mapping(known.objective)
    if traffic.is_store(log):
        recent = traffic.decided(log, objective)
    else:
        recent = _predicted(known, router, traffic.prompts(log, format), objective, config)
    found = drifted(known.reference, recent)
    if json:
        shifts = [{"feature": s.feature, "psi": s.psi, "p": s.p, "drifted": s.drifted} for s in found.shifts]
        output.emit([{"verdict": found.verdict, "n": found.n, "shifts": shifts}], json=True)
    else:
        typer.echo(f"{log}: {found}")
    if found.verdict != "has not drifted":
        raise typer.Exit(DRIFTED if found.verdict == "drifted" else TOO_FEW)


def _predicted(
    known: Calibration, router: str | None, prompts: tuple[str, ...], objective: Objective, config: Path | None
) -> Traffic:
    """What the calibrated router makes of some prompts."""
    from waypost import routers
    from waypost.evaluation.calibrate import traffic as seen
    from waypost.gateway import settings
    from waypost.routers.fingerprint import fingerprint
    from waypost.types import ModelCard

    spec = router or known.router
    if not Path(spec).is_dir():
        raise BadInput(
            f"prompts alone need the router that was calibrated, saved by waypost train; {spec!r} is no such folder"
        )
    made = routers.load(spec)
    if fingerprint(made) != known.fingerprint:
        raise BadInput(
            f"{spec} is not the router that was calibrated: it has learned something else; calibrate it again"
        )
    stated = {model.name: model.card for model in settings.load(config).models} if config else {}
    if objective.flags and not stated:
        raise BadInput(
            "the calibrated trade-off weighs facts of the models: name the config that has them with --config"
        )
    cards = {name: stated.get(name, ModelCard(name)) for name in made.models}
    with named.one_thread():
        return seen(made.predict(prompts), prompts, objective, cards)
