"""One request: from the decision to the last byte, and the row that tells of it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from waypost.errors import WaypostError
from waypost.gateway.apis import Written
from waypost.gateway.ask import Ask
from waypost.gateway.cache.gathered import Gathered
from waypost.gateway.cache.lookup import Hit, Looked
from waypost.gateway.callers.access import Visit
from waypost.gateway.calls.drive import Drive
from waypost.gateway.choice.choosing import Choice
from waypost.gateway.pushing import Pushing, pushing
from waypost.gateway.reply import EVENT_STREAM, decision_headers, whole_delta
from waypost.gateway.steps import in_step
from waypost.gateway.wire import Headers, Send, error_headers, error_status, send_json, to_tell
from waypost.pool.relay import Shown
from waypost.store import Attempt, Decided
from waypost.store.decisions import new_id
from waypost.types import Answer, Decision, Delta

GONE = 499  # as nginx calls it: the client left before the answer was whole

_JSON = (b"content-type", b"application/json")
# Rows wait in memory, so however many there are and however long the prompts, they must fit.
_MOST_KEPT = 20_000
_NONE = Answer("")


class Books(Protocol):
    """Where requests are booked."""

    def book(self, exchange: Exchange) -> None:
        """Book what came of a request."""
        ...

    def keep(self) -> None:
        """Write all that was booked to the log."""
        ...


@dataclass(slots=True)
class Exchange:
    """A decided request and what has become of it; ``status`` is 499 until something is about to leave.

    The ``books`` are told once what came of it: before the last byte of the answer leaves, so that what a client has
    in hand is in the log.  ``first`` are the seconds from the request read, which is ``clock``, to the first byte of
    the answer, ``overhead`` those of them that were not spent waiting for models.  ``failure`` is what the client was
    told.
    """

    asked: Ask
    choice: Choice
    drive: Drive
    visit: Visit
    books: Books
    id: str = field(default_factory=new_id)
    began: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)
    status: int = GONE
    answer: Answer | None = None
    settled: bool = False
    looked: Looked | None = None
    first: float | None = None
    overhead: float | None = None
    failure: WaypostError | None = None
    _gathered: Gathered | None = None
    _started: bool = False

    @property
    def decision(self) -> Decision:
        """Who was to be asked, and why."""
        return self.choice.decision

    @property
    def hit(self) -> Hit | None:
        """How the cache has answered: "exact" or "semantic"; None: it has not."""
        return self.looked.how if self.looked is not None else None

    @property
    def served(self) -> str | None:
        """The model whose answer the client gets, or is getting."""
        return self.answer.model if self.answer is not None else self.drive.showing

    async def send(self, send: Send) -> None:
        """Make the calls and send what comes of them, an error included."""
        try:
            await (self._send_stream(send) if self.asked.stream else self._send_whole(send))
        except WaypostError as error:
            self.status, self.failure = error_status(error), error
            self._leaves()
            self.settle()
            await send_json(send, self.status, self.asked.api.error(error), error_headers(error) + self._headers())

    def settle(self) -> None:
        """Have it in the log what came of the request, if that is not done yet."""
        self._book()
        self.books.keep()

    def _book(self) -> None:
        if not self.settled:
            self.settled = True
            self.books.book(self)

    def to_keep(self) -> Answer | None:
        """The whole of an answer that a model gave, for the cache."""
        if self.answer is None or self.status != 200:
            return None
        return self._gathered.whole(self.answer) if self._gathered is not None else self.answer

    def row(self, *, keep_prompt: bool) -> Decided:
        """What the log keeps: of the prompt a hash, and its text (up to 20,000 characters) only if asked for."""
        answer, prompt, key = self.answer or _NONE, self.asked.query.text, self.visit.caller.key
        return Decided(
            id=self.id,
            time=self.began,
            prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
            prompt=prompt[:_MOST_KEPT] if keep_prompt else None,
            requested=self.asked.model,
            decision=self.decision,
            attempts=tuple(self.drive.attempts),
            served=self.served,
            usd=self.drive.usd(self.visit.broken),
            seconds=time.perf_counter() - self.clock,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            status=self.status,
            key=key.id if key is not None else None,
            team=key.team if key is not None else None,
            tokens_cached=answer.tokens_cached,
            tokens_written=answer.tokens_written,
            tokens_reasoning=answer.tokens_reasoning,
            api=self.asked.api.name,
            session=self.choice.session,
            cache=self.hit,
            shadow=None if self.choice.watched is None else self._shadow(self.choice.watched),
            canary=self.choice.arm,
            overhead_seconds=self.overhead,
        )

    def _shadow(self, watched: Decision) -> dict[str, Any]:
        """What the router would have done, at the tokens of what was done; a cost that is not known is None.

        Of another model than the one that answered, no cache is taken to know the conversation.
        """
        answer, usd = self.answer, None
        if answer is not None and answer.model == watched.model:
            usd = answer.usd
        elif answer is not None:
            usd = self.drive.models[watched.model].card.usd(answer.tokens_in, answer.tokens_out)
        incumbent = self.decision.model
        return {
            "model": watched.model,
            "quality": watched.quality.get(watched.model),
            "incumbent": incumbent,
            "incumbent_quality": watched.quality.get(incumbent),
            "usd": usd,
        }

    async def _send_whole(self, send: Send) -> None:
        answer = self._given(await self.drive.whole(self.choice.run))
        await in_step()
        body = self.asked.api.whole(self.id, int(self.began), answer, self.asked.came)
        self._leaves()
        self.status = 200
        self._book()
        await in_step()
        self.settle()  # with one write for all that have come as far
        out, length = pushing(send), b"%d" % len(body)
        out.start(200, [_JSON, (b"content-length", length), *self._headers(self.drive.usd())])
        await out.end(body)

    async def _send_stream(self, send: Send) -> None:
        out, stream = pushing(send), self.asked.api.stream(self.id, int(self.began), self.asked.came)
        self._gathered = Gathered() if self.looked is not None and self.looked.writes else None
        try:
            show = partial(self._show, out, stream)
            answer = self._given(await self.drive.stream(self.choice.run, show))
            if not self._started and (wait := show(whole_delta(answer))) is not None:
                await wait
            last = stream.end(answer, {"decision": self.id, "cost": self.drive.usd()})
        except Exception as error:
            if not self._started:
                raise
            # The status line is gone, so the log and the metrics carry the failure, and the client an event of it.
            told = to_tell(error, f"the stream of decision {self.id}")
            self.status, self.failure = error_status(told), told
            last = stream.broken(told)
        else:
            self.status = 200
        if not self._started:  # an answer without a word
            self._start(out)
        self.settle()
        await out.end(last)

    def _given(self, answer: Answer) -> Answer:
        if not answer.ok:
            raise self.drive.failure()
        self.answer = answer
        return answer

    def _show(self, out: Pushing, stream: Written, delta: Delta) -> Shown:
        if self._gathered is not None:
            self._gathered.take(delta)
        body = stream.piece(self.served or "", delta)
        if not body:
            return None
        if not self._started:
            self._start(out)
        return out.piece(body)

    def _start(self, out: Pushing) -> None:
        self._started = True
        self._leaves()
        out.start(200, EVENT_STREAM + self._headers())

    def _headers(self, usd: float | None = None) -> Headers:
        attempts = list(self.drive.attempts)
        if self.drive.showing and self.answer is None:
            attempts.append(Attempt(self.drive.showing, "ok"))
        headers = decision_headers(self.id, self.decision, self.served, attempts, usd) + self.visit.headers
        if self.overhead is not None:
            headers.append((b"x-waypost-overhead-ms", b"%.3f" % (self.overhead * 1000)))
        if self.hit is not None:
            headers.append((b"x-waypost-cache", self.hit.encode()))
        return headers

    def _leaves(self) -> None:
        """The first byte of the answer leaves now."""
        if self.first is None:
            self.first = time.perf_counter() - self.clock
            self.overhead = max(0.0, self.first - self.drive.waited)
