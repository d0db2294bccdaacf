"""Nearest neighbours equal their definition, written slowly."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput, NotFitted
from waypost.outcomes import example_table
from waypost.routers import KNN, CarrotKNN, knn, load, save
from waypost.routers.parts import neighbours
from waypost.types import ModelCard


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
    left_out, estimate = [], knn._estimate

    def counted(table, near, similarity, doubt):
        left_out.append(len(similarity))
        return estimate(table, near, similarity, doubt)

    monkeypatch.setattr(knn, "_estimate", counted)
    KNN().fit(example_table(300))
    assert sum(left_out) == 300 * 5  # k of 10, 20, 40, 80 and 160
    left_out.clear()
    monkeypatch.setattr(knn, "_QUERIES", 100)
    KNN().fit(example_table(300))
    assert sum(left_out) == 100 * 5


def test_a_table_with_an_index_is_predicted_about_as_exactly(monkeypatch):
    table, asked = example_table(1500), example_table(200, seed=9).prompts
    exact = KNN(k=40).fit(table).predict(asked)
    monkeypatch.setattr(neighbours, "EXACT", 100)
    router = KNN(k=40).fit(table)
    assert router.known.neighbours.index_B.size
    found = router.predict(asked)
    assert np.abs(found.quality_NM - exact.quality_NM).mean() < 0.01
    assert (found.quality_NM.argmax(axis=1) == exact.quality_NM.argmax(axis=1)).mean() > 0.97
    one_by_one = [router.predict([prompt]).quality_NM[0] for prompt in asked]
    assert np.allclose(one_by_one, found.quality_NM, atol=1e-5)


@pytest.mark.parametrize("kind", [KNN, CarrotKNN])
def test_an_index_is_saved_and_not_built_again(kind, tmp_path, monkeypatch):
    table, asked = example_table(1500), example_table(50, seed=9).prompts
    monkeypatch.setattr(neighbours, "EXACT", 100)
    router = kind(k=40).fit(table)
    save(router, tmp_path)
    monkeypatch.setattr(neighbours, "_indexed", None)
    loaded = load(tmp_path)
    assert loaded.known.neighbours.index_B.dtype == np.uint8
    assert np.array_equal(loaded.known.neighbours.index_B, router.known.neighbours.index_B)
    for array, same in zip(loaded.predict(asked)[1:], router.predict(asked)[1:], strict=True):
        assert np.array_equal(array, same)


def test_k_of_a_table_with_an_index_is_at_most_160(monkeypatch):
    noise = example_table(800)
    noise = replace(noise, quality_NM=np.random.default_rng(0).uniform(0, 1, noise.quality_NM.shape))
    assert KNN().fit(noise).chosen_k == 640
    monkeypatch.setattr(knn, "EXACT", 100)
    assert KNN().fit(noise).chosen_k == 160


@pytest.mark.parametrize("kind", [KNN, CarrotKNN])
def test_a_hidden_model_is_added_from_fifty_rows(kind):
    """It must be better than its mean, while what is expected of the others stays as it was, to the last digit."""
    table = example_table(900, seed=1)
    hidden = table.models[0]
    before = kind().fit(table.only(table.models[1:]))
    fifty = table.select(np.arange(50))
    after = before.with_model(ModelCard(hidden), fifty)
    test = example_table(400, seed=2)
    found, old = after.predict(test.prompts), before.predict(test.prompts)
    assert found.models == (*table.models[1:], hidden)
    assert before.models == table.models[1:]
    for new_NM, old_NM in zip(found[1:], old[1:], strict=True):
        assert np.array_equal(new_NM[:, :-1], old_NM)
    truth_N = test.quality_NM[:, 0]
    error = np.square(found.quality_NM[:, -1] - truth_N).mean()
    assert error < 0.8 * np.square(fifty.quality_NM[:, 0].mean() - truth_N).mean()
    assert np.allclose(found.usd_NM[:, -1].mean(), test.usd_NM[:, 0].mean(), rtol=0.5)


@pytest.mark.parametrize("kind", [KNN, CarrotKNN])
def test_two_added_models_are_saved_and_stand_side_by_side(kind, tmp_path):
    table = example_table(300, seed=1)
    doubled = replace(
        table,
        models=(*table.models, "twin"),
        quality_NM=np.hstack([table.quality_NM, table.quality_NM[:, :1]]),
        usd_NM=np.hstack([table.usd_NM, table.usd_NM[:, :1]]),
        seconds_NM=np.hstack([table.seconds_NM, table.seconds_NM[:, :1]]),
    )
    first, twin = table.models[0], "twin"
    router = kind().fit(table.only(table.models[1:]))
    router = router.with_model(ModelCard(first), doubled).with_model(ModelCard(twin), doubled)
    save(router, tmp_path)
    found = load(tmp_path).predict(["What is 17 plus 26?", "Hello"])
    assert found.models == router.models
    for array, same in zip(found[1:], router.predict(["What is 17 plus 26?", "Hello"])[1:], strict=True):
        assert np.array_equal(array, same)
        assert np.array_equal(array[:, -1], array[:, -2])


@pytest.mark.parametrize("kind", [KNN, CarrotKNN])
def test_a_model_that_is_known_or_was_not_measured_is_not_added(kind):
    table = example_table(60)
    router = kind().fit(table)
    with pytest.raises(BadInput, match="knows 'large' already"):
        router.with_model(ModelCard("large"), table)
    with pytest.raises(BadInput, match="no outcomes of 'other'"):
        router.with_model(ModelCard("other"), table)
    with pytest.raises(NotFitted):
        kind().with_model(ModelCard("large"), table)


@pytest.mark.parametrize("kind", [KNN, CarrotKNN])
def test_an_added_model_of_many_rows_is_indexed_once_and_once_more_after_loading(kind, tmp_path, monkeypatch):
    table, asked = example_table(400), example_table(20, seed=9).prompts
    monkeypatch.setattr(neighbours, "EXACT", 100)
    indexed = []
    index = neighbours._indexed
    monkeypatch.setattr(neighbours, "_indexed", lambda vectors: indexed.append(len(vectors)) or index(vectors))
    router = kind(k=10).fit(table.only(table.models[1:])).with_model(ModelCard(table.models[0]), table)
    assert indexed == [400, 400]
    first = router.predict(asked)
    for _ in range(3):
        router.predict(asked)
    assert len(indexed) == 2
    save(router, tmp_path)
    loaded = load(tmp_path)
    for _ in range(3):
        assert np.array_equal(loaded.predict(asked).quality_NM, first.quality_NM)
    assert len(indexed) == 3


@pytest.mark.parametrize("kind", [KNN, CarrotKNN])
def test_a_model_is_added_from_one_row_and_rows_of_weight_zero_say_nothing(kind):
    table = example_table(100)
    router = kind().fit(table.only(table.models[1:]))
    new, asked = ModelCard(table.models[0]), list(table.prompts[:5])
    quality_NM, weight_N = np.array(table.quality_NM), np.ones(100)
    quality_NM[1:, 0] = np.nan
    once = router.with_model(new, replace(table, quality_NM=quality_NM)).predict(asked)
    assert once.quality_NM[:, -1] == pytest.approx(quality_NM[0, 0])
    weight_N[50:] = 0
    parts = replace(table, weight_N=weight_N), table.select(range(50))
    for one, other in zip(*(router.with_model(new, part).predict(asked)[1:] for part in parts), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_an_added_model_has_a_number_of_neighbours_of_its_own_for_quality_money_and_time():
    """Its score follows the prompt, while its cost is noise, of which more neighbours know more."""
    table = example_table(400)
    usd_NM = np.random.default_rng(0).exponential(1e-3, (400, 3))
    table = replace(table, usd_NM=usd_NM)
    alone = CarrotKNN().fit(table.only(table.models[:2]))
    whole, wider = CarrotKNN().fit(table), alone.with_model(ModelCard(table.models[2]), table)
    assert len(wider.added.ks) == 3
    assert wider.added.ks[1] > wider.added.ks[0]
    assert whole.predict(table.prompts).usd_NM[:, 2].std() < 5e-4 > wider.predict(table.prompts).usd_NM[:, 2].std()
