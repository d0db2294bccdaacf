"""The live driver of strategies: makes the calls that a generator yields and shows the final one as it arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from waypost.errors import Declined, ModelFailed, NoModelLeft, NotInstalled, WaypostError
from waypost.gateway.callers.money import SKIPPED
from waypost.gateway.traces.trace import Trace, Traced
from waypost.pool.relay import Show, Shown, relay, show_all
from waypost.store import Attempt
from waypost.types import Answer, Call, Delta, Model, Run

# A model whose file is missing or whose budget is spent is as gone as one whose server is down: the next answers.
_FAILURES = (ModelFailed, NotInstalled, *SKIPPED)
# Events that other APIs send ahead of everything else.
_HEADS = frozenset({"message_start", "ping", "response.created", "response.in_progress"})


@dataclass(slots=True)
class Drive:
    """One request's calls: ``attempts`` tells what was asked of whom, in the order in which it ended.

    ``errors`` holds, by model, why a call gave no answer; ``showing`` names the model whose answer the client is
    being shown.  ``waited`` are the seconds until the first piece that were spent waiting for models.  Each call is
    a part of the ``trace``, if there is one.
    """

    models: Mapping[str, Model]
    attempts: list[Attempt] = field(default_factory=list)
    errors: dict[str, WaypostError] = field(default_factory=dict)
    showing: str | None = None
    waited: float = 0.0
    trace: Trace | None = None

    async def whole(self, run: Run) -> Answer:
        """Run a strategy to its end and give its answer; a call that declines or fails is sent to the strategy."""
        try:
            wish = next(run)
            while True:
                start = time.perf_counter()
                answers = await (self._ask_all(wish) if isinstance(wish, list) else self._ask(wish))
                self.waited += time.perf_counter() - start
                wish = run.send(answers)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        finally:
            run.close()

    async def stream(self, run: Run, show: Show) -> Answer:
        """Run a strategy to its end and give its answer, of which each piece is shown as it comes.

        A call that declines or fails before its first piece is sent to the strategy, which goes on; once a piece
        was shown nobody else can answer any more.

        Raises:
            ModelFailed: the call failed after its first piece.
        """
        try:
            wish = next(run)
            while True:
                if not isinstance(wish, list) and wish.final:
                    wish = run.send(await self._show(wish, show))
                    continue
                start = time.perf_counter()
                answers = await (self._ask_all(wish) if isinstance(wish, list) else self._ask(wish))
                self.waited += time.perf_counter() - start
                wish = run.send(answers)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        finally:
            run.close()

    def failure(self) -> WaypostError:
        """Why there is no answer: the last failure, or that every model asked has declined."""
        failed = [error for error in self.errors.values() if not isinstance(error, Declined)]
        if failed:
            return failed[-1]
        reasons = "; ".join(f"{model}: {error}" for model, error in self.errors.items())
        return NoModelLeft(f"every model that was asked declined: {reasons}")

    def usd(self, broken: float = 0.0) -> float | None:
        """What all calls did cost, or None when one has no known price; ``broken`` is what is known of those cut."""
        total = broken
        for attempt in self.attempts:
            if attempt.usd is None:
                if attempt.outcome != "failed" and not (attempt.outcome == "cut" and broken):
                    return None
            else:
                total += attempt.usd
        return total

    async def _ask_all(self, calls: list[Call]) -> list[Answer]:
        tasks = [asyncio.create_task(self._ask(call)) for call in calls]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, call: Call) -> Answer:
        start = time.perf_counter()
        traced = self.trace.call(call) if self.trace is not None else None
        try:
            answer = await self.models[call.model].complete(call.query)
        except BaseException as error:  # noqa: BLE001 - what is no failure of the model is raised again
            return self._failed(call, error, start, traced)
        return self._answered(answer, traced)

    async def _show(self, call: Call, show: Show) -> Answer:
        start = time.perf_counter()
        traced = self.trace.call(call) if self.trace is not None else None
        held: list[Delta] = []

        def begin() -> Shown:
            self.waited += time.perf_counter() - start
            self.showing = call.model if held else None
            return show_all(show, held)

        def shown(piece: Delta) -> Shown:
            if self.showing is not None:
                return show(piece)
            if traced is not None and not traced.first:
                traced.begun(piece)
            held.append(piece)
            return begin() if says_something(piece) else None

        try:
            answer = await relay(self.models[call.model], call.query, shown)
            if self.showing is None and (wait := begin()) is not None:
                await wait
        except BaseException as error:
            answer = self._failed(call, error, start, traced)
            if self.showing is not None:
                raise
            self.waited += time.perf_counter() - start
            return answer
        return self._answered(answer, traced)

    def _answered(self, answer: Answer, traced: Traced | None) -> Answer:
        if traced is not None:
            traced.answered(answer)
        self.attempts.append(Attempt(answer.model, "ok", answer.seconds, answer.usd))
        return answer

    def _failed(self, call: Call, error: BaseException, start: float, traced: Traced | None) -> Answer:
        if not isinstance(error, _FAILURES):
            # The client has left, or something broke here: the model was at work, and what that cost nobody will tell.
            self.attempts.append(Attempt(call.model, "cut", time.perf_counter() - start))
            raise error
        declined = isinstance(error, Declined)
        outcome = "declined" if declined else "cut" if self.showing else "failed"
        seconds = time.perf_counter() - start
        if traced is not None:
            traced.failed(error, outcome)
        # To decline, a model has read the prompt, unless it could not even be asked.
        read = isinstance(error, Declined) and error.kind != "unsent"
        usd = self.models[call.model].card.usd(call.query.size, 0) if read else 0.0 if declined else None
        self.attempts.append(Attempt(call.model, outcome, seconds, usd, str(error)))
        self.errors[call.model] = error
        if declined:
            return Answer(call.model, seconds=seconds, usd=usd, declined=str(error))
        return Answer(call.model, seconds=seconds, error=str(error))


def says_something(delta: Delta) -> bool:
    """Whether a piece carries more than the role that providers send ahead of everything else."""
    if delta.text:
        return True
    if delta.chunk is not None and delta.chunk.get("type") in _HEADS:
        return False
    if delta.api in ("messages", "responses"):
        return True
    choices = delta.chunk.get("choices") if delta.chunk else None
    fields = choices[0].get("delta") if isinstance(choices, list) and choices else None
    return isinstance(fields, dict) and any(value for name, value in fields.items() if name != "role")
