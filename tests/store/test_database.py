"""A Postgres that goes away and comes back: nothing acknowledged is lost, nobody waits, no password is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from waypost.errors import BadConfig, NotInstalled
from waypost.store import Decided, Feedback, Writer
from waypost.store.database import Database, StoreDown
from waypost.types import Decision

DECISION = Decision("ridge", ("small",), {}, {}, {}, {}, {}, {}, "because")


def decided(id: str) -> Decided:
    return Decided(id, 1_795_000_000.5, "", None, "auto", DECISION, (), "small", 0.01, 1.1, 5, 7, 200)


def eventually(true, seconds):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
    return True


def test_a_killed_postgres_loses_nothing_and_slows_nothing(postgres, tmp_path, caplog):
    writer = Writer(postgres.get_uri(), spool=tmp_path / "spool")
    writer.put(decided("before"))
    writer.settled().result(30)
    server = psutil.Process(postgres.get_pid())
    family = [server, *server.children(recursive=True)]
    server.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=20)
    slowest = 0.0
    for number in range(2000):
        begun = time.perf_counter()
        writer.put(decided(str(number)))
        slowest = max(slowest, time.perf_counter() - begun)
    with pytest.raises(StoreDown, match="does not answer"):
        writer.put_feedback(Feedback("before", 0.0, 1.0)).result(30)
    with pytest.raises(StoreDown):
        writer.find("before")
    assert slowest < 0.5 and writer.dropped == 0 and len(writer) == 2000 and writer.down
    postgres.ensure_postgres_running()
    assert eventually(lambda: not len(writer), 30), caplog.text
    assert writer.find("before") and writer.find("0") and writer.find("1999")
    writer.put_feedback(Feedback("before", 0.0, 1.0)).result(30)
    assert writer.spent("model", 0.0) == {"small": pytest.approx(20.01)}
    assert not writer.down and caplog.text.count("answers again") == 1
    writer.close()


def test_a_gateway_starts_while_its_postgres_is_away_and_keeps_rows_for_it(tmp_path, caplog):
    writer = Writer("postgresql://waypost:hunter2@127.0.0.1:1/rows", spool=tmp_path / "spool")
    writer.put(decided("a"))
    with pytest.raises(StoreDown) as told:
        writer.settled().result(30)
    writer.close(1.0)
    assert "127.0.0.1:1/rows" in str(told.value) and "hunter2" not in caplog.text + str(told.value)
    assert next((tmp_path / "spool").iterdir()).read_bytes().startswith(b'["a",')


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://root:hunter2@host/rows", "begins with postgresql://, got one that begins with mysql://"),
        ("postgresql://waypost:hunter2@host:port/rows", "cannot be read"),
        ("postgresql://waypost:hunter2:x@[host/rows", "cannot be read"),
        ("postgresql://waypost:hunter2@127.0.0.1:1/rows?sslmod=require", "cannot be read"),
        ("postgresql+asyncpg://waypost:hunter2@host/rows", "got one that begins with postgresql+asyncpg://"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(url, says):
    with pytest.raises(BadConfig) as told:
        Database(url)
    assert says in str(told.value) and "hunter2" not in str(told.value)


def test_a_database_that_does_not_exist_is_told_at_the_start(postgres_url):
    from sqlalchemy import make_url

    url = make_url(postgres_url).set(database="nowhere", password="hunter2").render_as_string(hide_password=False)
    with pytest.raises(BadConfig, match='database "nowhere" does not exist') as told:
        Database(url)
    assert "hunter2" not in str(told.value)


def test_no_driver_is_needed_and_none_is_brought_for_a_file(tmp_path):
    code = "import sys; from pathlib import Path; from waypost.store import Writer; Writer(Path(sys.argv[1])).close(); "
    code += "assert not {'psycopg', 'sqlalchemy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.sqlite")], check=True)


def test_an_id_that_no_text_of_a_database_can_hold_is_nobodys(store, tmp_path):
    writer = Writer(store, spool=tmp_path / "spool")
    writer.put(decided("here"))
    writer.settled().result(30)
    assert writer.find("here") and writer.find("here\0") is None
    writer.close()


def test_a_postgres_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(NotInstalled, match=r"pip install 'waypost\[postgres\]'"):
        Database("postgresql://waypost:hunter2@host/rows")


@contextmanager
def as_nobody():
    """As a user whom permissions stop: root, as whom tests may run, may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared():
    """A folder that everybody may reach, which the test's own folder is not."""
    with tempfile.TemporaryDirectory(prefix="wp-store-") as folder:
        yield Path(folder)
        Path(folder).chmod(0o700)


@pytest.mark.parametrize(("folder", "file"), [(0o777, 0o444), (0o555, 0o666)])
@pytest.mark.parametrize("made", [True, False])
def test_a_file_that_may_not_be_written_is_told_at_the_start(shared, folder, file, made):
    """Whether another user's gateway has written it, or it is as empty as `touch` leaves it."""
    path = shared / "rows.sqlite"
    path.touch()
    if made:
        owner = Database(path)
        owner.migrate()
        owner.close()
    path.chmod(file)
    shared.chmod(folder)
    with as_nobody(), pytest.raises(BadConfig, match=r"rows\.sqlite cannot be (written to|used): .*folder"):
        Database(path).refuse_read_only()


def test_a_file_that_another_user_owns_can_still_be_looked_at(shared):
    path = shared / "rows.sqlite"
    owner = Database(path)
    owner.migrate()
    path.chmod(0o444)
    shared.chmod(0o777)
    with as_nobody():
        database = Database(path)
        assert database.version() and database.lately("2000", ["id"]) == []
        database.close()
    owner.close()


def test_a_file_that_another_process_writes_just_now_is_no_read_only_one(tmp_path):
    path = tmp_path / "rows.sqlite"
    database = Database(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        database.refuse_read_only()
