"""A conversation costs what each token of it is billed at: the reference sends every token by itself."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput, BadTable, UnknownModel
from waypost.evaluation import conversations
from waypost.evaluation.baselines import chance, chosen, single
from waypost.evaluation.conversations import Turn, charge
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import ModelCard, Outcome

NAMES = "abc"
LEAST = 4  # small conversations reach a small minimum
PRICE = st.floats(0, 50)
TOKENS = st.integers(0, 12)
TURN = st.builds(
    lambda model, message, said, thought: Turn(model, message, said + thought, thought),
    st.sampled_from(NAMES), TOKENS, TOKENS, TOKENS,
)  # fmt: skip
TURNS = st.lists(TURN, min_size=1, max_size=8)
GAPS = st.lists(st.floats(0, 10), min_size=8, max_size=8)


def card(name, cached=None, written=None):
    prices = {"usd_per_mtok_in": 3e6, "usd_per_mtok_out": 7e6, "usd_per_call": 0.5}
    return ModelCard(name, **prices, usd_per_mtok_cached=cached, usd_per_mtok_written=written)


def timed(turns, gaps):
    return [replace(turn, at=at) for turn, at in zip(turns, np.cumsum(gaps), strict=False)]


def token_by_token(turns, cards, least, ttl):
    """Every token has a name; a cache is the list of tokens that a model was sent; each token is billed by itself."""
    history, caches, costs = [], {}, []
    for number, turn in enumerate(turns):
        prompt = history + [("user", number, i) for i in range(turn.message)]
        cache, read_at = caches.get(turn.model, ([], 0.0))
        if turn.at is not None and turn.at - read_at > ttl:
            cache = []
        usd, of = cards[turn.model].usd_per_call, cards[turn.model]
        prices = (of.usd_per_mtok_in, of.usd_per_mtok_cached, of.usd_per_mtok_written)
        fresh, cached, written = (of.usd_per_mtok_in if price is None else price for price in prices)
        kept = True
        for place, token in enumerate(prompt):
            kept = kept and place < len(cache) and cache[place] == token
            usd += (cached if kept else written if len(prompt) >= least else fresh) / 1e6
        usd += turn.answer * of.usd_per_mtok_out / 1e6
        if len(prompt) >= least:
            caches[turn.model] = prompt, turn.at
        history = prompt + [("said", number, i) for i in range(turn.answer - turn.reasoning)]
        costs.append(usd)
    return costs


@given(TURNS, GAPS, st.booleans(), PRICE, PRICE)
def test_it_agrees_with_billing_every_token_by_itself(turns, gaps, with_times, cached, written):
    cards = {name: card(name, cached * 1e6, written * 1e6) for name in NAMES}
    turns = timed(turns, gaps) if with_times else turns
    found = conversations.usd(turns, cards, least=LEAST, ttl=6.0)
    np.testing.assert_allclose(found, token_by_token(turns, cards, LEAST, 6.0))


@given(TURNS)
def test_without_cache_prices_every_turn_pays_the_whole_history(turns):
    cards = {name: card(name) for name in NAMES}
    history, plain = 0, []
    for turn in turns:
        plain.append(cards[turn.model].usd(history + turn.message, turn.answer))
        history += turn.message + turn.answer - turn.reasoning
    np.testing.assert_allclose(conversations.usd(turns, cards, least=LEAST), plain)


@given(TURN, st.floats(0, 3))
def test_one_turn_costs_what_one_call_costs(turn, cached):
    cards = {name: card(name, cached * 1e6) for name in NAMES}
    plain = cards[turn.model].usd(turn.message, turn.answer)
    assert conversations.usd([turn], cards, least=LEAST)[0] == pytest.approx(plain)


@given(TURNS, GAPS, st.booleans(), st.floats(0, 1), st.floats(0, 5))
def test_at_equal_prices_switching_is_never_cheaper_than_staying(turns, gaps, with_times, share, surcharge):
    cards = {name: card(name, 3e6 * share, 3e6 + surcharge * 1e6) for name in NAMES}
    turns = timed(turns, gaps) if with_times else turns
    stay = [replace(turn, model="a") for turn in turns]
    switching, staying = (conversations.usd(t, cards, least=LEAST, ttl=6.0) for t in (turns, stay))
    assert np.all(switching >= staying - 1e-9)


def test_a_model_that_comes_back_finds_what_it_read_before_and_no_more():
    cards = {name: card(name, 0.0) for name in NAMES}
    first, other, back = conversations.usd([Turn(m, 10, 5) for m in "aba"], cards, least=LEAST)
    answer = 0.5 + 5 * 7
    assert first == answer + 10 * 3
    assert other == answer + 25 * 3, "all of the history is new to the other model"
    assert back == answer + 30 * 3, "of 40 tokens it had read 10; its own answer comes back as new text"


def test_a_prompt_below_the_minimum_is_not_cached():
    cards = {"a": card("a", 0.0)}
    costs = conversations.usd([Turn("a", 600, 0)] * 3, cards, least=1024)
    np.testing.assert_allclose(costs - 0.5, [600 * 3, 1200 * 3, 600 * 3])


def test_a_cache_is_forgotten_unless_it_is_read_in_time():
    cards = {"a": card("a", 0.0)}
    late = conversations.usd([Turn("a", 10, 0, at=at) for at in (0.0, 300.0, 599.0, 900.0)], cards, least=LEAST)
    np.testing.assert_allclose(late - 0.5, [30, 30, 30, 120])


def test_an_unknown_price_is_a_gap_in_its_own_turns_only():
    cards = {"a": card("a"), "b": ModelCard("b")}
    costs = conversations.usd([Turn("a", 1, 1), Turn("b", 1, 1), Turn("a", 1, 1)], cards)
    assert np.isnan(costs).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([Turn("a", 1, 1, at=1.0), Turn("a", 1, 1)], "1 of 2 turns have a time"),
        ([Turn("a", 1, 1, at=2.0), Turn("a", 1, 1, at=1.0)], "run backwards"),
    ],
)
def test_times_that_say_nothing_are_refused(turns, told):
    with pytest.raises(BadInput, match=told):
        conversations.usd(turns, {"a": card("a")})


def test_a_model_without_a_card_is_refused():
    with pytest.raises(UnknownModel, match="no model 'b'"):
        conversations.usd([Turn("b", 1, 1)], {"a": card("a")})


# Tables: the same turns, read from recorded calls.

CARDS = {name: card(name, 1e6, 4e6) for name in "ab"}


def table(*rows):
    """A table of (prompt, source, tokens in, tokens out), both models alike."""
    return Outcomes.from_rows(
        [
            Outcome(str(n), prompt, "", model, 1.0, 9.0, 1.0, tokens_in=tokens_in, tokens_out=tokens_out, source=source)
            for n, (prompt, source, tokens_in, tokens_out) in enumerate(rows)
            for model in "ab"
        ]
    )


def picked(t, models):
    return chosen(t, np.array([t.models.index(model) for model in models]))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y"]), st.integers(1, 12), TOKENS), min_size=1))
def test_rows_of_one_source_are_turns_in_the_tables_order(rows):
    t = table(*((f"{n} say", source, read, said) for n, (_, source, read, said) in enumerate(rows)))
    found = charge(picked(t, [model for model, *_ in rows]), t, CARDS, least=LEAST)
    for name in ("x", "y"):
        at = [n for n, row in enumerate(rows) if row[1] == name]
        turns = [Turn(rows[n][0], *rows[n][2:]) for n in at]
        np.testing.assert_allclose(found.usd_N[at], conversations.usd(turns, CARDS, least=LEAST))


def test_rows_without_a_source_cost_their_recorded_tokens():
    t = table(("hi", "", 10, 2), ("ho", "", 20, 2))
    np.testing.assert_allclose(charge(single(t, "a"), t, CARDS, least=LEAST).usd_N, [0.5 + 44, 0.5 + 74])


def test_prompts_that_hold_the_history_are_not_given_it_twice():
    t = table(("hi", "x", 10, 2), ("hi ho you", "x", 25, 2), ("hello", "y", 10, 2))
    found = charge(single(t, "a"), t, CARDS, least=LEAST)
    np.testing.assert_allclose(found.usd_N, [0.5 + 40 + 14, 0.5 + 10 * 1 + 15 * 4 + 14, 0.5 + 40 + 14])


def test_whether_prompts_hold_the_history_is_told_for_each_conversation():
    rows = ("hi", "x", 10, 2), ("hi ho you", "x", 25, 2)
    beside = ("he", "y", 10, 2), ("Ha", "y", 10, 2)
    t, both = table(*rows), table(*rows, *beside)
    found = charge(single(both, "a"), both, CARDS, least=LEAST).usd_N
    np.testing.assert_allclose(found[:2], charge(single(t, "a"), t, CARDS, least=LEAST).usd_N)
    np.testing.assert_allclose(found[3], 0.5 + 10 * 1 + 12 * 4 + 14, err_msg="10 were read, 2 said and 10 asked since")


def test_two_models_of_the_pool_with_one_card_read_the_history_each_for_itself():
    cards = {"fast": card("gpt", 0.0), "slow": card("gpt", 0.0)}
    costs = conversations.usd([Turn("fast", 10, 0), Turn("slow", 10, 0)], cards, least=LEAST)
    np.testing.assert_allclose(costs - 0.5, [30, 60])
    t = table(("hi", "x", 10, 0), ("ho", "x", 10, 0))
    charged = charge(picked(t, "ab"), t, dict(zip("ab", cards.values(), strict=True)), least=LEAST)
    np.testing.assert_allclose(charged.usd_N - 0.5, [30, 60])


@pytest.mark.parametrize("source", ["", "talk"])
@pytest.mark.parametrize(
    "wrong", [{"tokens_cached": 8, "tokens_written": 3}, {"tokens_reasoning": 6}, {"tokens_out": -1}]
)
def test_counts_that_cannot_be_are_refused_with_their_row(wrong, source):
    fine = Outcome("1", "hi", "", "a", 1.0, None, None, tokens_in=10, tokens_out=5, source=source)
    rows = [fine, replace(fine, id="7", prompt="ho", **wrong)]
    t = Outcomes.from_rows([replace(row, model=model) for row in rows for model in "ab"])
    with pytest.raises(BadTable, match=r"row '7' \(prompt 'ho'\) of model 'a' counts tokens_in 10, "):
        charge(single(t, "b"), t, CARDS)


def test_staying_costs_are_those_of_each_model_alone():
    t = table(("hi", "x", 10, 2), ("lone", "", 10, 2), ("ho", "x", 10, 2))
    priced = conversations.staying(t, {"a": CARDS["a"], "b": ModelCard("b")}, least=LEAST)
    np.testing.assert_array_equal(priced.usd_NM[:, 0], charge(single(t, "a"), t, CARDS, least=LEAST).usd_N)
    assert np.isnan(priced.usd_NM[:, 1]).all()
    np.testing.assert_array_equal(priced.quality_NM, t.quality_NM)


def test_every_call_of_a_cascade_is_paid_and_each_model_remembers_its_own():
    t = table(("hi", "x", 10, 2), ("ho", "x", 10, 2))
    both = Earned(t.models, np.ones(2), np.zeros(2), np.zeros(2), np.ones((2, 2)))
    np.testing.assert_allclose(
        charge(both, t, CARDS, least=LEAST).usd_N, charge(single(t, "a"), t, CARDS, least=LEAST).usd_N * 2
    )


def test_what_is_not_known_stays_a_gap_with_all_that_follows_from_it():
    t = table(("hi", "x", 10, 2), ("ho", "x", 0, 0), ("he", "x", 10, 2), ("ha", "y", 10, 2))
    found = charge(single(t, "a"), t, CARDS)
    assert np.isnan(found.usd_N).tolist() == [False, True, True, False]
    assert found.unpriced == 2 and found.quality == 1.0
    assert np.isnan(charge(chance(t), t, CARDS).usd_N).all(), "a mixture of models has no one history"


def test_a_table_without_tokens_is_refused():
    t = table(("hi", "x", 0, 0), ("ho", "x", 0, 0))
    with pytest.raises(BadTable, match="keeps no token counts"):
        charge(single(t, "a"), t, CARDS)
    with pytest.raises(UnknownModel):
        charge(single(t, "a"), table(("hi", "x", 1, 1), ("ho", "x", 1, 1)), {"a": CARDS["a"]})
