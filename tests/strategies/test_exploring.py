"""Exploring draws the model to ask by the router's probabilities, and says so in the decision."""

import numpy as np
import pytest

from waypost.errors import BadInput, NoModelLeft
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import LinUCB, Thompson
from waypost.strategies import Exploring
from waypost.types import Answer, ModelCard, Query

CARDS = {name: ModelCard(name) for name in ("tiny", "maths-expert", "large")}
QUERY = Query.of("What is 17 plus 26?")


@pytest.mark.parametrize("kind", [LinUCB, Thompson])
def test_models_are_drawn_as_often_as_the_decision_says(kind):
    strategy = Exploring(kind(epsilon=0.4, draws=2000) if kind is Thompson else kind(epsilon=0.4), CARDS)
    strategy.router.fit(example_table(80))
    drawn = [strategy.explore(QUERY, Objective(), seed) for seed in range(600)]
    said = np.mean([[each.propensities[name] for name in CARDS] for each in drawn], axis=0)
    share = np.array([sum(each.model == name for each in drawn) for name in CARDS]) / 600
    assert np.abs(said - share).max() < 5 * np.sqrt(0.25 / 600)
    assert all(sum(each.propensities.values()) == pytest.approx(1) for each in drawn)


def test_the_same_seed_decides_the_same():
    strategy = Exploring(Thompson().fit(example_table()), CARDS)
    assert strategy.explore(QUERY, Objective(), 7) == strategy.explore(QUERY, Objective(), 7)


def test_expectations_and_the_ranking_behind_the_draw_are_those_of_deciding():
    strategy = Exploring(LinUCB(epsilon=1.0).fit(example_table()), CARDS)
    best = strategy.decide(QUERY, Objective())
    assert best.propensities == {}
    for seed in range(10):
        found = strategy.explore(QUERY, Objective(), seed)
        assert (found.quality, found.usd, found.scores) == (best.quality, best.usd, best.scores)
        assert found.ranking[1:] == tuple(name for name in best.ranking if name != found.model)
        assert f"{found.model} was drawn with probability 0.33" in found.why


def test_constraints_hold():
    strategy = Exploring(LinUCB(epsilon=1.0).fit(example_table()), CARDS)
    only = Objective(allowed=("tiny", "large"))
    found = [strategy.explore(QUERY, only, seed) for seed in range(30)]
    assert {each.model for each in found} == {"tiny", "large"}
    assert set(found[0].propensities) == {"tiny", "large"} and "maths-expert" in found[0].removed
    with pytest.raises(NoModelLeft):
        Exploring(strategy.router, {"other": ModelCard("other")}).explore(QUERY, Objective(), 0)
    with pytest.raises(BadInput, match="no text"):
        strategy.explore(Query(({"role": "user", "content": ""},)), Objective(), 0)


def test_the_next_best_is_asked_when_the_drawn_model_fails():
    strategy = Exploring(LinUCB(epsilon=1.0).fit(example_table()), CARDS)
    decision = strategy.explore(QUERY, Objective(), 3)
    run = strategy.run(QUERY, decision)
    assert next(run).model == decision.ranking[0] == decision.model
    assert run.send(Answer(decision.model, error="gone")).model == decision.ranking[1]
