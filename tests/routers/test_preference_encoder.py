"""With two models it is the paper's softmax; with more, one model of ties for all pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from waypost.errors import BadInput
from waypost.outcomes import example_table
from waypost.routers import PreferenceEncoder, preference_encoder
from waypost.routers.parts.features import features
from waypost.routers.parts.training import Trained
from waypost.types import ModelCard

TABLE = example_table(900, seed=1)
TRAIN, TEST = TABLE.split(0.7)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def fitted():
    return PreferenceEncoder(hidden=32, epochs=60).fit(TRAIN)


def softmax(logits):
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def test_with_two_models_it_is_the_papers_three_class_softmax():
    """P(strong) = 1 - (p_tie + p_weak), of the softmax of three outputs on the last layer."""
    strong, weak = TRAIN.models[2], TRAIN.models[0]
    router = PreferenceEncoder(hidden=16, epochs=20).fit(TRAIN.only((strong, weak)))
    outputs = router.network(features(router.encoder, TEST.prompts))
    assert outputs.shape == (len(TEST), 3)
    three = np.stack([outputs[:, 1], outputs[:, 0] + outputs[:, 1:].mean(axis=1), outputs[:, 2]], axis=1)
    _, p_tie, p_weak = softmax(three).T
    assert np.allclose(router.beats(TEST.prompts)[:, 0, 1], 1 - (p_tie + p_weak), atol=1e-12)
    assert np.allclose(router.beats(TEST.prompts)[:, 1, 0], p_weak, atol=1e-12)


def test_what_falls_is_the_cross_entropy_of_all_measured_pairs(monkeypatch):
    caught = {}

    def only_once(parameters, loss, prompts, **_):
        with torch.no_grad():
            parameters[2].copy_(torch.from_numpy(RNG.normal(size=parameters[2].shape)))
            caught["loss"] = loss(torch.arange(len(prompts))).item()
        return Trained(0, 0.0, np.ones(len(prompts), dtype=bool))

    quality = RNG.choice([0.0, 0.1, 0.5, 1.0], size=TRAIN.quality_NM.shape)
    quality[RNG.random(quality.shape) < 0.3] = np.nan
    table = replace(TRAIN, quality_NM=quality)
    monkeypatch.setattr(preference_encoder, "train", only_once)
    router = PreferenceEncoder(hidden=8, margin=0.1).fit(table)
    beats = router.beats(table.prompts)
    total, pairs = 0.0, 0
    for n in range(len(table)):
        for a in range(3):
            for b in range(a):
                ahead = quality[n, a] - quality[n, b]
                if not np.isnan(ahead):
                    won, lost = beats[n, a, b], beats[n, b, a]
                    total -= np.log(won if ahead > 0.1 else lost if ahead < -0.1 else 1 - won - lost)
                    pairs += 1
    assert caught["loss"] == pytest.approx(total / pairs, rel=1e-4)


def test_probabilities_are_those_that_happen(fitted):
    beats = fitted.beats(TEST.prompts)
    for a in range(3):
        for b in range(3):
            if a != b:
                happened = (TEST.quality_NM[:, a] > TEST.quality_NM[:, b]).mean()
                assert beats[:, a, b].mean() == pytest.approx(happened, abs=0.06)
                likely = beats[:, a, b] > 0.5
                if likely.sum() > 20:
                    won = (TEST.quality_NM[likely, a] > TEST.quality_NM[likely, b]).mean()
                    assert won > happened + 0.2


def test_it_beats_the_best_single_model(fitted):
    chosen = fitted.predict(TEST.prompts).quality_NM.argmax(axis=1)
    earned = TEST.quality_NM[np.arange(len(TEST)), chosen].mean()
    assert earned > TEST.quality_NM.mean(axis=0).max() + 0.05


def test_expected_quality_is_calibrated(fitted):
    expected = fitted.predict(TEST.prompts).quality_NM
    assert np.abs(expected.mean(axis=0) - TEST.quality_NM.mean(axis=0)).max() < 0.06
    for low, high in ((0, 0.4), (0.4, 0.7), (0.7, 1.01)):
        cells = (expected >= low) & (expected < high)
        assert abs(expected[cells].mean() - TEST.quality_NM[cells].mean()) < 0.1


def test_a_new_model_is_learnt_from_fifty_rows(fitted):
    """Hide a model, then add it: the others stay, and it is expected to be good where it is."""
    models = TRAIN.models
    hidden = models[1]
    few = PreferenceEncoder(hidden=32, epochs=60).fit(TRAIN.only((models[0], models[2])))
    rows = TRAIN.select(np.arange(50))
    more = few.with_model(ModelCard(hidden), rows)
    before, after = few.predict(TEST.prompts), more.predict(TEST.prompts)
    assert after.models == (models[0], models[2], hidden)
    for one, other in zip(before[1:], after[1:], strict=True):
        assert np.allclose(one, other[:, :2])
    truth = TEST.quality_NM[:, 1]
    assert np.corrcoef(after.quality_NM[:, 2], truth)[0, 1] > 0.5
    assert np.square(after.quality_NM[:, 2] - truth).mean() < 0.8 * truth.var()
    with pytest.raises(BadInput, match="knows a model"):
        more.with_model(ModelCard(hidden), rows)


def test_bad_settings_are_refused():
    for wrong in ({"margin": 1.0}, {"hidden": 0}, {"lr": 0}, {"epochs": 0}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PreferenceEncoder(**wrong)
