"""A new model is described by a few of its outcomes, through what tells the known models apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from waypost import routers
from waypost.errors import BadInput, NotFitted
from waypost.outcomes import Outcomes, example_table
from waypost.routers import Descriptor, Ridge
from waypost.routers.parts.features import features
from waypost.types import ModelCard

PROMPTS = ("What is 12 plus 30?", "Tell me about the town of Elm.", "Fix the bug in the method ink.")


@pytest.fixture(scope="module")
def planted() -> Outcomes:
    """Nine models whose chances of a right answer are made of two talents, for numbers and for code."""
    rng = np.random.default_rng(0)
    asked = example_table(900, seed=3)
    kind_N = np.array([("maths", "chat", "code").index(group) for group in asked.groups])
    talent_M2 = rng.uniform(-1, 1, (9, 2))
    of_kind_K2 = np.array([[0.4, 0.0], [0.0, 0.0], [-0.1, 0.4]])
    chance_NM = np.clip(0.5 + (of_kind_K2 @ talent_M2.T)[kind_N], 0, 1)
    quality_NM = (rng.random(chance_NM.shape) < chance_NM).astype(float)
    usd_NM = np.full(quality_NM.shape, 1e-4) * np.arange(1, 10)
    models = tuple(f"model-{m}" for m in range(9))
    return Outcomes(asked.ids, asked.prompts, asked.groups, models, quality_NM, usd_NM, usd_NM * 100)


def hidden(table, name):
    return table.only([model for model in table.models if model != name])


def test_fifty_rows_say_more_of_a_hidden_model_than_their_mean(planted):
    """Each model in turn is hidden and added again; elsewhere that is nearer to what it does than its mean is."""
    train, test = planted.select(range(600)), planted.select(range(600, 900))
    few = train.select(range(50))
    described, averaged = [], []
    for m, name in enumerate(planted.models):
        router = Descriptor().fit(hidden(train, name)).with_model(ModelCard(name), few)
        assert router.models[-1] == name
        truth_N = test.quality_NM[:, m]
        described.append(np.square(router.predict(test.prompts).quality_NM[:, -1] - truth_N).mean())
        averaged.append(np.square(few.quality_NM[:, m].mean() - truth_N).mean())
    assert np.mean(described) < np.mean(averaged) - 0.01
    assert np.sum(np.array(described) < averaged) >= 7


def test_what_is_expected_of_the_others_stays(planted):
    router = Descriptor().fit(hidden(planted, "model-4"))
    before, wider = router.predict(PROMPTS), router.with_model(ModelCard("model-4"), planted.select(range(50)))
    after = wider.predict(PROMPTS)
    assert router.models == before.models and wider.models == (*before.models, "model-4")
    for one, other in zip(before[1:], after[1:], strict=True):
        assert np.allclose(one, other[:, :8], atol=1e-9)
    assert np.allclose(after.usd_NM[:, 8], 5e-4, rtol=0.01) and np.allclose(after.seconds_NM[:, 8], 5e-2, rtol=0.01)


def test_the_doubt_about_a_new_model_shrinks_with_its_rows(planted):
    router = Descriptor().fit(hidden(planted, "model-0"))
    known = router.predict(PROMPTS).spread_NM.mean()
    few, many = (
        router.with_model(ModelCard("model-0"), planted.select(range(n))).predict(PROMPTS).spread_NM[:, -1].mean()
        for n in (20, 600)
    )
    assert few > many > 0 and few > known


def test_with_hardly_a_row_a_new_model_is_expected_to_be_like_the_others(planted):
    router = Descriptor().fit(hidden(planted, "model-0"))
    three = router.with_model(ModelCard("model-0"), planted.select(range(3))).predict(PROMPTS)
    average_N = three.quality_NM[:, :8].mean(axis=1)
    assert np.abs(three.quality_NM[:, 8] - average_N).max() < 0.25


def test_with_all_directions_it_is_about_a_ridge_regression_for_each_model():
    table = example_table(600)
    one, other = (kind().fit(table).predict(PROMPTS).quality_NM for kind in (Descriptor, Ridge))
    assert np.abs(one - other).max() < 0.08


def test_abilities_have_mean_zero_and_the_variance_of_their_prior(planted):
    router = Descriptor(rank=2).fit(planted)
    # About one: each is estimated from its own rows.
    variance_2 = router.ability_MR[:, :2].var(axis=0)
    assert ((variance_2 > 0.5) & (variance_2 < 2)).all()


def test_an_expert_of_one_thing_is_told_from_fifty_rows(planted):
    """It fails where all others are at their best, and no direction in which they differ says so."""
    code_N = np.array([group == "code" for group in planted.groups])
    quality_NM = np.array(planted.quality_NM)
    quality_NM[:, :8] = np.random.default_rng(1).random((900, 8)) < np.where(code_N, 0.2, 0.9)[:, None]
    quality_NM[:, 8] = code_N
    table = replace(planted, quality_NM=quality_NM)
    router = Descriptor().fit(hidden(table, "model-8").select(range(600)))
    few, test = table.select(range(50)), table.select(range(600, 900))
    expected_N = router.with_model(ModelCard("model-8"), few).predict(test.prompts).quality_NM[:, -1]
    truth_N = test.quality_NM[:, 8]
    assert np.square(expected_N - truth_N).mean() < np.square(few.quality_NM[:, 8].mean() - truth_N).mean() - 0.05


def test_a_models_numbers_are_the_posterior_written_out(planted):
    """The ridge on the few numbers, solved as one least squares with the prior as further rows."""
    router = Descriptor(rank=3).fit(hidden(planted, "model-2"))
    rows = planted.select(range(40))
    wider = router.with_model(ModelCard("model-2"), rows)
    base_N, z_NR = router._asked(features(router.encoder, rows.prompts))
    sigma = np.sqrt(router.noise)
    stacked = np.vstack([z_NR / sigma, np.eye(z_NR.shape[1])])
    wanted = np.append((rows.quality_NM[:, 2] - base_N) / sigma, np.zeros(z_NR.shape[1]))
    assert np.allclose(wider.ability_MR[-1], np.linalg.lstsq(stacked, wanted, rcond=None)[0], atol=1e-8)


def test_a_wider_router_survives_a_trip_to_disk_and_another_model(planted, tmp_path):
    router = Descriptor().fit(planted.only(planted.models[:7]))
    for name in planted.models[7:]:
        router = router.with_model(ModelCard(name), planted.select(range(60)))
    routers.save(router, tmp_path)
    for one, other in zip(router.predict(PROMPTS)[1:], routers.load(tmp_path).predict(PROMPTS)[1:], strict=True):
        assert np.array_equal(one, other) and one.shape == (3, 9)


def test_a_model_without_costs_has_none(planted):
    free = replace(planted, usd_NM=np.full(planted.usd_NM.shape, np.nan), seconds_NM=planted.seconds_NM)
    wider = Descriptor().fit(hidden(planted, "model-1")).with_model(ModelCard("model-1"), free.select(range(50)))
    assert np.isnan(wider.predict(PROMPTS).usd_NM[:, -1]).all()


def test_errors_are_sentences(planted):
    router = Descriptor().fit(planted)
    with pytest.raises(BadInput, match="knows 'model-1' already"):
        router.with_model(ModelCard("model-1"), planted)
    with pytest.raises(BadInput, match="no outcomes of 'other'"):
        router.with_model(ModelCard("other"), planted)
    with pytest.raises(NotFitted):
        Descriptor().with_model(ModelCard("model-1"), planted)
    with pytest.raises(ValueError, match="rank"):
        Descriptor(rank=0)
