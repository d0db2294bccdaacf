"""The driver for recorded answers: the same generators as over HTTP, without a network."""

from __future__ import annotations

from collections.abc import Callable

from waypost.types import Answer, Call, Chooser, Decision, Query, Strategy

AnswerOf = Callable[[Call], Answer]


def replay(
    strategy: Strategy, query: Query, objective: Chooser, answer_of: AnswerOf
) -> tuple[Decision, Answer, list[Answer]]:
    """Run a strategy on one query, answering its calls from ``answer_of``.

    Returns the decision, the answer given, and every answer paid for, in order.

    >>> from waypost.objective import Objective
    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> from waypost.strategies import Single
    >>> from waypost.types import ModelCard
    >>> table = example_table()
    >>> single = Single(make("best_single").fit(table), {name: ModelCard(name) for name in table.models})
    >>> def answer_of(call):
    ...     return Answer(call.model, "Hello!", declined="busy" if call.model == "large" else None)
    >>> decision, given, paid = replay(single, Query.of("Hi"), Objective(), answer_of)
    >>> decision.model, given.model, len(paid)
    ('large', 'maths-expert', 2)
    """
    decision = strategy.decide(query, objective)
    run = strategy.run(query, decision)
    paid: list[Answer] = []
    try:
        wish = next(run)
        while True:
            calls = wish if isinstance(wish, list) else [wish]
            answers = [answer_of(call) for call in calls]
            paid += answers
            wish = run.send(answers if isinstance(wish, list) else answers[0])
    except StopIteration as done:
        return decision, done.value, paid
