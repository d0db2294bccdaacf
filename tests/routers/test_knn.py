"""Nearest neighbours equal their definition, written slowly."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.outcomes import example_table
from waypost.routers import KNN


def slow(router, table, prompt, k):
    """The estimate for one prompt by the definition in the class's docstring, with the prior of one mean row."""
    vectors = router.encoder.encode(table.prompts)
    gap = 1 - vectors @ router.encoder.encode([prompt])[0]
    near = sorted(range(len(table)), key=lambda n: gap[n])[:k]
    width = gap[near[-1]] * (1 + 1 / k)
    weight = {n: (1 - gap[n] / width) * table.weight_N[n] for n in near}
    top = max(weight.values())
    quality = []
    for m in range(len(table.models)):
        known = [n for n in near if not np.isnan(table.quality_NM[n, m])]
        column = table.quality_NM[:, m]
        mean = np.average(column[~np.isnan(column)], weights=table.weight_N[~np.isnan(column)])
        total = sum(weight[n] / top for n in known)
        quality.append((sum(weight[n] / top * column[n] for n in known) + mean) / (total + 1))
    return quality


@pytest.mark.parametrize("k", [1, 5, 40])
def test_estimates_equal_the_definition(k):
    # Distinct prompts, so that which neighbour is the k-th is never a matter of taste.
    table = example_table(200)
    _, first = np.unique(table.prompts, return_index=True)
    table = table.select(np.sort(first))
    holes = np.array(table.quality_NM)
    holes[::4, 1] = np.nan
    table = replace(table, quality_NM=holes, weight_N=np.random.default_rng(0).uniform(0.5, 2, len(table)))
    router = KNN(k=k).fit(table)
    for prompt in ("What is 44 plus 7?", "Do you like the harbour?"):
        assert np.allclose(router.predict([prompt]).quality_NM[0], slow(router, table, prompt, k), atol=1e-4)


def test_k_is_chosen_on_the_training_table():
    assert KNN().fit(example_table(400)).chosen_k in (10, 20, 40, 80, 160, 320)


def test_more_neighbours_than_rows_is_every_row():
    table = example_table(30)
    assert np.isfinite(KNN(k=1000).fit(table).predict(["Hi"]).quality_NM).all()


def test_a_bad_k_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1"):
        KNN(k=0)


def test_k_is_chosen_on_some_rows_of_a_large_table(monkeypatch):
    left_out, estimate = [], KNN._estimate

    def counted(router, similarity, k):
        left_out.append(len(similarity))
        return estimate(router, similarity, k)

    monkeypatch.setattr(KNN, "_estimate", counted)
    KNN().fit(example_table(300))
    assert sum(left_out) == 300 * 5  # k of 10, 20, 40, 80 and 160
    left_out.clear()
    monkeypatch.setattr("waypost.routers.knn._QUERIES", 100)
    KNN().fit(example_table(300))
    assert sum(left_out) == 100 * 5
