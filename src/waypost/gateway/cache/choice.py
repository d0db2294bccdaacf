"""The decision that tells of a kept answer: nobody is asked."""

from __future__ import annotations

from waypost.gateway.cache.lookup import Looked
from waypost.gateway.choice.choosing import Choice
from waypost.types import Answer, Decision, Run


def kept(looked: Looked, answer: Answer) -> Choice:
    """What a request is answered with that the cache knows the answer to."""
    decision = Decision(
        router="cache",
        ranking=(answer.model,),
        scores={},
        quality={},
        usd={},
        seconds={},
        removed={},
        weights={},
        why=f"{answer.model} has answered this {looked.age:.0f} s ago; found by the {looked.how} cache",
    )
    return Choice(decision, _known(answer))


def _known(answer: Answer) -> Run:
    yield from ()
    return answer
