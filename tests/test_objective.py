"""The objective weighs, constrains, breaks ties, and says why."""

import re
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput, BadRequest, NoModelLeft, UnknownModel
from waypost.objective import Objective
from waypost.types import ModelCard, Prediction, Query

NAMES = ("a-large", "b-small", "c-free")
CARDS = {
    "a-large": ModelCard(
        "a-large",
        context=1000,
        parameters=70,
        answer_tokens=400,
        released=date(2026, 5, 1),
        capabilities=frozenset({"tools", "vision"}),
    ),
    "b-small": ModelCard(
        "b-small",
        context=100,
        parameters=7,
        answer_tokens=40,
        released=date(2024, 5, 1),
        capabilities=frozenset({"tools"}),
    ),
    "c-free": ModelCard("c-free", local=True, open=True),
}


def expect(quality, usd=(0.01, 0.001, 0.0), seconds=(2.0, 1.0, 0.1), spread=(0.0, 0.0, 0.0)):
    return Prediction(NAMES, *(np.array([row], dtype=float) for row in (quality, usd, seconds, spread)))


def test_quality_alone_takes_the_best():
    assert Objective().choose(expect((0.9, 0.8, 0.1)), CARDS).model == "a-large"


@pytest.mark.parametrize(("weights", "model"), [
    ({"usd": 5}, "a-large"), ({"usd": 50}, "b-small"), ({"usd": 1000}, "c-free"),
    ({"seconds": 0.2}, "b-small"), ({"quality": 0.0, "seconds": 1.0}, "c-free"),
])  # fmt: skip
def test_weights_trade_quality_for_money_and_time(weights, model):
    assert Objective(**weights).choose(expect((0.9, 0.8, 0.1)), CARDS).model == model


def test_risk_prefers_the_sure_model():
    prediction = expect((0.9, 0.85, 0.1), spread=(0.3, 0.01, 0.0))
    assert Objective(risk=1).choose(prediction, CARDS).model == "b-small"


def test_ties_go_to_the_cheaper_and_say_so():
    decision = Objective().choose(expect((0.8, 0.8, 0.1)), CARDS)
    assert decision.ranking == ("b-small", "a-large", "c-free")
    assert decision.why.endswith("tied with a-large on score, cheaper")


def test_ties_of_equal_cost_go_by_name():
    decision = Objective().choose(expect((0.8, 0.8, 0.8), usd=(np.nan, np.nan, np.nan)), CARDS)
    assert decision.ranking == tuple(sorted(NAMES))
    assert decision.why.endswith("first by name")


def test_min_quality_takes_the_cheapest_that_is_good_enough():
    decision = Objective(usd=1000, min_quality=0.7).choose(expect((0.9, 0.8, 0.1)), CARDS)
    assert decision.model == "b-small"
    assert decision.removed["c-free"] == "expected quality 0.100 is below 0.7"


def test_min_quality_beyond_reach_removes_nobody_and_starts_with_the_best():
    decision = Objective(usd=1000, min_quality=0.95).choose(expect((0.9, 0.8, 0.1)), CARDS)
    assert decision.ranking == NAMES
    assert decision.why.endswith("nobody is expected to reach 0.95, so the best of 3 comes first")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_answers_length_counts_for_the_context(field):
    query = Query.of("x" * 200, **{field: 60})
    removed = Objective().choose(expect((0.9, 0.8, 0.1)), CARDS, query).removed
    assert removed == {"b-small": "111 tokens do not fit its context of 100"}


def test_constraints_remove_models_and_say_why():
    query = Query(({"role": "user", "content": "x" * 800},), {"max_tokens": 50}, frozenset({"tools"}))
    decision = Objective().choose(expect((0.9, 0.8, 0.1)), CARDS, query)
    assert decision.ranking == ("a-large",)
    assert decision.removed == {
        "b-small": "251 tokens do not fit its context of 100",
        "c-free": "cannot do tools",
    }
    assert "only one left" in decision.why


def test_nobody_left_names_each_reason():
    query = Query.of("hi")
    with pytest.raises(NoModelLeft, match="a-large: not among the allowed models"):
        Objective(allowed=("c-free",)).choose(
            expect((0.9, 0.8, 0.1)), CARDS, Query(query.messages, {}, frozenset({"audio"}))
        )


def test_allowed_must_be_in_the_pool():
    with pytest.raises(UnknownModel, match="Did you mean 'b-small'"):
        Objective(allowed=("b-smal",)).choose(expect((0.9, 0.8, 0.1)), CARDS)


def test_an_unknown_cost_counts_only_where_cost_has_a_weight():
    prediction = expect((0.9, 0.8, 0.1), usd=(np.nan, 0.001, 0.0))
    assert Objective().choose(prediction, CARDS).model == "a-large"
    decision = Objective(usd=1).choose(prediction, CARDS)
    assert decision.model == "b-small"
    assert "unknown" in decision.removed["a-large"]


def test_a_cost_that_nobody_states_cannot_decide():
    prediction = expect((0.9, 0.8, 0.1), seconds=(np.nan, np.nan, np.nan))
    assert Objective(seconds=1).choose(prediction, CARDS).model == "a-large"


@pytest.mark.parametrize(
    ("flag", "model"),
    [("smaller", "b-small"), ("local", "c-free"), ("open", "c-free"), ("newer", "a-large"), ("terse", "b-small")],
)
def test_flags_add_their_weight_to_the_card(flag, model):
    assert Objective(flags={flag: 1.0}).choose(expect((0.5, 0.5, 0.4)), CARDS).model == model


def test_a_bias_adds_points_to_the_models_it_names_and_is_told():
    decision = Objective(bias={"b-small": 0.2}).choose(expect((0.9, 0.8, 0.1)), CARDS)
    assert decision.model == "b-small" and decision.scores["b-small"] == pytest.approx(1.0)
    assert decision.bonus == {"a-large": 0.0, "b-small": 0.2, "c-free": 0.0}
    assert Objective(bias={"a-large": -0.2}).choose(expect((0.9, 0.8, 0.1)), CARDS).model == "b-small"


def test_a_bias_for_a_model_outside_the_pool_is_refused_with_the_nearest():
    with pytest.raises(UnknownModel, match="Did you mean 'b-small'"):
        Objective(bias={"b-smal": 0.2}).choose(expect((0.9, 0.8, 0.1)), CARDS)


@pytest.mark.parametrize(("given", "problem"), [
    ({"usdd": 1}, "Did you mean 'usd'"), ({"usd": "much"}, "'usd' must be a number"), ({"usd": -1}, "'usd'"),
    ({"min_quality": 2}, "between 0 and 1"), ({"flags": {"smal": 1}}, "Did you mean 'smaller'"),
    ({"allowed": "a"}, "list of model names"), ({"allowed": []}, "at least one"), ({"usd": float("nan")}, "'usd'"),
    ({"usd": True}, "'usd'"), ({"usd": 10**400}, "'usd' must be a number from zero"), ({"budget": 0}, "above zero"),
     ({"flags": [1]}, "map flags"), ({"bias": [1]}, "map model names"), ({"bias": {"a-large": "much"}}, "got much"),
    ({"bias": {"a-large": True}}, "give numbers"), ({"bias": {"a-large": float("nan")}}, "got nan"),
])  # fmt: skip
def test_bad_words_name_the_field(given, problem):
    with pytest.raises(BadRequest, match=problem):
        Objective.from_mapping(given)


def test_words_go_on_top_of_a_base():
    objective = Objective.from_mapping({"usd": 3}, Objective(seconds=2, allowed=("c-free",)))
    assert objective == Objective(usd=3, seconds=2, allowed=("c-free",))


arrays = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def sample(rng, n=60):
    quality, usd = rng.random((n, 3)), rng.random((n, 3)) * (0.01, 0.001, 0.0001)
    return Prediction(NAMES, quality, usd, usd * 100, quality * 0)


def one_of(prediction, n):
    return Prediction(NAMES, *(a[n : n + 1] for a in prediction[1:]))


@given(
    rng=arrays,
    usd=st.sampled_from([0.0, 10.0, 1e4]),
    rest=st.sampled_from(
        [{}, {"seconds": 1.0}, {"risk": 0.5}, {"min_quality": 0.5}, {"allowed": ("a-large", "b-small")}]
    ),
    gaps=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_many_choices_equal_single_ones_whatever_is_unknown(rng, usd, rest, gaps):
    whole, objective = sample(rng, 8), Objective(usd=usd, **rest)
    holed = [np.where(rng.random(a.shape) < gap, np.nan, a) for a, gap in zip(whole[1:], gaps, strict=True)]
    prediction = Prediction(NAMES, *holed)
    singly, possible = [], []
    for n in range(8):
        try:
            singly.append(objective.choose(one_of(prediction, n), CARDS).model)
            possible.append(n)
        except NoModelLeft as error:
            with pytest.raises(NoModelLeft, match=re.escape(str(error))):
                objective.choose_many(Prediction(NAMES, *(a[n:] for a in prediction[1:])), CARDS)
    many = objective.choose_many(Prediction(NAMES, *(a[possible] for a in prediction[1:])), CARDS)
    assert [NAMES[m] for m in many] == singly


numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, 0.5 + 4e-10, 0.5 + 6e-10, 1e-12, np.nan, 1e12]),
    st.floats(0, 1),
    st.floats(0, 1e-3),
)
rows = st.lists(numbers, min_size=3, max_size=3)
weights = st.sampled_from([0.0, 1.0, 30.0, 1e4]) | st.floats(0, 100)
points = st.sampled_from([0.0, -0.5, 0.25, -1e-12]) | st.floats(-1, 1)


@given(
    facts=st.tuples(rows, rows, rows, rows),
    objective=st.builds(
        Objective,
        quality=weights,
        usd=weights,
        seconds=weights,
        risk=weights,
        min_quality=st.sampled_from([0.0, 0.3, 0.5, 0.95]),
        allowed=st.none() | st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple),
        flags=st.dictionaries(st.sampled_from(["smaller", "newer", "open", "local", "terse"]), weights, max_size=2),
        bias=st.dictionaries(st.sampled_from(NAMES), points, max_size=2),
        barred=st.dictionaries(st.sampled_from(NAMES), st.just("not for this key"), max_size=1),
    ),
    needs=st.sampled_from([frozenset(), frozenset({"tools"})]),
)
def test_a_choice_is_what_ranking_many_gives_to_the_last_bit(facts, objective, needs):
    """The scores of one prompt are made without arrays; `ranked` is the reference."""
    prediction = expect(*facts)
    query = Query(({"role": "user", "content": "Hi"},), needs=needs)
    try:
        decision = objective.choose(prediction, CARDS, query)
    except NoModelLeft:
        removed = objective._removed(NAMES, CARDS, query)
        assert np.isneginf(objective._rank(prediction, CARDS, removed).score_NM).all()
        return
    score_M, order_M = (array_NM[0] for array_NM in objective.ranked(prediction, CARDS, query))
    left = [NAMES[m] for m in order_M if np.isfinite(score_M[m])]
    assert list(decision.ranking) == list(decision.scores) == left
    expected = {name: float(score_M[NAMES.index(name)]) for name in left}
    assert {name: score.hex() for name, score in decision.scores.items()} == {n: s.hex() for n, s in expected.items()}
    assert set(decision.removed) == set(NAMES) - set(left)


def test_a_cost_that_is_unknown_for_one_prompt_decides_nothing_there_alone():
    usd = np.array([[np.nan, np.nan, np.nan], [0.01, 0.001, 0.0]])
    prediction = Prediction(NAMES, np.array([[0.9, 0.8, 0.1]] * 2), usd, np.zeros((2, 3)), np.zeros((2, 3)))
    assert [NAMES[m] for m in Objective(usd=50).choose_many(prediction, CARDS)] == ["a-large", "b-small"]


def test_where_nothing_is_left_of_many_it_says_what_is_missing():
    prediction = sample(np.random.default_rng(0), 3)
    prediction.quality_NM[1] = np.nan
    with pytest.raises(NoModelLeft, match=r"a-large: the router knows nothing of its quality; b-small"):
        Objective().choose_many(prediction, CARDS)


def test_scores_come_with_the_order_that_they_give():
    prediction = sample(np.random.default_rng(0))
    score, order = Objective(usd=30, allowed=("a-large", "c-free")).ranked(prediction, CARDS)
    assert (np.diff(np.take_along_axis(score, order, axis=1)[:, :2]) <= 0).all()
    assert np.isneginf(score[:, 1]).all() and (order[:, 2] == 1).all()


@given(rng=arrays, share=st.floats(0.05, 1.0))
def test_a_budget_is_kept_and_a_larger_one_is_never_worse(rng, share):
    prediction = sample(rng)
    cheapest = prediction.usd_NM.min(axis=1).mean()
    dearest = prediction.usd_NM.max(axis=1).mean()
    row = np.arange(60)

    def spend(budget):
        chosen = Objective(budget=budget).solved(prediction, CARDS).choose_many(prediction, CARDS)
        return prediction.usd_NM[row, chosen].mean(), prediction.quality_NM[row, chosen].mean()

    budget = cheapest + share * (dearest - cheapest)
    usd, quality = spend(budget)
    assert usd <= budget
    assert spend(budget * 1.5)[1] >= quality - 1e-12


def test_an_impossible_budget_says_what_the_cheapest_costs():
    prediction = sample(np.random.default_rng(0))
    with pytest.raises(BadInput, match="too small; the cheapest choices cost"):
        Objective(budget=1e-9).solved(prediction, CARDS)


def test_a_budget_is_solved_on_the_prompts_of_known_cost():
    prediction = sample(np.random.default_rng(0))
    prediction.usd_NM[::3] = np.nan
    known = Prediction(NAMES, *(np.delete(a, np.s_[::3], axis=0) for a in prediction[1:]))
    budget = Objective(budget=0.001)
    assert budget.solved(prediction, CARDS) == budget.solved(known, CARDS)


def test_a_budget_without_known_costs_is_refused():
    with pytest.raises(BadInput, match="no costs are known"):
        Objective(budget=1).solved(expect((0.9, 0.8, 0.1), usd=(np.nan, np.nan, np.nan)), CARDS)


def test_scores_that_differ_by_rounding_only_are_a_tie():
    assert Objective().choose(expect((0.8 + 1e-12, 0.8, 0.1)), CARDS).model == "b-small"


def test_many_rows_of_one_request_are_ranked_by_what_it_needs():
    """`ranked` with a query removes what `choose` removes for it, in every row."""
    cards = {"able": ModelCard("able", capabilities=frozenset({"json"})), "unable": ModelCard("unable")}
    better = Prediction(("able", "unable"), np.tile([0.2, 0.9], (3, 1)), *[np.zeros((3, 2))] * 3)
    query = Query(({"role": "user", "content": "Hi"},), needs=frozenset({"json"}))
    assert Objective().ranked(better, cards).order_NM[:, 0].tolist() == [1, 1, 1]
    found = Objective().ranked(better, cards, query)
    assert found.order_NM[:, 0].tolist() == [0, 0, 0] and np.isneginf(found.score_NM[:, 1]).all()
    with pytest.raises(NoModelLeft, match="cannot do json"):
        Objective(allowed=("unable",)).ranked(better, cards, query)
