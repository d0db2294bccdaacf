"""CARROT's nearest neighbours equal scikit-learn's, and its decision is our objective's."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.neighbors import KNeighborsRegressor

from waypost.encoders import StaticEncoder
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import CarrotKNN
from waypost.types import ModelCard

PROMPTS = ("What is 44 plus 7?", "Do you like the harbour?", "Fix the bug in the method garden.")


@pytest.fixture(scope="module")
def distinct():
    """A table whose prompts have different vectors: which of two equally near comes first is a matter of taste."""
    table = example_table(900)
    vectors = StaticEncoder().encode(table.prompts)
    _, first = np.unique(vectors.round(4), axis=0, return_index=True)
    table = table.select(sorted(first, key=lambda n: table.prompts[n]))
    rng = np.random.default_rng(0)
    return replace(table, quality_NM=np.clip(table.quality_NM + rng.normal(0, 0.1, table.quality_NM.shape), 0, 1))


@pytest.mark.parametrize("k", [1, 7, 64])
def test_means_equal_scikit_learns(distinct, k):
    reference = KNeighborsRegressor(k, metric="cosine", algorithm="brute")
    vectors = StaticEncoder().encode(distinct.prompts)
    found = CarrotKNN(k=k).fit(distinct).predict(PROMPTS)
    for truth_NM, array_NM in zip((distinct.quality_NM, distinct.usd_NM, distinct.seconds_NM), found[1:4], strict=True):
        expected_NM = reference.fit(vectors, truth_NM).predict(StaticEncoder().encode(PROMPTS))
        assert np.allclose(array_NM, expected_NM, rtol=1e-5)


def test_k_is_that_of_the_largest_cross_validated_r2(distinct):
    vectors = StaticEncoder().encode(distinct.prompts)
    # The table is sorted by prompt, and no prompt occurs twice: so folds are dealt in turn.
    folds = PredefinedSplit(np.arange(len(distinct)) % 5)
    expected = []
    for truth_NM in (distinct.quality_NM, distinct.usd_NM, distinct.seconds_NM):
        r2 = {}
        for k in (2**power for power in range(1, 10)):
            if k <= 0.8 * len(distinct) - 1:
                regressor = KNeighborsRegressor(k, metric="cosine", algorithm="brute")
                r2[k] = cross_val_score(regressor, vectors, truth_NM, cv=folds, scoring="r2").mean()
        expected.append(max(r2, key=r2.get))
    assert CarrotKNN().fit(distinct).k_3.tolist() == expected


def test_a_missing_cell_is_left_out_of_the_mean(distinct):
    holes = np.array(distinct.quality_NM)
    holes[::2, 1] = np.nan
    found = CarrotKNN(k=20).fit(replace(distinct, quality_NM=holes)).predict(PROMPTS)
    vectors = StaticEncoder().encode(distinct.prompts)
    for query, row in zip(StaticEncoder().encode(PROMPTS), found.quality_NM, strict=True):
        near = np.argsort(-(vectors @ query))[:20]
        assert np.allclose(row, np.nanmean(holes[near], axis=0), atol=1e-5)


def test_where_none_of_the_nearest_was_measured_the_mean_is_expected(distinct):
    maths = np.array([prompt.startswith("What is") for prompt in distinct.prompts])
    holes = np.array(distinct.quality_NM)
    holes[maths, 1] = np.nan
    found = CarrotKNN(k=3).fit(replace(distinct, quality_NM=holes)).predict(["What is 17 plus 26?"])
    assert found.quality_NM[0, 1] == pytest.approx(np.nanmean(holes[:, 1]))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 0.999])
def test_the_papers_decision_is_the_objective(distinct, share):
    """argmax (1 - lambda) quality - lambda usd is the objective with these weights, prompt by prompt."""
    found = CarrotKNN(k=16).fit(distinct).predict(distinct.prompts)
    papers_NM = (1 - share) * found.quality_NM - share * found.usd_NM
    cards = {name: ModelCard(name) for name in found.models}
    chosen_N = Objective(quality=1 - share, usd=share).choose_many(found, cards)
    assert np.allclose(papers_NM[np.arange(len(chosen_N)), chosen_N], papers_NM.max(axis=1), atol=1e-9)


def test_rows_of_one_prompt_do_not_find_each_other_when_k_is_chosen():
    """Noise that is repeated would look as if the one nearest prompt knew all."""
    table = example_table(200)
    noise = np.random.default_rng(0).uniform(0, 1, (200, 3))
    table = replace(table, prompts=tuple(f"{p} ({n})" for n, p in enumerate(table.prompts)), quality_NM=noise)
    twice = type(table).concat([table, replace(table, ids=tuple(f"{i}-2" for i in table.ids))])
    assert CarrotKNN().fit(twice).k_3[0] >= 64


def test_the_spread_shrinks_with_more_neighbours(distinct):
    few, many = (CarrotKNN(k=k).fit(distinct).predict(PROMPTS) for k in (4, 64))
    assert (many.spread_NM < few.spread_NM).mean() > 0.7
    assert (few.spread_NM > 0).all()


def test_a_bad_k_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1"):
        CarrotKNN(k=0)
