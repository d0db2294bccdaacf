"""Answers whose pieces are pushed to whoever shows them: from the provider's socket to the client's in one go.

To draw each piece through an iterator wakes a task and all that it waits in, which costs more than the piece itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Protocol

from waypost.errors import ModelFailed
from waypost.types import Answer, Delta, Model, Query

Shown = Awaitable[None] | None
"""What to wait for before the next piece: None, unless its reader is slow."""
Show = Callable[[Delta], Shown]


class Relaying(Protocol):
    """A model that pushes."""

    async def relay(self, query: Query, show: Show) -> Answer:
        """The answer, each piece of which is shown as it comes; raises as the model's `stream` does."""
        ...


async def relay(model: Model, query: Query, show: Show) -> Answer:
    """The answer of a model, each piece of which is shown as it comes; leaving early ends the call.

    Raises:
        ModelFailed: as the model's `stream`, or that ends without an answer.
    """
    pushed: Callable[[Query, Show], Awaitable[Answer]] | None = getattr(model, "relay", None)
    if pushed is not None:
        return await pushed(query, show)
    pieces = model.stream(query)
    try:
        async for piece in pieces:
            if isinstance(piece, Answer):
                return piece
            if (wait := show(piece)) is not None:
                await wait
    finally:
        # Closed here and now, not when the collector comes by: closing is what ends the call.
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
    raise ModelFailed(f"{model.card.name} ended its answer without saying that it was whole", kind="lost")


def show_all(show: Show, pieces: Iterable[Delta]) -> Shown:
    """Show several pieces, each when the one before it has been waited for if need be."""
    rest = iter(pieces)
    for piece in rest:
        if (wait := show(piece)) is not None:
            return _go_on(wait, show, rest)
    return None


async def _go_on(wait: Awaitable[None], show: Show, rest: Iterable[Delta]) -> None:
    await wait
    for piece in rest:
        if (again := show(piece)) is not None:
            await again


async def drawn(model: Relaying, query: Query) -> AsyncGenerator[Delta | Answer]:
    """The pieces of a model that pushes, for who would rather draw them, and then its answer."""
    ready: asyncio.Queue[Delta | None] = asyncio.Queue()
    wanted = asyncio.Event()

    def show(piece: Delta) -> Shown:
        ready.put_nowait(piece)
        wanted.clear()
        return _until(wanted)

    task = asyncio.ensure_future(model.relay(query, show))
    task.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while (piece := await ready.get()) is not None:
            yield piece
            wanted.set()
        yield await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(wanted: asyncio.Event) -> None:
    await wanted.wait()
