"""What calls may cost and did cost, whichever way they end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import Declined, ModelFailed
from waypost.gateway.apis import APIS
from waypost.gateway.ask import parse
from waypost.gateway.callers.demand import Demand, most_usd
from waypost.gateway.callers.money import PriceUnknown, Purse
from waypost.store.limits import BudgetSpent, LimitReached, Limits
from waypost.store.local_limits import LocalLimiter
from waypost.types import Answer, Delta, Model, ModelCard, Query

CARD = ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
TEN = Limits(usd=10.0, per="total")
HELLO = Query.of("Hi", max_tokens=1000)


class Scripted:
    """A model that says pieces and then ends as it is told."""

    def __init__(self, *pieces: Delta | Answer | Exception, card: ModelCard = CARD) -> None:
        self.pieces = pieces
        self.card = card

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def complete(self, query: Query) -> Answer:
        async for piece in self.stream(query):
            if isinstance(piece, Answer):
                return piece
        raise AssertionError

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        pass


def purse(model: Model, limiter: LocalLimiter | None = None, **settings) -> Purse:
    settings = {"payers": (("key:k1", TEN),)} | settings
    return Purse({"m": model}, limiter or LocalLimiter(), **settings)


def spent(paid: Purse) -> tuple[float, float]:
    account = paid.limiter.account("key:k1", TEN)
    return account.spent / 1e9, account.reserved / 1e9


ANSWER = Answer("m", "Hello", tokens_in=100, tokens_out=50, usd=0.25)


async def test_an_answer_costs_what_it_costs_whole_and_streamed() -> None:
    whole = purse(Scripted(ANSWER))
    assert await whole["m"].complete(HELLO) == ANSWER
    streamed = purse(Scripted(Delta("Hel"), Delta("lo"), ANSWER))
    assert [piece async for piece in streamed["m"].stream(HELLO)][-1] == ANSWER
    for paid in (whole, streamed):
        assert spent(paid) == (0.25, 0.0)
        assert (paid.tokens, paid.broken) == (150, 0.0)


async def test_a_failure_costs_nothing_and_to_decline_costs_the_prompt() -> None:
    unsaid = Declined("has no such thing", kind="unsent")
    for broken, cost in ((ModelFailed("down"), 0.0), (Declined("not mine"), HELLO.size / 1e6), (unsaid, 0.0)):
        for paid in (purse(Scripted(broken)), purse(Scripted(broken))):
            with pytest.raises(type(broken)):
                await paid["m"].complete(HELLO)
            assert spent(paid) == (pytest.approx(cost, abs=1e-9), 0.0)


async def test_an_answer_of_unknown_cost_costs_what_was_reserved() -> None:
    paid = purse(Scripted(Answer("m", "Hello")))
    await paid["m"].complete(HELLO)
    most = most_usd(CARD, HELLO, Demand.of(HELLO), 4096)
    assert spent(paid) == (pytest.approx(most), 0.0)


@pytest.mark.parametrize("provider_breaks", [True, False])
async def test_an_answer_that_breaks_off_costs_its_prompt_and_what_was_written(provider_breaks) -> None:
    paid = purse(Scripted(Delta("word " * 400), ModelFailed("cut")))
    stream = paid["m"].stream(HELLO)
    await anext(stream)
    if provider_breaks:
        with pytest.raises(ModelFailed):
            await anext(stream)
    else:
        await stream.aclose()
    cost = (Demand.of(HELLO).read + 2 * 500) / 1e6
    assert spent(paid) == (pytest.approx(cost), 0.0)
    assert paid.broken == pytest.approx(cost)


async def test_what_does_not_fit_is_not_called_and_the_sentence_says_what_may_help() -> None:
    model = Scripted(AssertionError("it was called"))
    poor = Limits(usd=0.0005, per="total")
    with pytest.raises(BudgetSpent, match="max_tokens"):
        await purse(model, payers=(("key:k1", poor),))["m"].complete(HELLO)
    with pytest.raises(BudgetSpent, match="the model 'm'"):
        await purse(model, limits={"m": poor})["m"].complete(HELLO)
    unpriced = Scripted(AssertionError("it was called"), card=ModelCard("m"))
    with pytest.raises(PriceUnknown, match="usd_per_mtok_in and usd_per_mtok_out"):
        await purse(unpriced)["m"].complete(HELLO)


async def test_a_model_at_its_own_limit_is_not_called_until_a_call_ends() -> None:
    paid = purse(Scripted(Delta("a"), ANSWER), payers=(), limits={"m": Limits(parallel=1)})
    stream = paid["m"].stream(HELLO)
    await anext(stream)
    with pytest.raises(LimitReached, match="the model 'm'"):
        await paid["m"].complete(HELLO)
    await stream.aclose()
    assert await paid["m"].complete(HELLO) == ANSWER


@given(
    text=st.text(max_size=300),
    shares=st.tuples(*[st.floats(0, 1)] * 3),
    prices=st.tuples(*[st.floats(0, 100)] * 5),
    most_out=st.integers(1, 5000),
)
def test_no_mixture_of_tokens_costs_more_than_was_set_aside(text, shares, prices, most_out) -> None:
    names = ("in", "out", "cached", "written", "reasoning")
    card = ModelCard("m", usd_per_call=0.01, **{f"usd_per_mtok_{n}": p for n, p in zip(names, prices, strict=True)})
    query = Query.of(text, max_tokens=most_out)
    tokens_in = query.size
    cached = int(tokens_in * shares[0])
    written = int((tokens_in - cached) * shares[1])
    reasoning = int(most_out * shares[2])
    cost = card.usd(tokens_in, most_out, cached=cached, written=written, reasoning=reasoning)
    assert tokens_in <= Demand.of(query).read
    assert cost <= most_usd(card, query, Demand.of(query), 4096) + 1e-12


def test_images_and_tools_are_counted_and_context_bounds_what_can_be_written() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x" * 10_000}}]}
    assert 1600 < Demand.of(Query((image,))).read < 2000
    tool = {"type": "function", "function": {"name": "now", "description": "x" * 900}}
    assert Demand.of(Query.of("Hi", tools=[tool])).read > 300
    short = ModelCard("m", usd_per_mtok_in=0.0, usd_per_mtok_out=1.0, context=100)
    assert most_usd(short, Query.of("Hi"), Demand.of(Query.of("Hi")), 4096) == pytest.approx(99e-6)


def came(api: str, **body) -> Query:
    """A request as the gateway reads it."""
    return parse(APIS[f"/v1/{api}"], {"model": "m", **body}, [], ["m"], {}).query


def shown(kind: str) -> Query:
    parts = [{"type": "text", "text": "Read this."}, {"type": kind, kind: {"data": "A" * 30_000}}]
    return Query(({"role": "user", "content": parts},))


@pytest.mark.parametrize(
    ("query", "least"),
    [
        (came("embeddings", input=[7] * 5000), 5000),
        (came("embeddings", input=[[7] * 2000, [8] * 3000]), 5000),
        (came("completions", prompt=[7] * 5000), 5000),
        (came("completions", prompt=[[7] * 2000, [8] * 3000]), 5000),
        (came("completions", prompt="Hi", suffix="x" * 15_000), 5000),
        (shown("file"), 10_000),
        (shown("input_audio"), 10_000),
    ],
)
def test_what_is_no_text_is_counted_by_its_length(query, least) -> None:
    assert least <= Demand.of(query).read < 1.1 * least


@pytest.mark.parametrize(
    ("query", "most"),
    [
        (came("completions", prompt=["a", "b", "c"], max_tokens=10), 30),
        (came("completions", prompt=[[1], [2]], max_tokens=10, n=2), 40),
        (came("completions", prompt="a", max_tokens=10, n=2, best_of=5), 50),
        (came("completions", prompt=[1, 2, 3], max_tokens=10), 10),
        (Query.of("Hi", max_tokens=10, best_of=5), 50),
        (Query.of("Hi", max_completion_tokens=1, max_tokens=100_000), 100_000),
    ],
)
def test_the_most_is_what_all_answers_may_take_whichever_field_says_it(query, most) -> None:
    assert Demand.of(query).written(4096) == most


async def test_who_has_no_money_uses_up_nothing_that_others_may_ask() -> None:
    limiter, rates = LocalLimiter(), {"m": Limits(requests_per_minute=1)}
    poor = purse(Scripted(ANSWER), limiter, payers=(("key:k2", Limits(usd=1e-6, per="total")),), limits=rates)
    with pytest.raises(BudgetSpent):
        await poor["m"].complete(HELLO)
    rich = purse(Scripted(ANSWER), limiter, limits=rates)
    assert await rich["m"].complete(HELLO) == ANSWER
    with pytest.raises(LimitReached):
        await rich["m"].complete(HELLO)
    assert spent(rich) == (0.25, 0.0)


async def test_a_models_tokens_a_minute_count_what_may_be_written() -> None:
    paid = purse(Scripted(ANSWER), limits={"m": Limits(tokens_per_minute=900)})
    with pytest.raises(LimitReached):
        await paid["m"].complete(HELLO)
    assert await paid["m"].complete(Query.of("Hi", max_tokens=100)) == ANSWER
