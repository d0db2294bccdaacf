"""What the gateway remembers of its decisions: all in the store, or where there is none the latest in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Full
from typing import Any

from waypost.errors import NotInstalled, shown
from waypost.gateway.wire import Busy, NotFound
from waypost.store import Decided, Feedback, Writer
from waypost.store.database import StoreDown

_KEPT = 200
_PATIENCE_SECONDS = 10.0


def no_decision(id: str) -> NotFound:
    """The error for a decision that does not exist, or is not for the caller to see."""
    return NotFound(f"no decision '{shown(id)}'; its id stands in a response's x-waypost-decision header")


@dataclass(slots=True)
class Ledger:
    """Takes rows without waiting; explains decisions and keeps feedback with waiting.

    What is told as stored is on disk: a decision that still waits in the spool is waited for.  The latest rows are in
    memory only where there is no store: to keep them takes from each request memory that the processor has at hand.
    """

    writer: Writer | None
    keep_prompts: bool = False
    _latest: OrderedDict[str, Decided] = field(default_factory=OrderedDict)

    @property
    def dropped(self) -> int:
        """How many rows the store could not take."""
        return self.writer.dropped if self.writer is not None else 0

    @property
    def waiting(self) -> int:
        """How many rows wait to be written."""
        return len(self.writer) if self.writer is not None else 0

    def note(self, row: Decided) -> None:
        """Take a row, which `keep` keeps."""
        if self.writer is not None:
            self.writer.note(row)
            return
        self._latest[row.id] = row
        if len(self._latest) > _KEPT:
            self._latest.popitem(last=False)

    def keep(self) -> None:
        """Keep every row that was noted: on return they survive the process; never waits."""
        if self.writer is not None:
            self.writer.keep()

    async def explain(self, decision: str) -> dict[str, Any]:
        """A decision in full; ``stored`` says whether the store has it.

        One that waits in the spool is told from there while the store does not answer.

        Raises:
            NotFound: no such decision, or it is no longer kept.
            Busy: the store does not answer in time, and the decision is not in the spool.
            StoreDown: the same, and the store says so.
        """
        writer = self.writer
        if writer is None:
            if decision not in self._latest:
                raise no_decision(decision)
            return {**self._latest[decision].row(), "feedback": [], "stored": False}
        # First the spool, then the store: what moves meanwhile is found in the second.
        waits = await asyncio.to_thread(writer.spooled, decision)
        try:
            stored = await self._stored(writer, decision, waits is not None)
        except (Busy, StoreDown):
            if waits is None:
                raise
            stored = None
        if stored is not None:
            return {**stored, "stored": True}
        if waits is None:
            raise no_decision(decision)
        return {**waits, "feedback": [], "stored": False}

    async def _stored(self, writer: Writer, decision: str, waits: bool) -> dict[str, Any] | None:
        """What the store has of a decision; one that ``waits`` for it is waited for, unless it is known to be down."""
        if writer.down:
            if waits:
                return None
            # To ask it again is the writer's work, and would hold a thread that others need.
            raise StoreDown("the store does not answer, and the decision is not in the spool; try again")
        if waits:
            await self._durable(writer.settled)
        return await asyncio.to_thread(writer.find, decision)

    async def feedback(self, said: Feedback) -> None:
        """Keep what a user says; on return it is on disk.

        Raises:
            NotFound: there is no such decision.
            NotInstalled: no store is configured.
            Busy: the store does not answer; nothing is promised.
        """
        writer = self.writer
        if writer is None:
            raise NotInstalled("feedback is not kept: the config has no `store`; give it a file and start again")
        known = await asyncio.to_thread(writer.spooled, said.decision)
        if known is None and await self._stored(writer, said.decision, waits=False) is None:
            raise no_decision(said.decision)
        await self._durable(lambda: writer.put_feedback(said))

    async def _durable(self, put: Any) -> None:
        try:
            future: Future[None] = put()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await asyncio.wrap_future(future)
        except Full:
            raise Busy("the store's queue is full; try again") from None
        except TimeoutError:
            raise Busy(f"the store did not answer in {_PATIENCE_SECONDS:g} s; try again") from None

    def close(self) -> None:
        """Write what waits."""
        if self.writer is not None:
            self.writer.close()
