from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
import pytest

from waypost.errors import BadInput, BadTable
from waypost.evaluation import play, solved
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table
from waypost.routers import make
from waypost.types import Call, Decision, ModelCard, Outcome, Prediction

NAN = np.nan
PLAY = import_module("waypost.evaluation.play")  # the package shows the function under this name


@dataclass
class Fixed:
    """A router that always expects the same."""

    models: tuple[str, ...]
    quality: tuple[float, ...]

    def fit(self, outcomes):
        return self

    def predict(self, prompts):
        shape = (len(prompts), len(self.models))
        return Prediction(self.models, np.tile(self.quality, (len(prompts), 1)), *np.zeros((3, *shape)))


@dataclass
class Escalate:
    """A strategy that asks the small model, and the large one when the answer is short."""

    name: str = "escalate"

    def decide(self, query, objective):
        return Decision("none", ("small", "large"), {}, {}, {}, {}, {}, {}, "")

    def run(self, query, decision):
        answer = yield Call("small", query, final=False)
        if len(answer.text) < 3:
            answer = yield Call("large", query)
        return answer


def row(prompt, model, quality, usd, answer="long enough", declined=False):
    return Outcome(
        id=prompt, prompt=prompt, group="g", model=model, quality=quality, usd=usd, seconds=10 * usd,
        answer="" if declined else answer, declined=declined,
    )  # fmt: skip


@pytest.fixture
def recorded():
    return Outcomes.from_rows([
        row("easy", "small", 1, 0.1), row("easy", "large", 1, 1.0),
        row("hard", "small", 0, 0.2, "no"), row("hard", "large", 1, 1.0),
        row("declined", "small", 0, 0.0, declined=True), row("declined", "large", 0.5, 1.0),
        row("gap", "small", 0, 0.1, "?"), row("gap", "large", None, 1.0),
    ])  # fmt: skip


def test_a_router_earns_the_cells_that_it_chose():
    table = example_table(50)
    earned = play(make("cheapest").fit(table), table, Objective())
    np.testing.assert_array_equal(earned.quality_N, table.quality_NM[:, 0])
    assert earned.share == {"tiny": 1, "maths-expert": 0, "large": 0}


def test_the_objective_decides_what_a_router_earns():
    table = example_table(200)
    router = make("domain").fit(table)
    dear, frugal = (play(router, table, Objective(usd=usd)) for usd in (0, 1e4))
    assert frugal.usd < dear.usd


def test_models_may_come_in_another_order_and_be_fewer():
    table = example_table(20)
    earned = play(Fixed(("large", "tiny"), (0.2, 0.9)), table, Objective())
    np.testing.assert_array_equal(earned.quality_N, table.quality_NM[:, 0])


def test_a_declined_call_goes_to_the_next_best_and_both_are_paid(recorded):
    earned = play(Fixed(("large", "small"), (0.4, 0.6)), recorded, Objective())
    np.testing.assert_array_equal(earned.quality_N, [1, 0, 0.5, 0])
    np.testing.assert_allclose(earned.usd_N, [0.1, 0.2, 1.0, 0.1])
    np.testing.assert_array_equal(earned.calls_NM, [[1, 0], [1, 0], [1, 1], [1, 0]])


def test_a_cascade_pays_every_call_it_makes(recorded):
    earned = play(Escalate(), recorded, Objective())
    np.testing.assert_array_equal(earned.quality_N, [1, 1, 0.5, NAN])
    np.testing.assert_allclose(earned.usd_N, [0.1, 1.2, 1.0, NAN])
    np.testing.assert_allclose(earned.seconds_N, [1, 12, 10, NAN])
    assert earned.share == {"small": 1, "large": pytest.approx(2 / 3)}


def test_a_strategy_that_asks_for_a_missing_cell_leaves_the_question_out(recorded):
    assert play(Escalate(), recorded, Objective()).missing == 1


def test_a_strategy_needs_kept_answers():
    with pytest.raises(BadTable, match="strategy 'escalate' looks at answers, and this table keeps none"):
        play(Escalate(), example_table(10), Objective())


def test_a_router_of_other_models_is_refused():
    with pytest.raises(BadInput, match="the router predicts for 'huge'; the test table has tiny"):
        play(Fixed(("huge", "tiny"), (1.0, 0.0)), example_table(10), Objective())


def test_a_router_whose_arrays_do_not_fit_is_refused():
    class Short(Fixed):
        def predict(self, prompts):
            return super().predict(prompts[1:])

    with pytest.raises(BadInput, match=r"quality_NM has shape \(9, 2\), expected \(prompts, models\) = \(10, 2\)"):
        play(Short(("large", "tiny"), (1.0, 0.0)), example_table(10), Objective())


def test_a_router_that_returns_something_else_is_refused():
    class Scores(Fixed):
        def predict(self, prompts):
            return np.zeros((len(prompts), 2))

    with pytest.raises(BadInput, match=r"must return a waypost\.Prediction, got a ndarray"):
        play(Scores(("large", "tiny"), (1.0, 0.0)), example_table(10), Objective())


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_of_any_size_give_the_same(size, monkeypatch, recorded):
    train, test = example_table(300).split()
    objective = Objective(usd=100, budget=2e-4)
    cards = {name: ModelCard(name) for name in test.models}
    fixed = Fixed(("large", "small"), (0.4, 0.6))
    routers = [make(name).fit(train) for name in ("domain", "ridge", "random")]
    whole = [(solved(each, test.prompts, objective, cards), play(each, test, Objective(usd=100))) for each in routers]
    whole_recorded = play(fixed, recorded, Objective())
    monkeypatch.setattr(PLAY, "_BLOCK", size)
    for router, (weight, earned) in zip(routers, whole, strict=True):
        assert solved(router, test.prompts, objective, cards).usd == pytest.approx(weight.usd)
        np.testing.assert_array_equal(play(router, test, Objective(usd=100)).calls_NM, earned.calls_NM)
    np.testing.assert_array_equal(play(fixed, recorded, Objective()).usd_N, whole_recorded.usd_N)


def test_a_prompt_that_a_router_refuses_is_found_in_a_later_block(monkeypatch):
    table = example_table(20)
    blank = replace(table, prompts=(*table.prompts[:13], " ", *table.prompts[14:]))
    monkeypatch.setattr(PLAY, "_BLOCK", 5)
    with pytest.raises(BadInput, match="among the prompts from 10 on: prompt 3 is empty"):
        play(make("best_single").fit(table), blank, Objective())
