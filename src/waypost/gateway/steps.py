"""Requests that are under way at once take each step of their way together.

A request runs through many times more code than a processor core keeps at hand (some 32 kB), Python's own and ours.
Were each to go its way alone, that code would be fetched anew for each.  So between two steps it stands back until the
others have taken the step that it has just taken, and the code of one step serves them all in turn: cohort scheduling
(Larus and Parkes 2002, "Using Cohort Scheduling to Enhance Server Performance").
"""

from __future__ import annotations

from collections.abc import Generator
from types import coroutine


@coroutine
def in_step() -> Generator[None, None, None]:
    """Let the event loop do first what else is due: the same step of other requests; alone, one goes on at once.

    As ``asyncio.sleep(0)``, with a frame less.

    >>> import asyncio
    >>> async def steps(name, said):
    ...     for step in ("decide", "send"):
    ...         said.append(f"{step} {name}")
    ...         await in_step()
    >>> async def both(said):
    ...     await asyncio.gather(steps("a", said), steps("b", said))
    ...     return said
    >>> asyncio.run(both([]))
    ['decide a', 'decide b', 'send a', 'send b']
    """
    yield
