"""A model that repeats recorded answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from waypost.errors import Declined, ModelFailed
from waypost.types import Answer, Delta, ModelCard, Query


class Replay:
    """Gives the recorded answer to a prompt, by the text of the last user turn; a failure is replayed as one.

    >>> import asyncio
    >>> model = Replay(ModelCard("old"), {"Hi": Answer("old", "Hello!")})
    >>> asyncio.run(model.complete(Query.of("Hi"))).text
    'Hello!'
    """

    def __init__(self, card: ModelCard, answers: Mapping[str, Answer]) -> None:
        self.card = card
        self._answers = answers

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """The recorded answer in one piece; raises as `complete` does."""
        answer = await self.complete(query)
        yield Delta(answer.text)
        yield answer

    async def complete(self, query: Query) -> Answer:
        """The recorded answer.

        Raises:
            Declined: the model declined then.
            ModelFailed: it failed then, or no answer was recorded.
        """
        answer = self._answers.get(query.text)
        if answer is None:
            raise ModelFailed(f"no answer of {self.card.name} was recorded for this prompt")
        if answer.declined is not None:
            raise Declined(answer.declined)
        if answer.error is not None:
            raise ModelFailed(answer.error)
        return answer

    async def ready(self) -> str | None:
        """None: the answers are here."""
        return None

    async def close(self) -> None:
        """Nothing to free."""
