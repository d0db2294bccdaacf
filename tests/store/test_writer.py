"""Rows are kept without making anyone wait, and what was acknowledged is never lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from queue import Full
from unittest.mock import Mock

import pytest

from waypost.errors import BadConfig
from waypost.store import Attempt, Decided, Feedback, Writer, line
from waypost.store.database import StoreDown
from waypost.store.spool import Spool
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


@pytest.fixture
def opened(store, tmp_path):
    """Opens a writer on the store, the same one each time."""
    return lambda **settings: Writer(store, spool=tmp_path / "spool", **settings)


def test_a_row_comes_back_as_it_was_put(opened):
    writer = opened()
    told = {"key": "k1", "team": "research", "session": "5e55", "cache": "exact", "canary": "half", "api": "messages"}
    shadow = {"model": "large", "usd": 0.01}
    writer.put(replace(decided("a"), **told, shadow=shadow, overhead_seconds=0.0002))
    writer.put(decided("plain"))
    writer.put_feedback(Feedback("a", 1_795_000_001.0, 0.5, "fine")).result(30)
    writer.close()
    reopened = opened()
    row = reopened.find("a")
    assert row["time"] == "2026-11-18T11:06:40.500+00:00"
    assert (row["router"], row["chosen"], row["served"], row["why"]) == ("ridge", "small", "large", "small: because")
    assert row["predictions"]["large"] == {"score": 0.4, "quality": 0.9, "usd": 0.01, "seconds": 1.0}
    assert row["predictions"]["small"]["usd"] is None, "what is not known is not a number"
    assert row["attempts"][0] == {"model": "small", "outcome": "failed", "seconds": 0.1, "usd": None, "problem": "gone"}
    assert (row["removed"], row["weights"]) == ({"old": "not in the pool"}, {"quality": 1.0, "usd": 50.0})
    assert {name: row[name] for name in told} == told
    assert (row["shadow"], row["overhead_seconds"]) == (shadow, 0.0002)
    assert [(f["quality"], f["comment"]) for f in row["feedback"]] == [(0.5, "fine")]
    plain = reopened.find("plain")
    assert (plain["key"], plain["api"], plain["shadow"], plain["cache"]) == (None, "chat", None, None)
    assert reopened.find("b") is None
    reopened.close()


def test_any_text_comes_back_but_the_one_character_that_no_database_can_hold(opened):
    prompt = "a quote ' and \" a backslash \\u0000 \\ a tab \t, ümläut, 🦊 \u2028 %s :name ?"
    writer = opened()
    writer.put(decided("a", prompt))
    writer.put(decided("b", "zero \0 and \\\0"))
    writer.settled().result(30)
    assert writer.find("a")["prompt"] == prompt
    assert writer.find("b")["prompt"] == "zero \ufffd and \\\ufffd"
    writer.put_feedback(Feedback("a", 0.0, 1.0, "fine\0")).result(30)
    assert writer.find("a")["feedback"][0]["comment"] == "fine\ufffd"
    assert writer.dropped == 0
    writer.close()


def test_the_same_row_twice_is_one_row(opened):
    writer = opened()
    for _ in range(2):
        writer.put(decided("a"))
        writer.settled().result(30)
    writer.put(decided("b"))
    writer.settled().result(30)
    assert writer.dropped == 0 and writer.find("b")["id"] == "b"
    assert writer.spent("model", 0.0) == {"large": pytest.approx(0.02)}
    writer.close()


def test_closing_writes_what_waits(path):
    writer = Writer(path)
    for number in range(2000):
        writer.put(decided(str(number)))
    writer.close()
    assert writer.dropped == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from decisions").fetchone() == (2000,)


def test_rows_that_were_noted_are_kept_with_one_write(opened, monkeypatch):
    writer = opened()
    append, counts = writer._spool.append, []
    monkeypatch.setattr(writer._spool, "append", lambda lines, count: (counts.append(count), append(lines, count))[1])
    for id in ("a", "b"):
        writer.note(decided(id))
    writer.note(replace(decided("c"), time=1e300))  # a time that no calendar has
    assert len(writer) == 0
    writer.keep()
    writer.keep()
    assert counts == [2]
    writer.settled().result(30)
    assert [writer.find(id) is not None for id in ("a", "b", "c")] == [True, True, False]
    assert writer.dropped == 1
    writer.note(decided("d"))
    writer.close()
    again = opened()
    assert again.find("d") is not None, "closing keeps what was noted"
    again.close()


def test_of_rows_that_were_noted_together_as_many_are_kept_as_there_is_room_for(path):
    writer = Writer(path, spool_bytes=20_000)
    writer.settled().result(30)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # nothing can be written now
        for number in range(100):
            writer.note(decided(str(number)))
        writer.keep()
        assert 0 < writer.dropped < 100 and len(writer) + writer.dropped == 100
        other.execute("ROLLBACK")
    writer.close(timeout=30)


def test_while_the_database_is_stuck_rows_wait_on_disk_and_beyond_the_limit_they_are_dropped_and_counted(path, caplog):
    writer = Writer(path, capacity=10, spool_bytes=200_000)
    writer.put_feedback(Feedback("a", 0.0, 1.0)).result(30)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # the disk is busy: nothing can be written now
        start = time.perf_counter()
        for number in range(1000):
            writer.put(decided(str(number)))
        seconds = time.perf_counter() - start
        assert seconds < 0.5, "nobody has waited for the disk"
        assert 0 < writer.dropped < 1000 and len(writer) + writer.dropped == 1000
        assert sum(file.stat().st_size for file in path.with_name("rows.sqlite.spool").iterdir()) <= 200_000
        with pytest.raises(Full):
            while True:
                writer.put_feedback(Feedback("a", 0.0, 1.0))
        other.execute("ROLLBACK")
    writer.close(timeout=30)
    assert caplog.text.count("is full") == 1, "one line, however many rows"
    with closing(sqlite3.connect(path)) as connection:
        (kept,) = connection.execute("select count(*) from decisions").fetchone()
    assert kept + writer.dropped == 1000, "every row is either kept or counted"


BAD = [
    pytest.param(replace(decided("b"), time=1e300), id="a time that no calendar has"),
    pytest.param(decided("b", "half a character: \ud800"), id="a text that is none"),
    pytest.param(replace(decided("b"), tokens_in=2**63), id="a number too large"),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_row_that_cannot_be_stored_is_counted_told_and_takes_no_other_with_it(opened, caplog, bad):
    writer = opened()
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


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_writer import decided
from waypost.store import Feedback, Writer
store = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
writer = Writer(store, spool=Path(sys.argv[2]))
for number in range(20):
    writer.put_feedback(Feedback(str(number), 0.0, 1.0)).result(30)
for number in range(3000):
    writer.put(decided(str(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_survives_a_kill(opened, store, tmp_path):
    writer = opened()
    writer.settled().result(30)
    command = [sys.executable, "-c", KILLED, str(store), tmp_path / "spool", Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    # The other process is dead; what it left is counted at once, and written by whoever is there.
    assert writer.spent("model", 0.0) == {"large": pytest.approx(30.0)}
    writer.close()
    heir = opened()
    assert eventually(lambda: heir.settled().result(30) or not len(heir))
    assert all(heir.find(str(number)) for number in range(0, 3000, 500))
    assert heir.spent("model", 0.0) == {"large": pytest.approx(30.0)}
    assert [len(heir.find(str(number))["feedback"]) for number in range(20)] == [1] * 20
    heir.close()
    assert not (tmp_path / "spool").exists(), "what the database has is in no file any more"


def eventually(true, seconds=20.0):
    """Whether something becomes true; asked again whenever the writer has had its turn."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
    return True


def test_what_is_spent_is_summed_by_key_team_and_model_since_a_time(opened):
    writer = opened()
    rows = [
        ("old", 1000.0, "k1", "red", 5.0),
        ("a", 2000.0, "k1", "red", 1.0),
        ("b", 3000.0, "k2", "red", 2.0),
        ("c", 3000.0, None, None, 4.0),
        ("free", 3000.0, "k1", "red", None),
    ]
    for id, moment, key, team, usd in rows:
        writer.put(replace(decided(id), time=moment, key=key, team=team, usd=usd))
    writer.settled().result(30)
    assert writer.spent("key", 2000.0) == {"k1": 1.0, "k2": 2.0}
    assert writer.spent("team", 2000.0) == {"red": 3.0}
    # Of the last one it is not known what it has cost in all, but what this model's call has.
    assert writer.spent("model", 0.0) == {"large": pytest.approx(12.01)}
    writer.close()


@pytest.mark.parametrize("written", [True, False], ids=["in the database", "in the spool"])
def test_each_model_has_spent_what_its_own_calls_have_cost(opened, monkeypatch, written):
    writer = opened()
    if not written:
        monkeypatch.setattr(writer.database, "keep", Mock(side_effect=StoreDown("away")))
    two = (Attempt("small", "ok", 0.1, 0.25), Attempt("large", "ok", 0.9, 0.5))
    unknown = (Attempt("free", "ok", 0.1, None), Attempt("large", "ok", 0.9, 0.5))
    broken = (Attempt("small", "declined", 0.1, 0.25), Attempt("large", "cut", 0.9, None))
    writer.put(replace(decided("two"), attempts=two, usd=0.75))
    writer.put(replace(decided("unknown"), attempts=unknown, usd=None))
    writer.put(replace(decided("broken"), attempts=broken, usd=1.25))  # what broke off is in no attempt
    writer.put(replace(decided("nobody"), attempts=two[:1], served=None, usd=0.25))
    if written:
        writer.settled().result(30)
    assert writer.spent("model", 0.0) == {"small": 0.75, "large": 2.0}
    monkeypatch.undo()
    writer.close()


def test_a_dead_processs_rows_are_taken_over_while_requests_go_on(opened, tmp_path):
    dead = Spool(tmp_path / "spool", 1 << 30)
    for number in range(1200):
        assert dead.append(line.written(decided(f"left {number}")))
    dead.close()
    writer = opened()
    moved = writer.database.keep
    rows = count()

    def busy(lines):
        moved(lines)
        writer.put(decided(f"own {next(rows)}"))  # so that there is always some row of its own

    writer.database.keep = busy
    writer.put(decided("own"))
    assert eventually(lambda: writer.settled().result(30) or writer.find("left 1199"))
    writer.database.keep = moved
    writer.close()


def test_of_feedback_without_end_the_newest_is_told(opened):
    writer = opened()
    writer.put(decided("a"))
    told = [writer.put_feedback(Feedback("a", float(number), 1.0)) for number in range(150)]
    told[-1].result(30)
    assert [said["time"][17:19] for said in writer.find("a")["feedback"]][-2:] == ["28", "29"]
    assert len(writer.find("a")["feedback"]) == 100
    writer.close()


def test_old_rows_are_deleted_with_their_feedback_and_others_stay(opened):
    writer = opened()
    for number in range(1200):
        writer.put(replace(decided(f"old {number}"), time=time.time() - 10 * 86_400))
    writer.put(replace(decided("new"), time=time.time() - 8 * 86_400))
    for id in ("old 1", "new"):
        writer.put_feedback(Feedback(id, 0.0, 1.0)).result(30)
    writer.close()
    writer = opened(keep_days=9)
    writer.settled().result(30)
    assert eventually(lambda: not any(writer.find(f"old {number}") for number in (0, 1, 600, 1199)))
    assert len(writer.find("new")["feedback"]) == 1
    writer.put(decided("old 1"))
    writer.settled().result(30)
    assert writer.find("old 1")["feedback"] == []
    writer.close()


def test_putting_a_row_costs_a_request_next_to_nothing(path):
    writer = Writer(path)
    rows = [decided(f"{number:032x}", "a prompt of some words " * 10) for number in range(3000)]
    begun = time.thread_time()
    for row in rows:
        writer.put(row)
    each = (time.thread_time() - begun) / len(rows)
    writer.close(30)
    assert each < 100e-6, f"{each * 1e6:.0f} µs a row; it is about 15 where nothing else runs"
