"""The hierarchical router: without evidence the prior stays, evidence corrects it, and what is strange goes back."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.outcomes import Outcomes, example_table
from waypost.routers import Domain, Hierarchical
from waypost.routers.hierarchical import _turn

_PLACES = ("Elm", "Oak", "Ash", "Birch", "Cedar", "Maple", "Pine", "Rowan", "Willow", "Hazel")


def _prompts(n, seed):
    """Questions of two domains, half of each with a negation, which no word vector of the rest tells."""
    rng = np.random.default_rng(seed)
    domain_N, negated_N = rng.integers(0, 2, n), rng.integers(0, 2, n)
    prompts = []
    for domain, negated in zip(domain_N, negated_N, strict=True):
        place, number = _PLACES[rng.integers(10)], int(rng.integers(1, 10_000))
        verb = "is not" if negated else "is"
        subject = f"river near the town of {place}" if domain else f"sum of the number {number} and itself"
        prompts.append(f"Tell me what {verb} the {subject}, please, case {number}.")
    return prompts, domain_N, negated_N


def _table(n, seed, quality_of):
    prompts, domain_N, negated_N = _prompts(n, seed)
    mean_NM = quality_of(domain_N[:, None], negated_N[:, None])
    quality_NM = (np.random.default_rng(seed + 1).random(mean_NM.shape) < mean_NM).astype(float)
    groups = tuple("nature" if domain else "sums" for domain in domain_N)
    ids = tuple(f"q{i}" for i in range(n))
    models = tuple("abc"[: mean_NM.shape[1]])
    return Outcomes(ids, tuple(prompts), groups, models, quality_NM, np.full(quality_NM.shape, 1e-4)), mean_NM


def _by_domain(domain_N1, _):
    return np.where(domain_N1 == 1, [0.8, 0.4, 0.5], [0.3, 0.7, 0.5])


def _by_question(domain_N1, negated_N1):
    swing_N1 = np.where(negated_N1 == 1, 0.3, -0.3) * (domain_N1 == 1)
    return np.hstack([0.5 + swing_N1, 0.5 - swing_N1, np.full_like(swing_N1, 0.45)])


def _regret(router, table, mean_NM):
    chosen_N = router.predict(table.prompts).quality_NM.argmax(axis=1)
    return float((mean_NM.max(axis=1) - mean_NM[np.arange(len(mean_NM)), chosen_N]).mean())


def test_where_only_the_domain_matters_it_says_the_domains_mean_and_nothing_of_the_question():
    table, _ = _table(1500, 0, _by_domain)
    router = Hierarchical(far=0).fit(table)
    assert not router.kept_M.any() and not router.slopes_DM.any()
    test, mean_NM = _table(500, 10, _by_domain)
    assert np.abs(router.predict(test.prompts).quality_NM - mean_NM).max() < 0.06


def test_where_nothing_matters_it_says_the_overall_mean_exactly():
    prompts, _, _ = _prompts(600, 1)
    table = Outcomes(
        tuple(map(str, range(600))), tuple(prompts), ("x",) * 300 + ("y",) * 300, ("a", "b"),
        np.tile([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]], (150, 1)), np.full((600, 2), 1e-4),
    )  # fmt: skip
    router = Hierarchical(evidence=4).fit(table)
    assert np.allclose(router.predict(["Tell me what is the sum."]).quality_NM, 0.5)


def test_a_law_inside_a_domain_is_found_where_the_domain_router_is_blind():
    train, _ = _table(1500, 2, _by_question)
    test, mean_NM = _table(600, 12, _by_question)
    ours, theirs = Hierarchical().fit(train), Domain().fit(train)
    assert _regret(ours, test, mean_NM) < 0.02
    assert _regret(theirs, test, mean_NM) > 0.1


@pytest.mark.parametrize("cell", [0, 150])
def test_kinds_that_the_table_does_not_name_are_found(cell):
    train, _ = _table(1500, 3, _by_domain)
    test, mean_NM = _table(600, 13, _by_domain)
    nameless = replace(train, groups=("",) * len(train))
    assert _regret(Hierarchical(cell=cell).fit(nameless), test, mean_NM) < 0.02


def test_with_enough_rows_a_domains_mean_is_that_of_the_data():
    table, _ = _table(4000, 4, _by_domain)
    router = Hierarchical(cell=0).fit(table)
    for cell, group in enumerate(("nature", "sums")):
        rows = np.array(table.groups) == group
        assert np.allclose(router.means_CM[cell], table.quality_NM[rows].mean(axis=0), atol=0.01)


def test_a_prompt_far_from_everything_seen_goes_back_to_the_overall_mean():
    table = example_table(600)
    router = Hierarchical().fit(table)
    strange = router.predict(["下列哪一项不是河流？\nA. 长江\nB. 泰山\nC. 黄河\nD. 珠江\n答案："])
    near = router.predict(["What is 17 plus 26?"])
    overall_M = table.quality_NM.mean(axis=0)
    assert np.abs(strange.quality_NM - overall_M).max() < 0.02
    assert np.abs(near.quality_NM - overall_M).max() > 0.2
    # A kind never seen may differ from the mean as much as known kinds do.
    assert (strange.spread_NM >= 0.9 * router.between_M).all()


def test_probabilities_that_it_states_come_true():
    def law(domain_N1, negated_N1):
        return _by_domain(domain_N1, negated_N1) + np.where(negated_N1 == 1, [0.15, -0.15, 0.0], [-0.15, 0.15, 0.0])

    (train, _), (test, mean_NM) = _table(4000, 5, law), _table(2000, 15, law)
    expected_NM = Hierarchical(far=0).fit(train).predict(test.prompts).quality_NM
    for m in range(3):
        for part_n in np.array_split(np.argsort(expected_NM[:, m]), 5):
            assert abs(expected_NM[part_n, m].mean() - mean_NM[part_n, m].mean()) < 0.05


def test_the_spread_is_about_as_large_as_what_it_misses():
    ratios = []
    for seed in range(4):
        train, _ = _table(400, 20 + seed, _by_question)
        test, mean_NM = _table(300, 30 + seed, _by_question)
        expected = Hierarchical().fit(train).predict(test.prompts)
        missed = np.sqrt(np.square(expected.quality_NM - mean_NM).mean())
        ratios.append(np.sqrt(np.square(expected.spread_NM).mean()) / missed)
    assert 0.4 < np.mean(ratios) < 2.5


def test_a_model_that_answered_half_of_the_prompts_is_known_as_well():
    train, _ = _table(3000, 6, _by_question)
    quality_NM = np.array(train.quality_NM)
    quality_NM[np.random.default_rng(0).random(3000) < 0.5, 0] = np.nan
    test, mean_NM = _table(600, 16, _by_question)
    assert _regret(Hierarchical().fit(replace(train, quality_NM=quality_NM)), test, mean_NM) < 0.03


@pytest.mark.parametrize("places", [[0, 1, 2, 0], [0, 0, 1, 2], [1, 0, 2, 0, 0], [2, 2]])
def test_models_that_are_always_equal_are_expected_to_be_equal(places):
    train, _ = _table(600, 7, _by_question)
    columns = {name: getattr(train, name)[:, places] for name in ("quality_NM", "usd_NM", "seconds_NM")}
    copies = replace(train, models=tuple("abcde"[: len(places)]), **columns)
    router = Hierarchical().fit(copies)
    expected = router.predict(_table(50, 17, _by_question)[0].prompts)
    for m, place in enumerate(places):
        twin = places.index(place)
        assert np.allclose(expected.quality_NM[:, m], expected.quality_NM[:, twin], atol=1e-9)
        assert np.allclose(expected.spread_NM[:, m], expected.spread_NM[:, twin], atol=1e-9)


@pytest.mark.parametrize("rows", [0, 1, 3, 50])
@pytest.mark.parametrize("places", [[0, 1], [0, 0], [0, 1, 0], [0, 0, 0, 1, 2, 2]])
def test_directions_of_residuals_are_orthonormal_whatever_is_equal(rows, places):
    rng = np.random.default_rng(rows)
    turn_MM = _turn(rng.normal(size=(rows, 3))[:, places], rng.random(rows))
    assert np.allclose(turn_MM @ turn_MM.T, np.eye(len(places)), atol=1e-12)
    assert np.allclose(turn_MM[:, 0], len(places) ** -0.5)


def test_of_a_large_table_some_rows_of_every_group_and_model_are_looked_at(monkeypatch):
    table = example_table(600)
    quality_NM = np.array(table.quality_NM)
    quality_NM[5:, 0] = np.nan
    monkeypatch.setattr("waypost.routers.hierarchical._ROWS", 150)
    router = Hierarchical(folds=2).fit(replace(table, quality_NM=quality_NM))
    expected = router.predict(["What is 17 plus 26?"])
    assert np.allclose(router.overall_M[1:], table.quality_NM[:, 1:].mean(axis=0))
    assert np.isfinite(expected.quality_NM).all() and np.isfinite(expected.usd_NM).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cell": -1}, "0 or more"),
        ({"evidence": -0.5}, "0 or more"),
        ({"far": 1.0}, "below 1"),
        ({"folds": 1}, "at least 2"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Hierarchical(**settings)
