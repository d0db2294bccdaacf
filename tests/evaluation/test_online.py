"""A replay shows a learning router what it chose and nothing else, in time; its regret and its log are right."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest

from waypost.errors import BadTable
from waypost.evaluation.off_policy import estimate
from waypost.evaluation.online import (
    by_group,
    complete,
    curve,
    play_online,
    references,
    regret,
    shuffled,
    swapped,
    worth,
)
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import LinUCB, Thompson
from waypost.types import ModelCard

MODELS = ("tiny", "maths-expert", "large")
CARDS = {name: ModelCard(name) for name in MODELS}
BOTH = pytest.mark.parametrize("kind", [LinUCB, Thompson])


@dataclass
class Watched:
    """Writes down what it is asked and told."""

    models: tuple[str, ...] = MODELS
    events: list[tuple] = field(default_factory=list)

    def snapshot(self):
        return self

    def context(self, prompts):
        return np.arange(len(prompts), dtype=float)[:, None]

    def propensities(self, prompts, objective, cards, rng):
        self.events.append(("asked", prompts[0]))
        return np.array([[0.2, 0.3, 0.5]])

    def learn(self, context, model, quality, propensity, usd, seconds):
        self.events.append(("told", int(context[0]), model, quality, propensity, usd, seconds))


@pytest.mark.parametrize("delay", [0, 7])
def test_only_the_chosen_outcome_is_told_and_after_the_delay(delay):
    table, router = example_table(60), Watched()
    course = play_online(router, table, delay=delay)
    asked = 0
    for event in router.events:
        if event[0] == "asked":
            assert event[1] == table.prompts[asked]
            asked += 1
            continue
        _, n, model, *told = event
        # Told just before the prompt that comes once `delay` others have been served.
        assert n + delay + 1 == asked
        m = course.chosen_N[n]
        assert model == MODELS[m]
        cells = [values_NM[n, m] for values_NM in (table.quality_NM, table.usd_NM, table.seconds_NM)]
        assert told == [cells[0], course.propensity_NM[n, m], *cells[1:]]
    assert asked == 60 and len(router.events) == 2 * 60 - 1 - delay


@BOTH
def test_the_same_seed_plays_the_same_and_the_router_stays_as_it_was(kind):
    table, router = example_table(150), kind.from_cards(CARDS)
    one, two, other = (play_online(router, table, seed=seed) for seed in (1, 1, 2))
    assert (one.chosen_N == two.chosen_N).all() and (one.chosen_N != other.chosen_N).any()
    assert router.arms.seen == 0


@BOTH
def test_a_cold_router_learns_to_beat_chance_and_the_best_single_model(kind):
    table = example_table(1500)
    course = play_online(kind.from_cards(CARDS), table)
    known = references(table, Objective(), kind.from_cards(CARDS).context(table.prompts))
    late = slice(750, None)
    assert course.earned_N[late].mean() > known["best single"][late].mean() > known["random"][late].mean()
    assert known["oracle"].mean() >= known["linear"].mean() > known["best single"].mean()


def test_a_warm_start_loses_less_on_the_way():
    train, table = example_table(300, seed=4), example_table(400, seed=5)
    warm, cold = (play_online(router, table) for router in (LinUCB().fit(train), LinUCB.from_cards(CARDS)))
    assert warm.earned_N[:200].sum() > cold.earned_N[:200].sum()


@BOTH
def test_the_logged_probabilities_are_those_that_were_drawn_by(kind):
    """What another policy would have earned, estimated from the log, is what it earns, for every single model."""
    table = example_table(2000, seed=3)
    course = play_online(kind.from_cards(CARDS, epsilon=0.3), table)
    logged = course.logged()
    for m, model in enumerate(logged.models):
        found = estimate(logged, np.tile(np.eye(3)[m], (2000, 1)), resamples=200).estimate("ips").quality
        truth = table.quality_NM[:, m].mean()
        spread = (found.ci95[1] - found.ci95[0]) / 4
        assert abs(found.value - truth) < 4.5 * spread, model


def test_regret_sums_what_the_reference_earned_more():
    assert regret(np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.5])).tolist() == [1.0, 1.0, 0.5]
    found = curve([np.array([1.0, 2.0]), np.array([3.0, 6.0])])
    assert found.mean_N.tolist() == [2.0, 4.0]
    assert (found.low_N <= found.mean_N).all() and (found.mean_N <= found.high_N).all()
    assert (found.low_N >= [1, 2]).all() and (found.high_N <= [3, 6]).all()


def test_what_is_earned_is_the_objectives_score_of_the_outcome():
    table = example_table(50)
    assert np.allclose(worth(table, Objective(usd=100)), table.quality_NM - 100 * table.usd_NM, atol=1e-9)


def test_a_replay_with_a_price_on_money_avoids_the_dear_model():
    table = example_table(600)
    free, dear = (play_online(LinUCB.from_cards(CARDS), table, Objective(usd=usd)) for usd in (0.0, 2000.0))
    assert (dear.chosen_N == 2).mean() < 0.2 < (free.chosen_N == 2).mean()


def test_orders_keep_every_row():
    table = example_table(90)
    for other in (shuffled(table, 1), by_group(table, 1)):
        assert sorted(other.ids) == sorted(table.ids)
    groups = by_group(table, 2).groups
    assert sum(a != b for a, b in pairwise(groups)) == 2
    assert shuffled(table, 1).ids == shuffled(table, 1).ids != shuffled(table, 2).ids


def test_swapped_models_change_places_from_half_way_on():
    table = example_table(40)
    other = swapped(table, "tiny", "large")
    assert (other.quality_NM[:20] == table.quality_NM[:20]).all()
    assert (other.quality_NM[20:] == table.quality_NM[20:][:, [2, 1, 0]]).all()
    assert (other.usd_NM[20:, 0] == table.usd_NM[20:, 2]).all()


def test_after_a_swap_a_router_with_a_detector_recovers():
    """The best model of all and the worst change places; who trusts the past for ever pays longer."""
    table = swapped(shuffled(example_table(3000, seed=2), 0), "tiny", "large")
    settings = {"with": {}, "without": {"alarm": None}}
    late = {
        name: play_online(LinUCB.from_cards(CARDS, **each), table).earned_N[2200:] for name, each in settings.items()
    }
    assert late["with"].mean() > late["without"].mean() + 0.02


def test_a_missing_cell_is_named_and_can_be_left_out():
    table = example_table(30)
    quality_NM = np.array(table.quality_NM)
    quality_NM[4, 1] = np.nan
    holed = replace(table, quality_NM=quality_NM)
    with pytest.raises(BadTable, match=r"prompt 4 .*maths-expert"):
        play_online(LinUCB.from_cards(CARDS), holed)
    assert len(complete(holed)) == 29


def test_a_router_of_other_models_is_refused():
    with pytest.raises(BadTable, match="knows small"):
        play_online(LinUCB.from_cards({"small": ModelCard("small")}), example_table(10))
