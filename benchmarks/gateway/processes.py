"""What a process and all its children take: processor time and memory, as Linux tells them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """A process and its living children, theirs too."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # ended meanwhile
            continue
        for child in children:
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Processor seconds, in user and system mode, that a process and its children have taken so far."""
    total = 0
    for one in tree(pid):
        try:
            # The name of a program may hold blanks; what follows its last bracket does not.
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def rss_megabytes(pid: int) -> float:
    """Resident memory of a process and its children."""
    total = 0
    for one in tree(pid):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def cores() -> tuple[set[int], set[int]]:
    """The core for what is measured, and those for everything else; the same where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    known = sorted(os.sched_getaffinity(0))
    return {known[-1]}, set(known[:1])


def pin(pid: int, where: set[int]) -> None:
    """Keep a process on these cores."""
    if where:
        os.sched_setaffinity(pid, where)
