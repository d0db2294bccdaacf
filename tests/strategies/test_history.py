"""What a conversation costs to go on with: what has been read is billed again, cheaply where it is cached."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import LinUCB
from waypost.strategies import Exploring
from waypost.strategies.history import history_usd, with_history
from waypost.types import ModelCard, Prediction, Query

CARDS = {
    "cached": ModelCard("cached", 2.0, 8.0, usd_per_mtok_cached=0.2),
    "plain": ModelCard("plain", 2.0, 8.0),
    "unknown": ModelCard("unknown"),
}
FLAT = Prediction((*CARDS, "stranger"), *[np.zeros((1, 4))] * 4)


def talk(history, cached, text="And then?"):
    turns = ({"role": "user", "content": "x" * history}, {"role": "user", "content": text})
    return Query(turns, cached=cached)


def test_a_first_turn_costs_what_the_router_expects():
    assert with_history(FLAT, CARDS, Query.of("x" * 10_000, max_tokens=5)) is FLAT


def test_only_what_the_cache_holds_is_cheap_and_only_where_there_is_a_price_for_it():
    usd = with_history(FLAT, CARDS, talk(4_000_000, {"cached": 400_000, "plain": 400_000})).usd_NM[0]
    assert usd == pytest.approx([0.6 * 2.0 + 0.4 * 0.2, 2.0, 0.0, 0.0], abs=1e-4)


@given(st.integers(0, 50_000), st.integers(0, 100_000), st.text(min_size=1, max_size=200))
def test_a_cache_never_makes_a_conversation_dearer_nor_less_than_all_of_it_cached(history, cached, text):
    card = CARDS["cached"]
    usd, cold = (history_usd(card, talk(history, {"cached": tokens}, text)) for tokens in (cached, 0))
    assert 0.1 * cold - 1e-12 <= usd <= cold


def test_a_router_that_draws_counts_the_price_of_leaving_a_cache():
    table = example_table(40)
    cards = {name: ModelCard(name, 2.0, 8.0, usd_per_mtok_cached=0.0) for name in table.models}
    strategy = Exploring(LinUCB(epsilon=0.0).fit(table), cards)
    for known in table.models:
        # A cache that is worth 0.2 USD, at 100 points per USD, is worth more than any answer.
        query = talk(400_000, {known: 100_000})
        assert {strategy.explore(query, Objective(usd=100.0), seed).model for seed in range(5)} == {known}
