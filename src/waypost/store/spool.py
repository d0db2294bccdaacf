"""Rows on this machine's disk until the database has them: files that are only appended to, one row a line.

A row is acknowledged when its line is written: it is in the system's page cache then and survives the process,
however that ends, though not the machine (a line is not synced).  Each process appends to files (segments) of its own
and holds a lock on them; a segment whose lock is free was left by a process that is dead, and is taken over.  A segment
is removed when the database has all of its rows.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from waypost.errors import BadConfig

_SEGMENT_BYTES = 4_000_000
_CHUNK_BYTES = 256_000
_LOOKED_THROUGH = 64_000_000  # bytes, of as much as a gigabyte that may wait


@dataclass(slots=True)
class _Segment:
    """One file: ``size`` bytes are whole lines, of which the database has ``read`` bytes."""

    path: Path
    number: int  # the open file
    size: int = 0
    read: int = 0
    own: bool = True


class Batch(NamedTuple):
    """The oldest lines that wait, and the file that they are in."""

    lines: list[bytes]
    size: int
    segment: _Segment

    @property
    def own(self) -> bool:
        """Whether this process wrote them."""
        return self.segment.own


class Spool:
    r"""Lines that wait in a folder, oldest first; of at most ``limit`` bytes.

    ``append`` and ``find`` may be called from any thread, all else from one.  ``waiting`` is how many lines wait,
    ``appended`` how many this process has appended.

    Raises:
        BadConfig: the folder cannot be made or written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     spool = Spool(Path(folder) / "spool", limit=1_000_000)
    ...     spool.append(b'{"id": "a"}\n'), spool.batch(own=True).lines
    ...     spool.close()
    (True, [b'{"id": "a"}'])
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.waiting = 0
        self.appended = 0
        self._limit = limit
        self._segment_bytes = max(1, min(_SEGMENT_BYTES, limit // 4))
        self._held = 0  # bytes that wait
        self._own_done = 0
        self._segments: list[_Segment] = []
        self._last: _Segment | None = None  # the one that is appended to
        self._lock = threading.Lock()
        self._made = 0
        self._closed = False
        try:
            probe, path = _create(folder, self._next_name())
            path.unlink()
            os.close(probe)
        except OSError as error:
            raise BadConfig(
                f"the spool {folder} cannot be used: {error.strerror}; "
                "name a folder that can be written to in the config, with `spool: {folder: ...}`"
            ) from error

    def append(self, lines: bytes, count: int = 1) -> bool:
        """Keep so many lines, each with its newline; False when the disk or the spool is full, and nothing was kept."""
        size = len(lines)
        with self._lock:
            if self._held + size > self._limit or self._closed:
                return False
            last = self._last
            try:
                if last is None or (last.size and last.size + size > self._segment_bytes):
                    last = self._open()
                written = os.write(last.number, lines)
            except OSError:
                return False
            if written < size:  # the disk has become full; half a line would spoil the next one
                with suppress(OSError):
                    os.ftruncate(last.number, last.size)
                return False
            last.size += size
            self._held += size
            self.waiting += count
            self.appended += count
        return True

    def passed(self, appended: int) -> bool:
        """Whether the first so many lines of this process are done; see ``appended``."""
        return self._own_done >= appended

    def batch(self, *, own: bool, most: int = 500) -> Batch | None:
        """The oldest lines that wait, of this process or of dead ones; None when nothing waits."""
        with self._lock:
            segments = [segment for segment in self._segments if segment.own == own and segment.read < segment.size]
        segment = next(iter(segments), None)
        if segment is None:
            return None
        size, chunk = _CHUNK_BYTES, b""
        while b"\n" not in chunk:  # a long prompt makes a long line
            chunk = os.pread(segment.number, min(size, segment.size - segment.read), segment.read)
            size *= 4
        found = chunk[: chunk.rindex(b"\n")].split(b"\n", most)[:most]
        return Batch(found, sum(map(len, found)) + len(found), segment)

    def done(self, batch: Batch) -> None:
        """The database has a batch; a segment of which it has everything is removed."""
        # Not whichever is next by now: while another's lines were on their way, this process may have appended.
        segment = batch.segment
        with self._lock:
            segment.read += batch.size
            self._held -= batch.size
            self.waiting -= len(batch.lines)
            if batch.own:
                self._own_done += len(batch.lines)
            finished = segment.read >= segment.size and segment is not self._last
            if finished:
                self._segments.remove(segment)
        if finished:
            _remove(segment)

    def find(self, beginning: bytes) -> bytes | None:
        """The line that begins like this among this process's latest that wait, None where there is none."""
        with self._lock:
            waiting = [(each.path, each.read, each.size) for each in reversed(self._segments) if each.own]
        left = _LOOKED_THROUGH
        for path, read, size in waiting:
            if left <= 0:
                break
            left -= size - read
            # By its path, since the database may have it meanwhile, and its number be that of another file.
            with suppress(OSError), path.open("rb") as file:
                file.seek(read)
                kept = file.read(size - read)
                start = 0 if kept.startswith(beginning) else kept.find(b"\n" + beginning) + 1
                if kept.startswith(beginning, start):
                    return kept[start : kept.find(b"\n", start)]
        return None

    def adopt(self) -> int:
        """Take over what dead processes have left; how many lines that is."""
        with self._lock:
            known = {segment.path for segment in self._segments}
        found = 0
        for path in _files(self.folder):
            if path not in known and (segment := _taken(path)) is not None:
                count = _whole_lines(segment)
                if not count:
                    _remove(segment)
                    continue
                found += count
                with self._lock:
                    self._segments.append(segment)
                    self._held += segment.size
                    self.waiting += count
        return found

    def close(self) -> None:
        """Give up the locks, and remove what is done; what waits is for the next process."""
        with self._lock:
            self._closed = True
            segments, self._last = list(self._segments), None
            self._segments.clear()
        for segment in segments:
            if segment.read >= segment.size:
                _remove(segment)
            else:
                os.close(segment.number)
        with suppress(OSError):  # where others have files it stays
            self.folder.rmdir()

    def _next_name(self) -> str:
        self._made += 1
        return f"{time.time_ns():020d}-{os.getpid()}-{self._made}"

    def _open(self) -> _Segment:
        before = self._last
        number, path = _create(self.folder, self._next_name())
        self._last = _Segment(path, number)
        self._segments.append(self._last)
        if before is not None and before.read >= before.size:
            self._segments.remove(before)
            _remove(before)
        return self._last


def lines(folder: Path) -> Iterator[bytes]:
    """Every line in a spool's folder, whosever it is; what is removed meanwhile is passed over."""
    for path in _files(folder):
        with suppress(FileNotFoundError), path.open("rb") as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _create(folder: Path, name: str) -> tuple[int, Path]:
    """A new file, locked before it has the name by which others would find it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    draft, path = folder / f"{name}.draft", folder / f"{name}.jsonl"
    number = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    _lock(number)
    draft.rename(path)
    return number, path


def _taken(path: Path) -> _Segment | None:
    """A segment that nobody holds, now held by us."""
    try:
        number = os.open(path, os.O_RDWR)
    except OSError:
        return None
    # Whoever held it may have removed it between our look and our lock.
    if not _lock(number) or os.fstat(number).st_nlink == 0:
        os.close(number)
        return None
    return _Segment(path, number, own=False)


def _whole_lines(segment: _Segment) -> int:
    """Find how far a segment's whole lines reach, and how many there are: the last one of a killed process may be torn.

    That one was not acknowledged.
    """
    found = place = 0
    while chunk := os.pread(segment.number, 1 << 20, place):
        found += chunk.count(b"\n")
        if b"\n" in chunk:
            segment.size = place + chunk.rindex(b"\n") + 1
        place += len(chunk)
    return found


def _remove(segment: _Segment) -> None:
    with suppress(OSError):
        segment.path.unlink()
    os.close(segment.number)


def _lock(number: int) -> bool:
    """Lock an open file as long as it is open; False when another holds it."""
    try:
        import fcntl
    except ImportError:  # where there are no such locks, an open file cannot be removed, and a row twice is one row
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
