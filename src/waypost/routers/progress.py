"""How far a long fit has come, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[int, int, str], None]

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Within the block, fits of this thread call ``watcher(done, total, note)``.

    >>> with watch(lambda done, total, note: print(f"{done} of {total}: {note}")):
    ...     report(1, 4, "loss 0.31")
    1 of 4: loss 0.31
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def report(done: int, total: int, note: str = "") -> None:
    """Say how far a fit has come; ``total`` is the most that it may need, as it may stop early."""
    if (watcher := _watcher.get()) is not None:
        watcher(done, total, note)
