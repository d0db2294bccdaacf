"""Rows are kept without making anyone wait, and what was acknowledged is never lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from queue import Full

import pytest

from waypost.errors import BadConfig
from waypost.store import Attempt, Decided, Feedback, Writer
from waypost.types import Decision

DECISION = Decision(
    router="ridge",
    ranking=("small", "large"),
    scores={"small": 0.5, "large": 0.4},
    quality={"small": 0.5, "large": 0.9},
    usd={"small": float("nan"), "large": 0.01},
    seconds={"small": 0.1, "large": 1.0},
    removed={"old": "not in the pool"},
    weights={"quality": 1.0, "usd": 50.0},
    why="small: because",
)


def decided(id: str, prompt: str | None = None) -> Decided:
    attempts = (Attempt("small", "failed", 0.1, None, "gone"), Attempt("large", "ok", 0.9, 0.01))
    return Decided(id, 1_795_000_000.5, "0" * 64, prompt, "auto", DECISION, attempts, "large", 0.01, 1.1, 5, 7, 200)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows.sqlite"


def test_a_row_comes_back_as_it_was_put(path):
    writer = Writer(path)
    writer.put(decided("a"))
    writer.put_feedback(Feedback("a", 1_795_000_001.0, 0.5, "fine")).result(30)
    writer.close()
    reopened = Writer(path)
    row = reopened.find("a")
    assert row["time"] == "2026-11-18T11:06:40.500+00:00"
    assert (row["router"], row["chosen"], row["served"], row["why"]) == ("ridge", "small", "large", "small: because")
    assert row["predictions"]["large"] == {"score": 0.4, "quality": 0.9, "usd": 0.01, "seconds": 1.0}
    assert row["predictions"]["small"]["usd"] is None, "what is not known is not a number"
    assert row["attempts"][0] == {"model": "small", "outcome": "failed", "seconds": 0.1, "usd": None, "problem": "gone"}
    assert (row["removed"], row["weights"]) == ({"old": "not in the pool"}, {"quality": 1.0, "usd": 50.0})
    assert [(f["quality"], f["comment"]) for f in row["feedback"]] == [(0.5, "fine")]
    assert reopened.find("b") is None
    reopened.close()


def test_a_file_of_an_older_version_is_widened_and_its_rows_stay(path):
    later = ("tokens_cached", "tokens_written", "tokens_reasoning")
    writer = Writer(path)
    writer.put(decided("old"))
    writer.close()
    with closing(sqlite3.connect(path)) as connection:
        for column in later:
            connection.execute(f"ALTER TABLE decisions DROP COLUMN {column}")
    writer = Writer(path)
    writer.put(replace(decided("new"), tokens_cached=3, tokens_written=2, tokens_reasoning=1))
    writer.settled().result(30)
    assert [[writer.find(id)[name] for name in later] for id in ("old", "new")] == [[None, None, None], [3, 2, 1]]
    writer.close()


def test_closing_writes_what_waits(path):
    writer = Writer(path)
    for number in range(2000):
        writer.put(decided(str(number)))
    writer.close()
    assert writer.dropped == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from decisions").fetchone() == (2000,)


def test_a_full_queue_drops_at_once_and_counts(path):
    writer = Writer(path, capacity=10)
    writer.put_feedback(Feedback("a", 0.0, 1.0)).result(30)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # the disk is busy: nothing can be written now
        start = time.perf_counter()
        for number in range(1000):
            writer.put(decided(str(number)))
        seconds = time.perf_counter() - start
        assert seconds < 0.5, "nobody has waited for the disk"
        assert writer.dropped > 0
        with pytest.raises(Full):
            while True:
                writer.put_feedback(Feedback("a", 0.0, 1.0))
        other.execute("ROLLBACK")
    writer.close(timeout=30)
    with closing(sqlite3.connect(path)) as connection:
        (kept,) = connection.execute("select count(*) from decisions").fetchone()
    assert kept + writer.dropped == 1000, "every row is either kept or counted"


@pytest.mark.parametrize(
    "bad",
    [decided("a"), replace(decided("b"), tokens_in=2**63), replace(decided("b"), time=1e300)],
    ids=["the same id again", "a number too large for SQLite", "a time that no calendar has"],
)
def test_a_row_that_cannot_be_stored_is_counted_told_and_takes_no_other_with_it(path, caplog, bad):
    writer = Writer(path)
    writer.put(decided("a"))
    writer.settled().result(30)
    for number in range(20):
        writer.put(decided(f"before {number}"))
    writer.put(bad)
    for number in range(20):
        writer.put(decided(f"after {number}"))
    said = writer.put_feedback(Feedback("a", 0.0, 1.0))
    said.result(30)
    assert writer.dropped == 1
    assert "1 row(s) not written" in caplog.text
    assert all(writer.find(f"{when} {number}") for when in ("before", "after") for number in range(20))
    writer.put(decided("c"))
    writer.settled().result(30)
    assert writer.find("c") is not None
    writer.close()


def test_feedback_that_cannot_be_stored_is_told_to_whoever_waits_for_it_and_to_nobody_else(path):
    writer = Writer(path)
    bad = writer.put_feedback(Feedback("a", 1e300, 1.0))
    good = writer.put_feedback(Feedback("a", 0.0, 1.0))
    with pytest.raises((OverflowError, ValueError)):
        bad.result(30)
    good.result(30)
    writer.close()


@pytest.mark.parametrize("content", [None, b"this is no database, it is a letter to my aunt"])
def test_a_store_that_cannot_be_used_is_told_at_once(tmp_path, content):
    path = tmp_path / "missing" / "rows.sqlite"
    if content:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(BadConfig, match=r"rows\.sqlite cannot be used"):
        Writer(path)


def test_what_was_acknowledged_survives_a_kill(path):
    code = """
import os, signal, sys
from pathlib import Path
from waypost.store import Feedback, Writer
writer = Writer(Path(sys.argv[1]))
for number in range(20):
    writer.put_feedback(Feedback(str(number), 0.0, 1.0)).result(30)
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert done.stdout.split() == [str(number) for number in range(20)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from feedback").fetchone() == (20,)
