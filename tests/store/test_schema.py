"""Tables are brought up to date wherever a store comes from, and by whoever comes first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from waypost.errors import BadConfig
from waypost.store import Feedback, Writer, schema
from waypost.store.database import Database
from waypost.store.tables import tables

# The tables of the first version, which kept no versions, and of the one after.
FIRST = """
CREATE TABLE decisions (
    id VARCHAR(32) NOT NULL, time VARCHAR(32) NOT NULL, prompt_sha256 VARCHAR(64) NOT NULL, prompt TEXT,
    requested TEXT NOT NULL, router TEXT NOT NULL, chosen TEXT NOT NULL, why TEXT NOT NULL, ranking JSON NOT NULL,
    predictions JSON NOT NULL, removed JSON NOT NULL, weights JSON NOT NULL, attempts JSON NOT NULL, served TEXT,
    usd FLOAT, seconds FLOAT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    status INTEGER NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX ix_decisions_time ON decisions (time);
CREATE TABLE feedback (
    number INTEGER NOT NULL, decision VARCHAR(32) NOT NULL, time VARCHAR(32) NOT NULL, quality FLOAT NOT NULL,
    comment TEXT NOT NULL, PRIMARY KEY (number)
);
CREATE INDEX ix_feedback_decision ON feedback (decision);
INSERT INTO decisions VALUES (
    'old', '2026-01-01T00:00:00.000+00:00', '', NULL, 'auto', 'ridge', 'small', 'because', '["small"]', '{}', '{}',
    '{}', '[]', 'small', 0.5, 1.0, 1, 2, 200
);
INSERT INTO feedback VALUES (1, 'old', '2026-01-01T00:00:00.000+00:00', 1.0, '');
"""
LATER = (
    "".join(f"ALTER TABLE decisions ADD COLUMN {n} INTEGER;" for n in ("tokens_cached", "tokens_written"))
    + "ALTER TABLE decisions ADD COLUMN tokens_reasoning INTEGER; ALTER TABLE decisions ADD COLUMN propensities JSON;"
)


@pytest.mark.parametrize("script", [FIRST, FIRST + LATER], ids=["first", "later"])
def test_a_file_of_an_older_version_is_brought_up_to_date_and_its_rows_stay(tmp_path, script):
    path = tmp_path / "rows.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    writer = Writer(path)
    writer.put_feedback(Feedback("old", 0.0, 0.5)).result(30)
    row = writer.find("old")
    assert (row["chosen"], row["usd"], [f["quality"] for f in row["feedback"]]) == ("small", 0.5, [1.0, 0.5])
    assert {row[name] for name in ("tokens_cached", "propensities", "key", "team", "shadow")} == {None}
    assert writer.spent("model", 0.0) == {"small": 0.5}
    assert writer.database.version() == schema.HEAD
    writer.close()


def test_the_steps_lead_to_the_tables_that_the_code_knows(store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    database = Database(store)
    assert database.version() is None
    database.migrate()
    with database.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables().metadata) == []
    steps = ScriptDirectory(str(schema._STEPS))
    assert tuple(step.revision for step in reversed(list(steps.walk_revisions()))) == schema.VERSIONS
    database.close()


def test_several_processes_may_start_at_once_on_an_empty_store(store):
    code = """
import sys
from pathlib import Path
from waypost.store.database import Database
store = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
Database(store).migrate()
print("done", flush=True)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(store)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in started]
    assert [said for said, _ in ends] == ["done\n"] * 4, ends
    database = Database(store)
    assert database.version() == schema.HEAD
    database.close()


def test_a_store_of_a_newer_version_is_refused_at_once(store):
    database = Database(store)
    database.migrate()
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '999'")
    database.close()
    with pytest.raises(BadConfig, match=r"newer Waypost .* version 999"):
        Database(store)


def test_a_store_that_is_up_to_date_is_opened_without_alembic(tmp_path):
    path = tmp_path / "rows.sqlite"
    Database(path).migrate()
    code = """
import sys
from pathlib import Path
from waypost.store import Feedback, Writer
writer = Writer(Path(sys.argv[1]))
assert "sqlalchemy" not in sys.modules, "the start is over before it is brought"
writer.put_feedback(Feedback("a", 0.0, 1.0)).result(30)
writer.close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
