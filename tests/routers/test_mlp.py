"""A network predicts what scikit-learn's own predicts, each from the rows of its model."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from waypost.encoders import StaticEncoder
from waypost.outcomes import example_table
from waypost.routers import MLP

PROMPTS = ("What is 44 plus 7?", "Do you like the harbour?", "Fix the bug in the method garden.")
SMALL = {"hidden": 12, "lr": 0.02, "epochs": 12, "seed": 3}


def holed():
    table = example_table(200)
    quality = np.array(table.quality_NM)
    quality[::4, 1] = np.nan
    return replace(table, quality_NM=quality, weight_N=np.random.default_rng(0).uniform(0.5, 2, len(table)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("layers", "stop_early"), [(1, True), (2, True), (3, False)])
def test_predictions_equal_scikit_learns(layers, stop_early):
    table = holed()
    table = table.select(sorted(range(len(table)), key=lambda n: (table.prompts[n], table.ids[n])))
    found = MLP(layers=layers, stop_early=stop_early, **SMALL).fit(table).predict(PROMPTS)
    vectors = StaticEncoder().encode(table.prompts).astype(np.float64)
    for m in range(3):
        known = ~np.isnan(table.quality_NM[:, m])
        quality, weight = table.quality_NM[known, m], table.weight_N[known]
        mean = np.average(quality, weights=weight)
        reference = MLPRegressor(
            hidden_layer_sizes=(12,) * layers,
            learning_rate_init=0.02,
            max_iter=12,
            early_stopping=stop_early,
            random_state=3,
        ).fit(vectors[known], quality - mean, sample_weight=weight)
        expected = reference.predict(StaticEncoder().encode(PROMPTS).astype(np.float64)) + mean
        assert np.allclose(found.quality_NM[:, m], np.clip(expected, 0, 1), atol=1e-9)


def test_no_object_of_scikit_learn_is_kept():
    router = MLP(**SMALL).fit(holed())
    assert set(router.nets) == {"weight_0", "bias_0", "weight_1", "bias_1"}
    assert {type(array) for array in router.nets.values()} == {np.ndarray}


def test_of_a_model_with_few_rows_its_mean_is_expected():
    table = example_table(200)
    quality = np.array(table.quality_NM)
    quality[10:, 2] = np.nan
    found = MLP(**SMALL).fit(replace(table, quality_NM=quality)).predict(PROMPTS)
    assert np.allclose(found.quality_NM[:, 2], np.nanmean(quality[:, 2]))


def test_it_learns_what_depends_on_the_prompt():
    train, test = example_table(900, seed=1), example_table(300, seed=2)
    found = MLP(hidden=50, lr=0.01).fit(train).predict(test.prompts).quality_NM
    mean = np.square(train.quality_NM.mean(axis=0) - test.quality_NM).mean()
    assert np.square(found - test.quality_NM).mean() < 0.8 * mean


@pytest.mark.parametrize("setting", ["hidden", "layers", "lr", "epochs"])
def test_a_bad_setting_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be above 0"):
        MLP(**{setting: 0})
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        MLP(alpha=-1)
