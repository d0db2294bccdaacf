"""A request that no model of the pool can serve is refused by the field that says so."""

from __future__ import annotations

import pytest

from waypost.errors import BadRequest
from waypost.gateway.choice.speaking import check
from waypost.pool.replay import Replay
from waypost.types import ModelCard, Native, Query

POOL = {
    "chat": Replay(ModelCard("chat"), answers={}),
    "both": Replay(ModelCard("both", apis=frozenset({"chat", "responses"})), answers={}),
    "vectors": Replay(ModelCard("vectors", apis=frozenset({"embeddings"})), answers={}),
}
FOREIGN = Query((), native=Native("responses", {}, foreign=("tools[0] of type 'web_search'",)))
SAYABLE = Query((), native=Native("responses", {}))


def anything(name: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("query", "named"),
    [(FOREIGN, "both"), (FOREIGN, None), (SAYABLE, "chat"), (SAYABLE, None), (Query.of("Hi"), "chat")],
)
def test_what_somebody_can_serve_goes_on(query, named):
    check(query, named, POOL, anything)


@pytest.mark.parametrize(
    ("query", "named", "pool", "field", "told"),
    [
        (FOREIGN, "chat", POOL, "tools[0]", "of type 'web_search' can only .*; 'chat' does not, ask for both"),
        (FOREIGN, None, {"chat": POOL["chat"]}, "tools[0]", "no model of the pool does"),
        (Query.of("Hi"), "vectors", POOL, "model", "'vectors' speaks embeddings only"),
        (SAYABLE, "vectors", POOL, "model", "'vectors' speaks embeddings only"),
    ],
)
def test_what_nobody_can_serve_is_refused(query, named, pool, field, told):
    with pytest.raises(BadRequest, match=told) as refused:
        check(query, named, pool, anything)
    assert refused.value.field == field


def test_models_that_the_caller_may_not_call_are_neither_counted_nor_named():
    with pytest.raises(BadRequest, match="no model of the pool does"):
        check(FOREIGN, None, POOL, lambda name: name != "both")
