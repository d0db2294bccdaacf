"""A support vector machine predicts what scikit-learn's own predicts, each from the rows of its model."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.svm import LinearSVR

from waypost.encoders import StaticEncoder
from waypost.outcomes import example_table
from waypost.routers import SVM

PROMPTS = ("What is 44 plus 7?", "Do you like the harbour?", "Fix the bug in the method garden.")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("squared", "epsilon"), [(False, 0.0), (False, 0.1), (True, 0.0)])
def test_predictions_equal_scikit_learns(squared, epsilon):
    table = example_table(200)
    quality = np.array(table.quality_NM)
    quality[::4, 1] = np.nan
    table = replace(table, quality_NM=quality, weight_N=np.random.default_rng(0).uniform(0.5, 2, len(table)))
    table = table.select(sorted(range(len(table)), key=lambda n: (table.prompts[n], table.ids[n])))
    found = SVM(squared=squared, epsilon=epsilon, seed=3).fit(table).predict(PROMPTS)
    vectors = StaticEncoder().encode(table.prompts).astype(np.float64)
    loss = "squared_epsilon_insensitive" if squared else "epsilon_insensitive"
    for m in range(3):
        known = ~np.isnan(table.quality_NM[:, m])
        reference = LinearSVR(epsilon=epsilon, loss=loss, random_state=3)
        reference.fit(vectors[known], table.quality_NM[known, m], sample_weight=table.weight_N[known])
        expected = reference.predict(StaticEncoder().encode(PROMPTS).astype(np.float64))
        assert np.allclose(found.quality_NM[:, m], np.clip(expected, 0, 1), atol=1e-9)


def test_of_a_model_with_few_rows_its_mean_is_expected():
    table = example_table(200)
    quality = np.array(table.quality_NM)
    quality[10:, 2] = np.nan
    found = SVM().fit(replace(table, quality_NM=quality)).predict(PROMPTS)
    assert np.allclose(found.quality_NM[:, 2], np.nanmean(quality[:, 2]))


def test_squares_aim_at_the_mean_and_distances_at_the_median():
    """Where prompts tell nothing, a model that is right in three of four cases is right, or 0.75 right."""
    table = example_table(400)
    right = np.broadcast_to((np.arange(400) % 4 > 0).astype(float)[:, None], (400, 3))
    table = replace(table, prompts=("What is 2 plus 3?",) * 400, quality_NM=np.array(right))
    assert SVM().fit(table).predict(["What is 2 plus 3?"]).quality_NM[0, 0] > 0.9
    assert SVM(squared=True).fit(table).predict(["What is 2 plus 3?"]).quality_NM[0, 0] == pytest.approx(0.75, abs=0.02)


def test_a_bad_setting_is_refused():
    with pytest.raises(ValueError, match="c must be above 0"):
        SVM(c=0)
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        SVM(epsilon=-0.1)
