"""Single and cascade, driven by hand and by recorded answers."""

import numpy as np
import pytest

from waypost.errors import BadInput, BadTable, NoModelLeft
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import Escalation, Outlook, load, make, save
from waypost.strategies import Cascade, Single, replay
from waypost.types import Answer, Decision, ModelCard, Outcome, Prediction, Query


def recorded(n=400, seed=0):
    """Answers whose text tells whether they are right: "small" says "perhaps" when it guesses."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        prompt = f"Question {i} about {rng.choice(['tides', 'trade', 'trees'])}"
        sure = rng.random() < 0.5
        right = rng.random() < (0.95 if sure else 0.1)
        text = "It is certainly the moon." if sure else "I am not sure, perhaps the wind"
        yield Outcome(str(i), prompt, "all", "small", float(right), 1e-6, 0.1, 9, 6, text)
        yield Outcome(str(i), prompt, "all", "large", float(rng.random() < 0.9), 1e-3, 1.0, 9, 20, "It is the moon.")


TABLE = Outcomes.from_rows(recorded())
DOUBT = "I am not sure, perhaps the wind"
CARDS = {name: ModelCard(name) for name in TABLE.models}


@pytest.fixture(scope="module")
def head():
    return Escalation().fit(TABLE)


def test_single_goes_down_the_ranking_until_one_answers():
    single = Single(make("best_single").fit(TABLE), CARDS)
    query = Query.of("Question about trees")
    decision = single.decide(query, Objective())
    run = single.run(query, decision)
    assert next(run).model == "large"
    second = run.send(Answer("large", error="502"))
    assert (second.model, second.final) == ("small", True)
    with pytest.raises(StopIteration) as end:
        run.send(Answer("small", "yes"))
    assert end.value.value.text == "yes"


def test_single_returns_the_last_failure_when_nobody_answers():
    single = Single(make("best_single").fit(TABLE), CARDS)
    _, given, paid = replay(single, Query.of("Hi"), Objective(), lambda c: Answer(c.model, error=f"{c.model} is down"))
    assert given.error == "small is down"
    assert [a.model for a in paid] == ["large", "small"]


def test_a_query_without_text_cannot_be_routed():
    with pytest.raises(BadInput, match="no text to route on"):
        Single(make("best_single").fit(TABLE), CARDS).decide(Query.of("  "), Objective())


def test_cascade_starts_cheap_and_escalates_on_a_doubtful_answer_only(head):
    cascade = Cascade(head, CARDS)
    query = Query.of("Question 7 about tides")
    decision = cascade.decide(query, Objective(usd=100))
    assert decision.ranking == ("small", "large")

    def after(text):
        run = cascade.run(query, decision)
        first = next(run)
        assert (first.model, first.final) == ("small", False)
        try:
            return run.send(Answer("small", text, 9, 6))
        except StopIteration as done:
            return done.value

    assert after("It is certainly the moon.").text == "It is certainly the moon."
    call = after("I am not sure, perhaps the wind")
    assert (call.model, call.final) == ("large", True)


def test_cascade_beats_both_models_at_less_than_the_large_ones_cost(head):
    test = Outcomes.from_rows(recorded(seed=1))
    quality, usd = [], []
    for n, prompt in enumerate(test.prompts):
        answer_of = lambda call, n=n: test.answer(n, call.model)  # noqa: E731
        _, given, paid = replay(Cascade(head, CARDS), Query.of(prompt), Objective(usd=100), answer_of)
        quality.append(test.quality_NM[n, test.models.index(given.model)])
        usd.append(sum(a.usd for a in paid))
    means = test.means()
    assert np.mean(quality) > means["large"][0] > means["small"][0]
    assert np.mean(usd) < 0.7 * means["large"][1]


def test_cascade_keeps_the_earlier_answer_when_the_larger_model_fails(head):
    def answer_of(call):
        return Answer("small", DOUBT, 9, 6) if call.model == "small" else Answer("large", error="timeout")

    _, given, paid = replay(Cascade(head, CARDS), Query.of("Question about trade"), Objective(), answer_of)
    assert given.text == DOUBT
    assert len(paid) == 2


def test_cascade_goes_on_when_the_first_declines_or_fails(head):
    for problem in ({"declined": "not mine"}, {"error": "reset"}):

        def answer_of(call, problem=problem):
            return Answer("small", **problem) if call.model == "small" else Answer("large", "yes")

        _, given, _ = replay(Cascade(head, CARDS), Query.of("Question about trade"), Objective(usd=1e6), answer_of)
        assert given.text == "yes"


def test_constraints_bind_the_cascade_too(head):
    with pytest.raises(NoModelLeft):
        Cascade(head, CARDS).decide(Query((*Query.of("x").messages,), {}, frozenset({"vision"})), Objective())
    decision = Cascade(head, CARDS).decide(Query.of("x"), Objective(allowed=("large",)))
    assert decision.ranking == ("large",)


def test_the_head_survives_a_trip_to_disk(head, tmp_path):
    save(head, tmp_path)
    answer = Answer("small", "I am not sure", 9, 5, logprob=-0.4)
    one, other = head.revise("Question about trees", answer), load(tmp_path).revise("Question about trees", answer)
    assert np.array_equal(one.answered.quality_NM, other.answered.quality_NM)


def test_a_table_without_answers_cannot_train_a_cascade():
    from waypost.outcomes import example_table

    with pytest.raises(BadTable, match="no answers of 'tiny' were kept"):
        Escalation().fit(example_table())


def test_an_expert_that_declines_often_but_is_right_is_asked_before_the_general_model():
    rng = np.random.default_rng(0)

    def rows():
        for i in range(300):
            prompt = f"Question {i} about {rng.choice(['tides', 'trade', 'trees'])}"
            yield Outcome(str(i), prompt, "", "clock", 0.0, 1e-9, 0.0, declined=True)
            mine = rng.random() < 0.1
            text = "Certainly." if mine else ""
            yield Outcome(str(i), prompt, "", "expert", float(mine), 1e-7, 0.0, answer=text, declined=not mine)
            yield Outcome(str(i), prompt, "", "general", float(rng.random() < 0.4), 1e-5, 1.0, answer="Well, perhaps.")

    table = Outcomes.from_rows(rows())
    cascade = Cascade(Escalation().fit(table), {name: ModelCard(name) for name in table.models})
    query = Query.of("Question 301 about trade")
    decision = cascade.decide(query, Objective(usd=100))
    assert decision.quality["expert"] < decision.quality["general"]
    run = cascade.run(query, decision)
    assert next(run).model == "clock"
    assert run.send(Answer("clock", declined="not mine")).model == "expert"
    assert run.send(Answer("expert", declined="not mine")).model == "general"


class Foreseen:
    """A head whose outlook is given: (quality, usd, seconds, chance of declining) by model."""

    def __init__(self, **outlook):
        self.outlook = outlook

    def predict(self, prompts):
        quality, usd, seconds, declines = (
            np.array([list(column)]) for column in zip(*self.outlook.values(), strict=True)
        )
        return Prediction(tuple(self.outlook), quality * (1 - declines), usd, seconds, quality * 0)

    def revise(self, prompt, answer):
        quality, usd, seconds, declines = (
            np.array([list(column)]) for column in zip(*self.outlook.values(), strict=True)
        )
        return Outlook(Prediction(tuple(self.outlook), quality, usd, seconds, quality * 0), declines)


def second_call(objective, answer=None, cards=None, **outlook):
    """Whom a cascade asks after the first model's answer, or None."""
    cards = cards or {name: ModelCard(name) for name in outlook}
    cascade, query = Cascade(Foreseen(**outlook), cards), Query.of("Hi")
    run = cascade.run(query, cascade.decide(query, objective))
    first = next(run)
    try:
        return run.send(answer or Answer(first.model, "Hello")).model
    except StopIteration:
        return None


@pytest.mark.parametrize(("objective", "asked"), [
    (Objective(), "large"), (Objective(usd=29), "large"), (Objective(usd=31), None),
    (Objective(seconds=0.14), "large"), (Objective(seconds=0.16), None),
])  # fmt: skip
def test_the_gain_is_weighed_against_the_price_and_the_time_of_the_next_call(objective, asked):
    assert second_call(objective, small=(0.5, 1e-6, 0.1, 0), large=(0.8, 0.01, 2.0, 0)) == asked


def test_a_gain_that_may_be_declined_is_worth_less():
    outlook = {"small": (0.5, 1e-6, 0.1, 0.0), "shy": (0.9, 0.01, 0.1, 0.9), "sure": (0.8, 0.01, 0.1, 0.0)}
    assert second_call(Objective(usd=5), **outlook) == "sure"


def test_flags_hold_after_the_first_answer_too():
    outlook = {"here": (0.5, 1e-6, 0.1, 0), "there": (0.6, 1e-5, 0.1, 0)}
    cards = {"here": ModelCard("here", local=True), "there": ModelCard("there")}
    assert second_call(Objective(), cards=cards, **outlook) == "there"
    assert second_call(Objective(flags={"local": 0.5}), cards=cards, **outlook) is None


def test_an_unknown_price_is_never_zero():
    cascade, query = Cascade(Foreseen(small=(0.5, 1e-6, 0.1, 0), large=(0.8, np.nan, 0.1, 0)), {}), Query.of("Hi")
    before = {"small": 1e-6, "large": 1.0}
    decision = Decision("", ("small", "large"), {}, {}, before, before, {}, {"quality": 1.0, "usd": 100.0}, "")
    run = cascade.run(query, decision)
    next(run)
    with pytest.raises(StopIteration):
        run.send(Answer("small", "Hello"))


@pytest.mark.parametrize("fact", ["logprob", "finish", "refusal"])
def test_the_head_reads_each_fact_of_an_answer(fact):
    rng = np.random.default_rng(1)

    def answer_facts(good):
        return {
            "logprob": {"logprob": -0.1 if good else -2.0},
            "finish": {"finish": "stop" if good else "length"},
            "refusal": {"answer": "The answer is this one here" if good else "I cannot say anything on it"},
        }[fact]

    rows = []
    for i in range(200):
        good, prompt = rng.random() < 0.5, f"Question {i}"
        rows.append(Outcome(str(i), prompt, "", "small", float(good), 1e-6, 0.1, 9, 6, **answer_facts(good)))
        rows.append(Outcome(str(i), prompt, "", "large", 1.0, 1e-3, 1.0, 9, 6))
    head = Escalation().fit(Outcomes.from_rows(rows))

    def expected(good):
        given = answer_facts(good)
        answer = Answer("small", given.pop("answer", ""), 9, 6, **given)
        return head.revise("Question 201", answer).answered.quality_NM[0, 0]

    assert expected(True) > 0.7 > 0.3 > expected(False)


def test_a_router_is_asked_for_its_doubt_only_where_that_has_a_weight():
    asked = []

    class Doubting:
        models = ("a", "b")

        def predict(self, prompts):
            asked.append("predict")
            return Prediction(self.models, np.array([[0.9, 0.8]]), *[np.zeros((1, 2))] * 2, np.array([[0.5, 0.0]]))

        def expect(self, prompts):
            asked.append("expect")
            return Prediction(self.models, np.array([[0.9, 0.8]]), *[np.zeros((1, 2))] * 2, np.full((1, 2), np.nan))

    router, cards = Doubting(), {name: ModelCard(name) for name in "ab"}
    query = Query.of("Hi")
    assert Single(router, cards).decide(query, Objective()).model == "a"
    assert Single(router, cards).decide(query, Objective(risk=1.0)).model == "b"
    assert asked == ["expect", "predict"]
