"""Collecting: every row once, none lost, none paid twice, and what cannot be is said before anything is paid."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from waypost.errors import BadInput, Declined, ModelFailed, NotInstalled, WaypostError
from waypost.outcomes import journal, parquet, scoring
from waypost.outcomes.collect import collect
from waypost.outcomes.judge import parse
from waypost.types import Answer, ModelCard, Query, Sample

CARD = ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0, usd_per_call=0.001)


class Fake:
    """Answers with a function of the prompt; remembers whom it was asked and how many at once."""

    def __init__(self, answer=lambda prompt: prompt, card=CARD, ready=None):
        self.card, self._answer, self._ready = card, answer, ready
        self.asked: list[str] = []
        self.now = self.most = 0

    async def complete(self, query: Query) -> Answer:
        self.asked.append(query.text)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        said = self._answer(query.text)
        if isinstance(said, Exception):
            raise said
        return Answer(self.card.name, said, tokens_in=10, tokens_out=5, seconds=0.25, logprob=-0.1)

    async def ready(self):
        return self._ready


def prompts(n, **more):
    return [Sample(f"p{i}", f"say {i}", "exact", f"say {i}", "echo") for i in range(n)]


@pytest.fixture
def table(tmp_path):
    return tmp_path / "t.parquet"


async def test_every_prompt_is_asked_of_every_model_once_and_kept_whole(table):
    good, bad = Fake(), Fake(lambda prompt: "no")
    report = await collect(prompts(5), {"good": good, "bad": bad}, table)
    assert parquet.read(table).means() == {"bad": (0.0, pytest.approx(0.00102)), "good": (1.0, pytest.approx(0.00102))}
    row = parquet.rows(table)[1]
    assert (row.id, row.model, row.answer, row.tokens_in, row.tokens_out) == ("p0", "good", "say 0", 10, 5)
    assert (row.seconds, row.logprob, row.group, row.scorer, row.reference) == (0.25, -0.1, "echo", "exact", "say 0")
    assert report.models["good"].done == 5 and report.models["good"].mean == 1.0
    assert report.usd == pytest.approx(10 * 0.00102) and report.stopped is None
    assert not journal.beside(table).exists()


async def test_a_row_keeps_what_was_cached_written_and_thought_and_costs_it(table):
    class Thinker(Fake):
        async def complete(self, query):
            parts = {"tokens_cached": 6, "tokens_written": 3, "tokens_reasoning": 4}
            return replace(await super().complete(query), **parts)

    card = replace(CARD, usd_per_mtok_cached=0.1, usd_per_mtok_written=1.25, usd_per_mtok_reasoning=3.0)
    await collect(prompts(1), {"m": Thinker(card=card)}, table)
    row = parquet.rows(table)[0]
    assert (row.tokens_cached, row.tokens_written, row.tokens_reasoning) == (6, 3, 4)
    assert row.usd == pytest.approx(0.001 + (1 * 1 + 6 * 0.1 + 3 * 1.25 + 1 * 2 + 4 * 3) / 1e6)


class Silent(Fake):
    """A provider that does not count tokens."""

    async def complete(self, query):
        return replace(await super().complete(query), tokens_in=0, tokens_out=0)


async def test_without_usage_the_cost_is_unknown_and_not_zero(table):
    report = await collect(prompts(2), {"m": Silent()}, table)
    assert [row.usd for row in parquet.rows(table)] == [None, None]
    assert report.models["m"].unpriced == report.unpriced == 2


async def test_a_judge_without_usage_is_a_gap_in_the_cost(table):
    judge = Silent(lambda prompt: "1")
    report = await collect([Sample("p", "say", "judge", "said")], {"m": Fake()}, table, judge=judge)
    assert (report.judge_unpriced, report.unpriced, report.judge_usd) == (1, 1, 0)


async def test_a_limit_stops_at_the_first_answer_that_nobody_can_price(table):
    model = Silent()
    report = await collect(prompts(50), {"m": model}, table, concurrency=2, limit_usd=1)
    assert len(model.asked) <= 3 and "without token counts" in report.stopped


async def test_a_second_run_asks_only_what_is_missing(table):
    model = Fake()
    await collect(prompts(3), {"m": model}, table)
    report = await collect(prompts(5), {"m": model, "new": Fake()}, table)
    assert Counter(model.asked) == Counter(s.prompt for s in prompts(5))
    assert (report.models["m"].there, report.models["m"].done, report.models["new"].done) == (3, 2, 5)


@pytest.mark.parametrize("change", ["prompt", "reference"])
async def test_another_prompt_or_reference_under_an_old_id_is_refused(table, change):
    await collect(prompts(3), {"m": Fake()}, table)
    changed = [replace(prompts(1)[0], **{change: "other"})]
    with pytest.raises(BadInput, match=f"sample 'p0' has another {change} than in the table .*new id"):
        await collect(changed, {"m": Fake()}, table)


async def test_a_declined_call_is_a_row_of_quality_zero_with_its_cost(table):
    declines = Fake(lambda prompt: Declined("not mine"))
    report = await collect(prompts(2), {"m": declines}, table)
    row = parquet.rows(table)[0]
    assert row.declined and row.quality == 0.0 and row.answer == ""
    assert row.usd == CARD.usd(Query.of("say 0").size, 0)
    assert report.models["m"].declined == 2 and len(declines.asked) == 2


async def test_a_failed_call_is_tried_again_and_then_is_no_row(table):
    flaky = Fake(lambda prompt: ModelFailed("busy", upstream=503) if flaky.asked.count(prompt) < 3 else prompt)
    dead = Fake(lambda prompt: ModelFailed("down"))
    report = await collect(prompts(2), {"flaky": flaky, "dead": dead}, table, pause=0)
    assert {row.model for row in parquet.rows(table)} == {"flaky"} and len(flaky.asked) == 6
    assert report.models["dead"].failed == 2 and len(dead.asked) == 8
    again = await collect(prompts(2), {"flaky": flaky, "dead": Fake()}, table)
    assert again.models["dead"].done == 2 and again.models["flaky"].done == 0


async def test_what_a_provider_refuses_is_not_asked_again(table):
    refuses = Fake(lambda prompt: ModelFailed("too long", upstream=400))
    report = await collect(prompts(3), {"m": refuses}, table)
    assert len(refuses.asked) == 3 and report.models["m"].failed == 3 and report.models["m"].gave_up is None


@pytest.mark.parametrize(("error", "asked"), [(ModelFailed("no such key", upstream=401), 1), (ModelFailed("down"), 40)])
async def test_a_model_that_only_fails_is_left_alone(table, error, asked):
    dead = Fake(lambda prompt: error)
    report = await collect(prompts(100), {"dead": dead, "m": Fake()}, table, concurrency=1, pause=0)
    assert len(dead.asked) == asked and report.models["dead"].gave_up == str(error)
    assert report.models["m"].done == 100


@pytest.mark.parametrize(("concurrency", "most"), [(3, {"a": 3, "b": 3}), ({"a": 1, "b": 4}, {"a": 1, "b": 4})])
async def test_no_more_calls_are_in_flight_than_allowed(table, concurrency, most):
    models = {"a": Fake(), "b": Fake()}
    await collect(prompts(20), models, table, concurrency=concurrency)
    assert {name: model.most for name, model in models.items()} == most


async def test_the_limit_is_kept_but_for_calls_in_flight(table):
    model = Fake()
    report = await collect(prompts(50), {"m": model}, table, concurrency=2, limit_usd=0.01)
    assert 10 <= len(model.asked) <= 11 and "limit of 0.01 USD" in report.stopped
    assert len(parquet.rows(table)) == len(model.asked)


async def test_a_limit_on_a_model_of_unknown_price_is_refused(table):
    with pytest.raises(BadInput, match="limit in USD cannot be kept: free states no price"):
        await collect(prompts(1), {"m": Fake(card=ModelCard("free"))}, table, limit_usd=1)


async def test_an_unknown_price_stays_unknown_and_is_counted(table):
    report = await collect(prompts(2), {"m": Fake(card=ModelCard("free"))}, table)
    assert parquet.rows(table)[0].usd is None and report.models["m"].unpriced == 2


async def test_scoring_that_breaks_stops_the_run_with_the_sample_and_keeps_the_rest(table, monkeypatch):
    def broken(sample, text):
        if sample.id == "p3":
            raise ZeroDivisionError("by zero")
        return 1.0

    monkeypatch.setattr(scoring, "SCORERS", {**scoring.SCORERS, "exact": broken})
    model = Fake()
    with pytest.raises(WaypostError, match="scoring sample 'p3' broke on the answer of m: by zero"):
        await collect(prompts(9), {"m": model}, table, concurrency=1)
    assert [row.id for row in parquet.rows(table)] == ["p0", "p1", "p2"] and len(model.asked) == 4


@pytest.mark.parametrize(("samples", "said"), [
    ([], "nothing to collect"),
    ([Sample("a", "x", "exakt", "x")], "no scorer 'exakt'"),
    ([Sample("a", "x", "exact", "x")] * 2, "two samples have the id 'a'"),
    ([Sample("a", "x", "judge", "be kind")], "scored by a judge model; name one"),
])  # fmt: skip
async def test_samples_that_cannot_be_scored_are_refused_before_anything_is_paid(table, samples, said):
    model = Fake()
    with pytest.raises(BadInput, match=said):
        await collect(samples, {"m": model}, table)
    assert model.asked == [] and not table.exists()


async def test_a_model_that_is_not_ready_is_refused(table):
    with pytest.raises(NotInstalled, match="m cannot be called: the file is missing"):
        await collect(prompts(1), {"m": Fake(ready="the file is missing")}, table)


async def test_a_judge_marks_and_its_cost_is_counted_apart(table):
    judge = Fake(lambda prompt: "7/10" if "say 0" in prompt and "be kind" in prompt else "none")
    samples = [Sample("a", "say 0", "judge", "be kind"), Sample("b", "say 1", "exact", "say 1")]
    report = await collect(samples, {"m": Fake()}, table, judge=judge)
    assert [row.quality for row in parquet.rows(table)] == [0.7, 1.0]
    assert report.judge_usd == pytest.approx(0.00102) and report.usd == pytest.approx(3 * 0.00102)


async def test_a_judge_that_gives_no_mark_leaves_no_row(table):
    report = await collect(
        [Sample("a", "Hi", "judge", "be kind")], {"m": Fake()}, table, judge=Fake(lambda _: "fine"), pause=0
    )
    assert report.models["m"].failed == 1 and parquet.rows(table) == []


@pytest.mark.parametrize(("said", "mark"), [
    ("8", 0.8), ("8/10", 0.8), ("Mark: 10.", 1.0), ("**0**", 0.0), ("7.0", 0.7), ("I give it 3 of 10", 0.3),
])  # fmt: skip
def test_marks_are_read(said, mark):
    assert parse(said) == mark


@pytest.mark.parametrize("said", ["", "great", "85", "11", "-"])
def test_what_is_no_mark_is_no_mark(said):
    with pytest.raises(ModelFailed, match="no mark from 0 to 10"):
        parse(said)


async def test_progress_sees_every_row_after_it_is_on_disk(table):
    seen = []
    await collect(
        prompts(4), {"m": Fake()}, table, progress=lambda r: seen.append((r.models["m"].done, len(parquet.rows(table))))
    )
    assert len(seen) == 4 and all(done <= stored for done, stored in seen)


async def test_a_cancelled_run_keeps_what_was_paid(table):
    def stop(report):
        if report.models["m"].done == 3:
            task.cancel()

    task = asyncio.create_task(collect(prompts(50), {"m": Fake()}, table, concurrency=1, progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(parquet.rows(table)) >= 3


COLLECTOR = """
import asyncio, sys
from pathlib import Path
from waypost.outcomes.collect import collect
from waypost.types import Answer, ModelCard, Sample

folder, last = Path(sys.argv[1]), []

class Slow:
    card = ModelCard("slow", usd_per_mtok_in=1.0, usd_per_mtok_out=1.0)
    async def complete(self, query):
        with (folder / "calls").open("a") as calls:
            calls.write(query.text + "\\n")
        await asyncio.sleep(0.01)
        return Answer("slow", query.text, tokens_in=1, tokens_out=1)
    async def ready(self):
        return None

def tell(report):
    print(report.models["slow"].done, flush=True)

samples = [Sample(str(i), f"say {i}", "exact", f"say {i}") for i in range(60)]
asyncio.run(collect(samples, {"slow": Slow()}, folder / "t.parquet", concurrency=3, progress=tell))
"""


def test_a_killed_collection_loses_no_row_and_pays_none_twice(tmp_path):
    table, command = tmp_path / "t.parquet", [sys.executable, "-c", COLLECTOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        acknowledged = max(int(run.stdout.readline()) for _ in range(20))
        run.send_signal(signal.SIGKILL)
    kept = {row.id for row in parquet.rows(table)}
    assert 20 <= acknowledged <= len(kept) < 60 and journal.beside(table).exists()

    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows = parquet.rows(table)
    calls = Counter(line.removeprefix("say ") for line in (tmp_path / "calls").read_text().splitlines())
    assert len(rows) == 60 and all(row.quality == 1.0 for row in rows)
    assert {calls[id] for id in kept} == {1}
    # Only a call that was in flight when the process died may have been made again: at most three.
    assert sum(calls.values()) <= 63 and not journal.beside(table).exists()


def test_an_interrupted_collection_ends_with_its_rows(tmp_path):
    command = [sys.executable, "-c", COLLECTOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        acknowledged = max(int(run.stdout.readline()) for _ in range(5))
        run.send_signal(signal.SIGINT)
    assert acknowledged <= len(parquet.rows(tmp_path / "t.parquet")) < 60
