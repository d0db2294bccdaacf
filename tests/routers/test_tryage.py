"""Tryage predicts losses, and the flags of the objective weigh against them as in the paper."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput, NotFitted
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import CarrotEncoder, Tryage
from waypost.types import ModelCard

PROMPTS = ["What is 17 plus 26?", "Fix the bug in the method garden.", "Hi", "Tell me about the town of Elm."]
CARDS = {name: ModelCard(name, parameters=size) for name, size in (("tiny", 1), ("maths-expert", 7), ("large", 70))}


def losses_table(n):
    """Experts with a loss of their own in each group, as language models have, with a little noise."""
    table = example_table(n, seed=2)
    groups = sorted(set(table.groups))
    typical = {group: np.roll([0.2, 0.45, 0.7], k) for k, group in enumerate(groups)}
    loss = np.array([typical[group] for group in table.groups]) + np.random.default_rng(0).normal(0, 0.02, (n, 3))
    return replace(table, quality_NM=1 - loss)


@pytest.mark.parametrize("divergence", ["squared", "kl"])
def test_it_predicts_the_losses_and_so_the_best_expert(divergence):
    train, test = losses_table(900).split()
    expected = Tryage(divergence=divergence, hidden=32, epochs=40).fit(train).predict(test.prompts)
    assert np.abs(expected.quality_NM - test.quality_NM).mean() < 0.06
    assert (expected.quality_NM.argmax(axis=1) == test.quality_NM.argmax(axis=1)).mean() > 0.9


def test_a_choice_is_the_least_of_loss_and_weighted_costs():
    """The paper's rule, worked out by hand: argmin L + lambda C, with C the size on a scale from 0 to 1."""
    router = Tryage(hidden=16, epochs=10).fit(losses_table(300))
    expected = router.predict(PROMPTS)
    sizes = np.log([CARDS[name].parameters for name in expected.models])
    cost_M = (sizes - sizes.min()) / (sizes.max() - sizes.min())
    for weight in (0.0, 0.1, 0.3, 1.0):
        by_hand = (1 - expected.quality_NM + weight * cost_M).argmin(axis=1)
        chosen = Objective(flags={"smaller": weight}).choose_many(expected, CARDS)
        assert by_hand.tolist() == chosen.tolist()


def test_under_kl_it_is_carrots_quality_head():
    """A loss as a chance of failing has the cross-entropy of a quality as a chance of success."""
    table, same = losses_table(240), {"hidden": 8, "dropout": 0.0, "epochs": 3, "batch": 64}
    tryage = Tryage(divergence="kl", **same).fit(table).predict(PROMPTS)
    carrot = CarrotEncoder(**same).fit(table).predict(PROMPTS)
    # The same descent, mirrored: heads start at zero, so each head's sign is all that differs.
    np.testing.assert_allclose(tryage.quality_NM, carrot.quality_NM, atol=1e-5)


def test_experts_that_were_not_measured_on_a_prompt_are_left_out_there():
    table = losses_table(600)
    holes = np.array(table.quality_NM)
    holes[np.random.default_rng(1).random(holes.shape) < 0.5] = np.nan
    full, half = (
        Tryage(hidden=16, epochs=20).fit(t).predict(PROMPTS) for t in (table, replace(table, quality_NM=holes))
    )
    assert np.abs(full.quality_NM - half.quality_NM).max() < 0.15


def test_a_setting_out_of_range_is_refused():
    with pytest.raises(ValueError, match="divergence must be one of squared, kl"):
        Tryage(divergence="wasserstein")
    with pytest.raises(ValueError, match="layers"):
        Tryage(layers=0)


@pytest.mark.parametrize("divergence", ["squared", "kl"])
def test_a_model_is_added_from_fifty_rows_and_the_others_stay(divergence):
    train, test = losses_table(900).split()
    hidden = "maths-expert"
    before = Tryage(hidden=32, epochs=30, divergence=divergence).fit(train.only(["tiny", "large"]))
    after = before.with_model(ModelCard(hidden), train.select(range(50)))
    known, wider = before.predict(test.prompts), after.predict(test.prompts)
    assert wider.models == ("tiny", "large", hidden)
    for one, other in zip(known[1:], wider[1:], strict=True):
        np.testing.assert_allclose(other[:, :2], one, rtol=1e-9)
    true_N = test.quality_NM[:, test.models.index(hidden)]
    error = np.square(wider.quality_NM[:, 2] - true_N).mean()
    assert error < 0.8 * np.square(train.quality_NM[:50, 1].mean() - true_N).mean()
    paid_N = test.usd_NM[:, 1]
    np.testing.assert_allclose(wider.usd_NM[:, 2].mean(), paid_N.mean(), rtol=0.2)
    assert (wider.spread_NM[:, 2] > 0).all()


def test_a_model_that_is_known_or_never_measured_is_not_added():
    router = Tryage(hidden=4, epochs=1).fit(example_table(60))
    with pytest.raises(BadInput, match="knows 'large' already"):
        router.with_model(ModelCard("large"), example_table(60))
    with pytest.raises(BadInput, match="no outcomes of 'new'"):
        router.with_model(ModelCard("new"), example_table(60))
    with pytest.raises(NotFitted):
        Tryage().with_model(ModelCard("new"), example_table(60))
