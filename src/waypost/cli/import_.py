"""``waypost import``: other people's tables and logs, as an outcomes table or as prompts to collect one for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from waypost.cli import output
from waypost.cli.prices import Pricing
from waypost.errors import BadInput, BadTable

if TYPE_CHECKING:
    from waypost.outcomes import Outcomes
    from waypost.outcomes.readers import Intake
    from waypost.types import Outcome, Sample

_GOOD = "It does all of what was asked, is right, and is to the point."
FORMATS = (
    "waypost, routerdc, routerbench, llmrouter, routellm, battles, sprout, routerarena, routereval, embedllm, "
    "litellm or openai"
)


def import_(
    files: Annotated[list[Path], typer.Argument(help="Files of one format, which become one table.")],
    out: Annotated[Path, typer.Option(help="The table to write (.parquet), or the prompts alone (.jsonl, .csv).")],
    format: Annotated[str | None, typer.Option(help=f"{FORMATS}; default: told from the content.")] = None,
    scale: Annotated[float, typer.Option(min=1.0, help="The score that counts as 1, such as 10 or 100.")] = 1.0,
    per: Annotated[float | None, typer.Option(min=1.0, help="How many queries a cost is for; default: 1.")] = None,
    pool: Annotated[str, typer.Option(help="Of several pools in a file (routereval), which one.")] = "",
    prices: Annotated[
        str | None, typer.Option(help="What prices tokens where no cost is stated: a .json or .yaml file, or 'list'.")
    ] = None,
    good: Annotated[str, typer.Option(help="For prompts without a reference: what the judge is to look for.")] = _GOOD,
    max_bytes: Annotated[int, typer.Option(min=1, help="The largest pickle or JSON file to read.")] = 4 << 30,
    force: Annotated[
        bool, typer.Option("--force", help="Replace OUT; import also where units seem mixed or most is left out.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as one JSON object.")] = False,
) -> None:
    """Read tables and logs that others publish, and say what was left out and why.

    A log has no scores: it becomes prompts (--out prompts.jsonl) for waypost collect.
    """
    from waypost.outcomes import readers
    from waypost.pool.usage import Usage

    kind = _kind(files, format)
    to_table = _target(out, kind, force)
    if not readers.named(kind).scored:
        per = per or 1.0  # a log tells the cost of each call
    intake = readers.Intake(scale=scale, per=per, pool=pool, max_bytes=max_bytes, usage=Usage.of)
    pricing = Pricing.of(prices)
    with output.step(f"reading {len(files)} file{'s' if len(files) > 1 else ''} as {kind}"):
        rows = pricing.priced(readers.answers(kind, files, intake, distinct=to_table))
        report = _table(rows, out, intake, force) if to_table else _prompts(rows, out, intake, good, force)
    notes = [*intake.sentences(), *pricing.sentences(), *report.pop("notes")]
    if json:
        left = {reason: left.answers for reason, left in intake.left.items()}
        about = {"format": kind, "files": [str(file) for file in files], "out": str(out)}
        output.emit([{**about, **report, "answers": intake.answers, "left_out": left, "notes": notes}], json=True)
        return
    for sentence in notes:
        output.say(sentence)
    output.emit(map(_people, report["models"]), json=False, title=f"\n{out}: {report['questions']:,} questions")
    typer.echo(f"\n{_next(out, to_table)}")


def _people(model: dict[str, Any]) -> dict[str, Any]:
    """A model's line for people, who read the mean cost of a table by the thousand questions."""
    if "quality" not in model:  # of a log, whose line sums what was spent
        return model
    return {
        "model": model["model"],
        "answers": model["answers"],
        "quality": model["quality"],
        "$ / 1,000": 1000 * model["usd"],
    }


def _kind(files: list[Path], format: str | None) -> str:
    from waypost.outcomes import readers

    if format is not None:
        readers.named(format)
        return format
    kinds = {file: readers.guessed(file) for file in files}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{file.name}: {kind}" for file, kind in kinds.items())
        raise BadInput(f"the files are of different formats ({told}); import them one format at a time")
    kind = kinds[files[0]]
    output.say(f"{files[0].name} is read as {kind}, as its content tells; --format says otherwise")
    return kind


def _target(out: Path, kind: str, force: bool) -> bool:
    """Whether a table is to be written, not prompts."""
    from waypost.outcomes import readers

    if out.suffix not in (".parquet", ".jsonl", ".csv"):
        raise BadInput(f"--out is {out}; a table must end in .parquet, prompts in .jsonl or .csv")
    if out.exists() and not force:
        raise BadInput(f"{out} exists; choose another --out, or --force to replace it")
    to_table = out.suffix == ".parquet"
    if to_table and not readers.named(kind).scored:
        raise BadInput(
            f"a {kind} log has no scores, and each prompt in it went to one model, so it makes no table; import its "
            f"prompts (--out prompts.jsonl), then: waypost collect prompts.jsonl --judge MODEL --out {out}"
        )
    return to_table


def _checked(intake: Intake, force: bool) -> list[str]:
    problems = list(intake.problems())
    if problems and not force:
        raise BadTable(f"{problems[0]}; --force imports it as it is")
    return [f"forced: {problem}" for problem in problems]


def _table(rows: Iterator[Outcome], out: Path, intake: Intake, force: bool) -> dict[str, Any]:
    import numpy as np

    from waypost.outcomes import Outcomes, parquet

    try:
        table = Outcomes.from_rows(rows)
    except BadTable:
        for sentence in intake.sentences():
            output.say(sentence)
        raise
    notes = _checked(intake, force) + _remarks(table)
    parquet.write(out, table)
    models = [
        {
            "model": name,
            "answers": int((~np.isnan(table.quality_NM[:, m])).sum()),
            "quality": quality,
            "usd": usd,
        }
        for m, (name, (quality, usd)) in enumerate(table.means().items())
    ]
    return {"questions": len(table), "models": models, "notes": notes}


def _remarks(table: Outcomes) -> list[str]:
    """What a user should know of a table before believing a number from it."""
    import numpy as np

    said = []
    if missing := int(np.isnan(table.quality_NM).sum()):
        said.append(f"cells without a score, which stay missing: {missing:,} of {table.quality_NM.size:,}")
    if repeated := len(table) - len(set(table.prompts)):
        said.append(f"questions that ask what another one asks, which a split keeps on one side: {repeated:,}")
    unknown = int(np.isnan(table.usd_NM[~np.isnan(table.quality_NM)]).sum())
    if unknown and not np.isfinite(table.usd_NM).any():
        said.append("no answer has a cost; where tokens are counted, --prices makes them costs")
    elif unknown:
        said.append(f"scored answers without a cost, which stay without: {unknown:,}")
    return said


def _prompts(rows: Iterator[Outcome], out: Path, intake: Intake, good: str, force: bool) -> dict[str, Any]:
    from waypost.outcomes import samples

    found: dict[str, Sample] = {}
    models: dict[str, dict[str, Any]] = {}
    calls = 0
    for row in rows:
        calls += 1
        found.setdefault(row.prompt, _sample(row, good))
        if row.model:
            _add(models.setdefault(row.model, {"model": row.model, "calls": 0, "priced": 0, "usd": 0.0}), row)
    if not found:
        for sentence in intake.sentences():
            output.say(sentence)
        raise BadTable("no prompt is left to write")
    notes = _checked(intake, force)
    if calls > len(found):
        notes.append(
            f"calls that asked what another one asked: {calls - len(found):,} of {calls:,}; each prompt is written once"
        )
    samples.write(out, found.values())
    listed = [{**one, "usd": one["usd"] if one["priced"] else None} for one in models.values()]
    return {"questions": len(found), "models": listed, "notes": notes}


def _add(total: dict[str, Any], row: Outcome) -> None:
    total["calls"] += 1
    if row.usd is not None:
        total["priced"] += 1
        total["usd"] += row.usd


def _sample(row: Outcome, good: str) -> Sample:
    """The prompt with a way to score it: as the row says, else by a judge who knows the reference if there is one."""
    from waypost.outcomes import samples, scoring
    from waypost.types import Sample

    name = samples.stable_id(row.prompt)
    if row.scorer and row.reference:
        sample = Sample(name, row.prompt, row.scorer, row.reference, row.group)
        try:
            scoring.check(sample)
        except BadInput:
            pass
        else:
            return sample
    reference = f"It comes to this answer: {row.reference}" if row.reference.strip() else good
    return Sample(name, row.prompt, scoring.JUDGE, reference, row.group)


def _next(out: Path, to_table: bool) -> str:
    if to_table:
        return f"{out} holds the table; measure routers on it with: waypost eval {out}"
    return f"{out} holds the prompts; collect outcomes with: waypost collect {out} --judge MODEL --out outcomes.parquet"
