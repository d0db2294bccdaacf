"""What strategies share: asking one model, predicting for a query."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from waypost.errors import BadInput
from waypost.types import Answer, Call, Prediction, Query


class Predictor(Protocol):
    """The half of a router that a strategy needs."""

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What each model is expected to do with each prompt."""
        ...


def ask(call: Call) -> Generator[Call | list[Call], Answer | list[Answer], Answer]:
    """Yield one call and return its one answer."""
    answer = yield call
    if not isinstance(answer, Answer):
        raise TypeError(f"one call was made, so one Answer is due, got a {type(answer).__name__}")
    return answer


def predict(router: Predictor, query: Query) -> Prediction:
    """What a router expects for a query's last user turn.

    Raises:
        BadInput: that turn has no text.
    """
    if not query.text.strip():
        raise BadInput("the last user message has no text to route on; name a model instead of 'auto'")
    return router.predict([query.text])
