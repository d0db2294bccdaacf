"""Lines wait on disk: whole or not at all, for as long as nobody has them, and for whoever lives."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest

from waypost.errors import BadConfig
from waypost.store.spool import Spool, lines


def drain(spool):
    found = []
    while batch := (spool.batch(own=True) or spool.batch(own=False)):
        found += batch.lines
        spool.done(batch)
    return found


def line(number, size=100):
    return b'{"id": "%d", "x": "%s"}' % (number, b"x" * size)


def test_lines_come_back_in_their_order_and_files_go_when_they_are_read(tmp_path):
    spool = Spool(tmp_path / "spool", limit=100_000)
    for number in range(500):
        assert spool.append(line(number) + b"\n")
    assert spool.waiting == 500 and not spool.passed(spool.appended)
    assert list(lines(tmp_path / "spool")) == [line(number) for number in range(500)]
    assert len(list((tmp_path / "spool").iterdir())) > 1, "several files"
    assert drain(spool) == [line(number) for number in range(500)]
    assert spool.waiting == 0 and spool.passed(spool.appended)
    assert len(list((tmp_path / "spool").iterdir())) == 1, "only the one that is appended to is left"
    spool.close()
    assert not (tmp_path / "spool").exists()


def test_a_line_is_found_while_it_waits(tmp_path, monkeypatch):
    spool = Spool(tmp_path / "spool", limit=100_000)
    for number in range(500):
        spool.append(line(number) + b"\n")
    beginnings = [b'{"id": "%d",' % number for number in (0, 1, 250, 499)]
    assert [spool.find(beginning) for beginning in beginnings] == [line(0), line(1), line(250), line(499)]
    assert spool.find(b'"id": "0",') is None, "no line begins so"
    spool.done(spool.batch(own=True, most=1))
    assert [spool.find(beginning) for beginning in beginnings[:2]] == [None, line(1)]
    monkeypatch.setattr("waypost.store.spool._LOOKED_THROUGH", 10_000)
    assert [spool.find(beginning) for beginning in beginnings[1:]] == [None, None, line(499)], "the latest only"
    drain(spool)
    assert spool.find(beginnings[-1]) is None
    spool.close()


def test_a_line_longer_than_a_read_comes_back_whole(tmp_path):
    spool = Spool(tmp_path / "spool", limit=50_000_000)
    for number in range(3):
        assert spool.append(line(number, 5_000_000) + b"\n")
    assert drain(spool) == [line(number, 5_000_000) for number in range(3)]
    spool.close()


def test_a_full_spool_refuses_until_there_is_room_again(tmp_path):
    spool = Spool(tmp_path / "spool", limit=10_000)
    taken = 0
    while spool.append(line(taken) + b"\n"):
        taken += 1
    assert 70 < taken < 100
    assert sum(file.stat().st_size for file in (tmp_path / "spool").iterdir()) <= 10_000
    assert len(drain(spool)) == taken
    assert spool.append(line(0) + b"\n")
    spool.close()


def test_a_full_disk_refuses_whole_lines_and_leaves_no_half_of_one(tmp_path):
    # The system refuses to make a file longer than a process may, as it does when the disk is full.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    spool = Spool(tmp_path / "spool", limit=1_000_000)
    kept = 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_050, before[1]))
        while spool.append(line(kept) + b"\n"):
            kept += 1
        assert not spool.append(line(kept) + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert 30 < kept < 50
    assert spool.append(line(kept) + b"\n"), "there is room again"
    assert drain(spool) == [line(number) for number in range(kept + 1)]
    spool.close()


DIES = """
import os, signal, sys
from pathlib import Path
from waypost.store.spool import Spool
spool = Spool(Path(sys.argv[1]), limit=100_000)
for number in range(500):
    spool.append(b'{"id": "%d"}\\n' % number)
os.write(spool._last.number, b'{"id": "half of a')
print("wrote", flush=True)
if sys.argv[2] == "waits":
    sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_taken_over_but_for_the_line_it_did_not_finish(tmp_path):
    spool = Spool(tmp_path / "spool", limit=100_000)
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "spool"), "dies"], check=False, capture_output=True)
    spool.append(line(0) + b"\n")
    assert spool.adopt() == 500 and spool.waiting == 501
    assert spool.adopt() == 0, "and only once"
    found = drain(spool)
    assert found[0] == line(0), "what is our own comes first"
    assert sorted(found[1:]) == sorted(b'{"id": "%d"}' % number for number in range(500))
    spool.close()
    assert not (tmp_path / "spool").exists()


def test_what_is_appended_while_a_dead_one_s_lines_are_written_is_not_taken_for_them(tmp_path):
    dead = Spool(tmp_path, limit=1_000_000)
    assert all(dead.append(b"dead %d\n" % number) for number in range(5))
    dead.close()
    spool = Spool(tmp_path, limit=1_000_000)
    assert spool.adopt() == 5
    batch = spool.batch(own=False, most=3)
    assert spool.append(b"own, and longer\n")
    spool.done(batch)
    assert not spool.passed(1)
    left = []
    while batch := (spool.batch(own=True) or spool.batch(own=False)):
        left += batch.lines
        spool.done(batch)
    assert left == [b"own, and longer", b"dead 3", b"dead 4"]
    assert spool.waiting == 0 and spool.passed(1)
    spool.close()


def test_what_a_living_process_has_is_left_to_it(tmp_path):
    spool = Spool(tmp_path / "spool", limit=100_000)
    command = [sys.executable, "-c", DIES, str(tmp_path / "spool"), "waits"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "wrote\n"
        assert spool.adopt() == 0
        assert len(list(lines(tmp_path / "spool"))) == 500, "though it can be read"
        other.stdin.write("\n")
    assert spool.adopt() == 500
    drain(spool)
    spool.close()


def test_what_was_not_read_waits_for_the_next_one(tmp_path):
    spool = Spool(tmp_path / "spool", limit=100_000)
    for number in range(5):
        spool.append(line(number) + b"\n")
    spool.close()
    assert not spool.append(line(5) + b"\n")
    heir = Spool(tmp_path / "spool", limit=100_000)
    assert heir.adopt() == 5
    assert drain(heir) == [line(number) for number in range(5)]
    heir.close()


def test_only_the_owner_may_read_what_waits(tmp_path):
    spool = Spool(tmp_path / "spool", limit=100_000)
    spool.append(line(0) + b"\n")
    (file,) = (tmp_path / "spool").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    spool.close()


def test_a_folder_that_cannot_be_used_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig, match=rf"file/spool cannot be used: {os.strerror(errno.ENOTDIR)}"):
        Spool(tmp_path / "file" / "spool", limit=1000)
