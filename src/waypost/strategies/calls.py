"""What strategies share: asking one model, predicting for a query."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Protocol

from waypost.errors import BadInput
from waypost.strategies.history import with_history
from waypost.types import Answer, Call, ModelCard, Prediction, Query, Run


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


def in_order(query: Query, models: Sequence[str]) -> Run:
    """Yield one call at a time in the order given; the last answer is returned even when it is a failure."""
    for model in models:
        answer = yield from ask(Call(model, query))
        if answer.ok:
            break
    return answer


def predict(router: Predictor, query: Query, cards: Mapping[str, ModelCard], risk: float) -> Prediction:
    """What a router expects for a query's last user turn, and what the turns before it cost to read.

    Where ``risk`` has no weight, a router that has `expect` is spared to say how far it may be off.

    Raises:
        BadInput: that turn has no text.
    """
    text = query.text
    if not text.strip():
        raise BadInput("the last user message has no text to route on; name a model instead of 'auto'")
    expect = router.predict if risk else getattr(router, "expect", router.predict)
    return with_history(expect([text]), cards, query)
