"""Run prompts through models, score the answers, and keep every row that was paid for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from waypost.errors import BadInput, Declined, ModelFailed, NotInstalled, WaypostError
from waypost.outcomes import judge as judging
from waypost.outcomes import parquet, scoring
from waypost.outcomes.journal import Journal
from waypost.types import Answer, Model, Outcome, Query, Sample

# Short answers, the same for every model and every time.
PARAMETERS: Mapping[str, Any] = {"max_tokens": 96, "temperature": 0}
_ATTEMPTS = 4
_LAST_STRAW = 10  # failures in a row after which a model is left alone
_FOLD_EVERY = 5000
# Statuses of a provider that say "later" rather than "never".
_PASSING = {408, 409, 425, 429}


@dataclass
class Tally:
    """What became of the prompts that one model is ``asked``: rows that were ``there``, ``done`` now, and the rest.

    ``usd`` is of this run and leaves out its ``unpriced`` answers; ``quality`` sums over all rows.
    """

    asked: int = 0
    there: int = 0
    done: int = 0
    declined: int = 0
    failed: int = 0
    unpriced: int = 0
    usd: float = 0.0
    quality: float = 0.0
    gave_up: str | None = None

    @property
    def left(self) -> int:
        """Prompts that are still to be asked."""
        return self.asked - self.there - self.done - self.failed

    @property
    def mean(self) -> float | None:
        """Mean quality of the rows that are there now."""
        rows = self.there + self.done
        return self.quality / rows if rows else None


@dataclass
class Report:
    """A collection while it runs and when it is over.

    ``there`` counts rows that an earlier run had paid for; ``stopped`` says why it ended before its end.
    """

    table: Path
    models: Mapping[str, Tally]
    judge_usd: float = 0.0
    judge_unpriced: int = 0
    seconds: float = 0.0
    stopped: str | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def usd(self) -> float:
        """What this run cost as far as prices are known, the judge included."""
        return self.judge_usd + sum(tally.usd for tally in self.models.values())

    @property
    def unpriced(self) -> int:
        """How many answers of this run have an unknown cost, the judge's included."""
        return self.judge_unpriced + sum(tally.unpriced for tally in self.models.values())


async def collect(
    samples: Sequence[Sample],
    models: Mapping[str, Model],
    table: Path,
    *,
    concurrency: Mapping[str, int] | int = 4,
    judge: Model | None = None,
    progress: Callable[[Report], None] | None = None,
    limit_usd: float | None = None,
    parameters: Mapping[str, Any] = PARAMETERS,
    pause: float = 0.5,
) -> Report:
    """Ask every model every prompt whose row is not in ``table`` yet; a row is on disk before it is counted.

    A declined call is a row of quality 0.  A failed one is tried four times, ``pause`` seconds apart and doubling,
    and is then no row but a count; the next run tries again.  ``limit_usd`` starts no call once so much is spent,
    so that it is passed by the calls in flight at most.

    Raises:
        BadInput: samples that cannot be scored, a prompt that has changed under its id, a limit on a model without
            a price, another process that collects into the table.
        NotInstalled: a model cannot be called; the sentence says why.
        WaypostError: scoring broke; the sentence names the sample.  What was collected until then is kept.
    """
    _check(samples, models, judge, limit_usd)
    with Journal(table) as journal:
        kept = {(row.id, row.model): row for row in parquet.rows(table)}
        _refuse_changes(samples, kept)
        await _check_ready({**models, **({"the judge": judge} if judge else {})})
        todo, report = _begin(samples, models, table, kept)
        run = _Run(models, journal, report, judge, progress, limit_usd, parameters, pause)
        try:
            await run.all(todo, concurrency)
        finally:
            run.fold()
            report.seconds = time.perf_counter() - report.started
    return report


@dataclass
class _Run:
    models: Mapping[str, Model]
    journal: Journal
    report: Report
    judge: Model | None
    progress: Callable[[Report], None] | None
    limit_usd: float | None
    parameters: Mapping[str, Any]
    pause: float
    written: int = 0

    async def all(self, todo: Mapping[str, Sequence[Sample]], concurrency: Mapping[str, int] | int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, samples in todo.items():
                    workers = concurrency if isinstance(concurrency, int) else concurrency.get(name, 1)
                    queue = iter(samples)
                    for _ in range(min(workers, len(samples))):
                        group.create_task(self.work(name, queue))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the first stops the run; the others only followed it

    async def work(self, name: str, queue: Iterator[Sample]) -> None:
        tally = self.report.models[name]
        straws = 0
        for sample in queue:
            if self.limit_usd is not None and (why := self.limit_reached(self.limit_usd)):
                self.report.stopped = why
                return
            if tally.gave_up:
                return
            try:
                self.keep(await self.patiently(name, sample))
                straws = 0
            except ModelFailed as error:
                tally.failed += 1
                straws += 1
                if straws == _LAST_STRAW or _hopeless(error):
                    tally.gave_up = str(error)
            if self.progress:
                self.progress(self.report)

    def limit_reached(self, limit: float) -> str | None:
        """Why no more may be spent, if so; a call that nobody can price may have cost anything."""
        if self.report.unpriced:
            return f"an answer came without token counts, so the limit of {limit} USD cannot be kept"
        if self.report.usd >= limit:
            return f"the limit of {limit} USD is reached; run the command again with a higher one to go on"
        return None

    async def patiently(self, name: str, sample: Sample) -> Outcome:
        """The row of a sample, however often the model or the judge must be asked."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self.row(name, sample)
            except ModelFailed as error:
                if attempt == _ATTEMPTS - 1 or _refused(error):
                    raise
                wait = self.pause * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
                await asyncio.sleep(max(wait, error.retry_after or 0.0))
        raise AssertionError("the last attempt returns or raises")

    async def row(self, name: str, sample: Sample) -> Outcome:
        model, query = self.models[name], Query.of(sample.prompt, **self.parameters)
        started = time.perf_counter()
        try:
            answer = await model.complete(query)
        except Declined as error:
            seconds = time.perf_counter() - started
            usd = model.card.usd(query.size, 0)
            answer = Answer(name, tokens_in=query.size, seconds=seconds, usd=usd, declined=str(error))
        quality = 0.0 if answer.declined else await self.mark(sample, answer)
        return Outcome(
            id=sample.id,
            prompt=sample.prompt,
            group=sample.group,
            model=name,
            quality=quality,
            usd=_usd(model, answer),
            seconds=answer.seconds,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            answer=answer.text,
            finish=answer.finish,
            logprob=answer.logprob,
            declined=answer.declined is not None,
            reference=sample.reference,
            scorer=sample.scorer,
            tokens_cached=answer.tokens_cached,
            tokens_written=answer.tokens_written,
            tokens_reasoning=answer.tokens_reasoning,
        )

    async def mark(self, sample: Sample, answer: Answer) -> float:
        if sample.scorer == scoring.JUDGE and self.judge is not None:
            said = await self.judge.complete(judging.question(sample, answer.text))
            usd = _usd(self.judge, said)
            self.report.judge_usd += usd or 0.0
            self.report.judge_unpriced += usd is None
            return judging.parse(said.text)
        try:
            return scoring.score(sample, answer.text)
        except Exception as error:
            raise WaypostError(
                f"scoring sample {sample.id!r} broke on the answer of {answer.model}: {error}; mend the sample and "
                f"run again, what was collected is kept"
            ) from error

    def keep(self, row: Outcome) -> None:
        self.journal.append(row)
        tally = self.report.models[row.model]
        tally.done += 1
        tally.declined += row.declined
        tally.quality += row.quality or 0.0
        tally.usd += row.usd or 0.0
        tally.unpriced += row.usd is None
        self.report.seconds = time.perf_counter() - self.report.started
        self.written += 1
        if self.written % _FOLD_EVERY == 0:
            self.fold()

    def fold(self) -> None:
        """Move the journal's rows into the table."""
        table = self.report.table
        if self.journal.path.stat().st_size:
            parquet.write(table, parquet.rows(table))
            self.journal.clear()


def _usd(model: Model, answer: Answer) -> float | None:
    """What the model says it cost, or what its tokens do; unknown where nobody counted them."""
    if answer.usd is not None or not answer.tokens_in:
        return answer.usd
    return model.card.usd(
        answer.tokens_in,
        answer.tokens_out,
        cached=answer.tokens_cached,
        written=answer.tokens_written,
        reasoning=answer.tokens_reasoning,
    )


def _check(
    samples: Sequence[Sample], models: Mapping[str, Model], judge: Model | None, limit_usd: float | None
) -> None:
    if not samples or not models:
        raise BadInput(f"nothing to collect: {len(samples)} prompts and {len(models)} models")
    seen: set[str] = set()
    for sample in samples:
        scoring.check(sample)
        if sample.id in seen:
            raise BadInput(f"two samples have the id {sample.id!r}; ids must be unique")
        seen.add(sample.id)
        if sample.scorer == scoring.JUDGE and judge is None:
            raise BadInput(f"sample {sample.id!r} is scored by a judge model; name one (--judge MODEL)")
    if limit_usd is not None:
        asked = [*models.values(), *([judge] if judge else [])]
        if unpriced := [m.card.name for m in asked if m.card.usd(1, 1) is None]:
            raise BadInput(
                f"a limit in USD cannot be kept: {', '.join(unpriced)} states no price; set one in the config"
            )


def _begin(
    samples: Sequence[Sample], models: Mapping[str, Model], table: Path, kept: Mapping[tuple[str, str], Outcome]
) -> tuple[dict[str, list[Sample]], Report]:
    if not table.is_file():
        parquet.write(table, [])  # from now on there is a table to read, with its journal, whatever happens
    todo: dict[str, list[Sample]] = {name: [] for name in models}
    tallies = {name: Tally(len(samples)) for name in models}
    for name, sample in product(models, samples):
        row = kept.get((sample.id, name))
        if row is None:
            todo[name].append(sample)
        else:
            tallies[name].there += 1
            tallies[name].quality += row.quality or 0.0
    return todo, Report(table, tallies)


def _refuse_changes(samples: Sequence[Sample], kept: Mapping[tuple[str, str], Outcome]) -> None:
    """A row of another prompt or reference under the same id would be taken for this sample's."""
    old = {row.id: row for row in kept.values()}
    for sample in samples:
        row = old.get(sample.id)
        for name in ("prompt", "scorer", "reference"):
            if row is not None and getattr(row, name) != getattr(sample, name):
                raise BadInput(
                    f"sample {sample.id!r} has another {name} than in the table ({getattr(sample, name)!r}, there "
                    f"{getattr(row, name)!r}); give it a new id, or choose another --out"
                )


async def _check_ready(models: Mapping[str, Model]) -> None:
    for name, model in models.items():
        if why := await model.ready():
            raise NotInstalled(f"{name} cannot be called: {why}")


def _refused(error: ModelFailed) -> bool:
    """Whether asking again can only give the same answer."""
    return error.upstream is not None and 400 <= error.upstream < 500 and error.upstream not in _PASSING


def _hopeless(error: ModelFailed) -> bool:
    """Whether no other prompt will fare better: no such model, or no right to call it."""
    return error.upstream in (401, 402, 403, 404)
