"""The arms' regressions are those of a slow reference, whatever is forgotten and whoever asks meanwhile."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from waypost import routers
from waypost.errors import BadInput, NotFitted, UnknownModel
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import LinUCB, Online, Thompson
from waypost.types import ModelCard, Query

BOTH = pytest.mark.parametrize("kind", [LinUCB, Thompson])
PROMPTS = ("What is 12 plus 30?", "Tell me about the town of Elm.", "Fix the bug in the method ink.")
CARDS = {name: ModelCard(name) for name in ("tiny", "maths-expert", "large")}


def stream(n, seed=0):
    """Prompts, the model asked, and its outcome with costs."""
    table, rng = example_table(n, seed=seed), np.random.default_rng([seed, 1])
    for i, m in enumerate(rng.integers(0, 3, n)):
        yield table.prompts[i], table.models[m], table.quality_NM[i, m], table.usd_NM[i, m], table.seconds_NM[i, m]


def tell(router, rows):
    for prompt, model, quality, usd, seconds in rows:
        router.update(prompt, model, quality, usd=usd, seconds=seconds)
    return router


def reference(router, rows, weights):
    """Each model's weighted ridge by a plain solve: expected values (N, 3) and the standard error, by model."""
    x_ND = router.context(PROMPTS)
    found = {}
    for model in router.models:
        own = [i for i, row in enumerate(rows) if row[1] == model]
        z, w = router.context([rows[i][0] for i in own]), weights[own]
        y = np.array([rows[i][2:5] for i in own])
        center = np.array([0.5, y[0, 1], y[0, 2]])
        a = (z * w[:, None]).T @ z + router.ridge * np.eye(z.shape[1])
        theta = np.linalg.solve(a, (z * w[:, None]).T @ (y - center))
        # The posterior of the variance, its sums written out: weighted squares about the ridge's fit, and the prior.
        rest = (w * (y[:, 0] - center[0] - z @ theta[:, 0]) ** 2).sum() + router.ridge * (theta[:, 0] ** 2).sum()
        sigma = np.sqrt((10 * 0.25 + rest) / (10 + w.sum()))
        error = sigma * np.sqrt(np.einsum("nd,nd->n", x_ND, np.linalg.solve(a, x_ND.T).T))
        found[model] = center + x_ND @ theta, error
    return found


@pytest.mark.parametrize("memory", [None, 200])
def test_learning_one_by_one_is_the_weighted_ridge_of_all(memory):
    rows = list(stream(500))
    router = tell(LinUCB.from_cards(CARDS, memory=memory, alarm=None, dims=12), rows)
    # A memory of 200 is forgotten in twenty steps: before outcomes 10, 20 ... (counted from one).
    passed = np.arange(1, 501) // 10
    age = passed[-1] - passed
    weights = np.ones(500) if memory is None else (1 - 1 / memory) ** (10.0 * age)
    expected = router.predict(PROMPTS)
    for m, (values_NT, error_N) in enumerate(reference(router, rows, weights).values()):
        assert np.allclose(expected.quality_NM[:, m], np.clip(values_NT[:, 0], 0, 1), atol=1e-8)
        assert np.allclose(expected.usd_NM[:, m], np.maximum(values_NT[:, 1], 0), atol=1e-12)
        assert np.allclose(expected.seconds_NM[:, m], np.maximum(values_NT[:, 2], 0), atol=1e-10)
        assert np.allclose(expected.spread_NM[:, m], error_N, atol=1e-8)


def test_a_warm_start_equals_having_learnt_the_table_row_by_row():
    table = example_table(200)
    warm = LinUCB(alarm=None).fit(table)
    slow = LinUCB(alarm=None).fit(table)
    slow.arms = type(slow.arms).fresh(warm.arms.center_MT, len(warm.shift_D), warm.ridge)
    for n, prompt in enumerate(table.prompts):
        for m, model in enumerate(table.models):
            slow.update(prompt, model, table.quality_NM[n, m], 1.0, table.usd_NM[n, m], table.seconds_NM[n, m])
    for one, other in zip(warm.predict(PROMPTS)[1:], slow.predict(PROMPTS)[1:], strict=True):
        assert np.allclose(one, other, atol=1e-9)


def test_the_order_of_outcomes_changes_nothing_where_nothing_is_forgotten():
    rows = list(stream(300))
    one = tell(LinUCB.from_cards(CARDS, alarm=None), rows).predict(PROMPTS)
    # A cost's centre is the first seen, so the first of each model stays where it is.
    first = [next(row for row in rows if row[1] == model) for model in CARDS]
    other = tell(LinUCB.from_cards(CARDS, alarm=None), first + [row for row in reversed(rows) if row not in first])
    assert np.allclose(one.quality_NM, other.predict(PROMPTS).quality_NM, atol=1e-8)


def test_costs_that_are_unknown_change_no_cost():
    router = tell(LinUCB.from_cards(CARDS), stream(200))
    before = router.predict(PROMPTS)
    router.update(PROMPTS[0], "tiny", 1.0)
    after = router.predict(PROMPTS)
    assert np.allclose(before.usd_NM, after.usd_NM, atol=1e-12) and np.allclose(before.seconds_NM, after.seconds_NM)
    assert after.quality_NM[0, 0] != before.quality_NM[0, 0]


def test_costs_known_on_other_rows_than_the_quality_are_those_of_their_own_rows():
    table = example_table(300)
    quality_NM = np.array(table.quality_NM)
    quality_NM[::2, 0] = np.nan
    whole, half = LinUCB().fit(table), LinUCB().fit(replace(table, quality_NM=quality_NM))
    assert np.allclose(whole.predict(PROMPTS).usd_NM, half.predict(PROMPTS).usd_NM, atol=1e-12)


@BOTH
def test_a_cold_start_needs_names_only_and_learns(kind):
    router = kind.from_cards(CARDS)
    cold = router.predict(PROMPTS)
    assert (cold.quality_NM == 0.5).all() and np.isnan(cold.usd_NM).all() and (cold.spread_NM > 0.1).all()
    tell(router, stream(1500))
    assert router.predict(PROMPTS).quality_NM[0].argmax() == 1
    assert router.predict(PROMPTS).quality_NM[2].argmax() == 2
    assert isinstance(router, Online)


def test_a_cold_start_takes_prices_from_the_cards():
    cards = {"a": ModelCard("a", 1.0, 1.0), "b": ModelCard("b")}
    assert LinUCB.from_cards(cards).predict(["Hi"]).usd_NM[0, 0] == pytest.approx(0.0004)


@BOTH
def test_what_was_learnt_survives_a_trip_to_disk(kind, tmp_path):
    router = tell(kind.from_cards(CARDS, memory=100), stream(130))
    routers.save(router, tmp_path)
    loaded = routers.load(tmp_path)
    for each in (router, loaded):
        tell(each, stream(60, seed=1))
    for one, other in zip(router.predict(PROMPTS)[1:], loaded.predict(PROMPTS)[1:], strict=True):
        assert np.array_equal(one, other)
    assert (
        router.propensities(PROMPTS, Objective(), CARDS, 3) == loaded.propensities(PROMPTS, Objective(), CARDS, 3)
    ).all()


@BOTH
def test_probabilities_are_of_models_that_may_be_chosen_and_all_of_these_have_one(kind):
    router = kind(epsilon=0.06).fit(example_table())
    chance_NM = router.propensities(PROMPTS, Objective(allowed=("tiny", "large")), CARDS)
    assert np.allclose(chance_NM.sum(axis=1), 1)
    assert (chance_NM[:, 1] == 0).all() and (chance_NM[:, [0, 2]] >= 0.03 - 1e-12).all()
    one = Query.of(PROMPTS[0])
    needy = replace(one, needs=frozenset({"json"}))
    able = {**CARDS, "large": ModelCard("large", capabilities=frozenset({"json"}))}
    assert router.propensities([needy.text], Objective(), able, 0, needy).tolist() == [[0, 0, 1]]


@BOTH
def test_a_bar_on_quality_holds_while_exploring(kind):
    router = kind(epsilon=0.5).fit(example_table())
    expected = router.predict(PROMPTS)
    chance_NM = router.propensities(PROMPTS, Objective(min_quality=0.6), CARDS)
    assert ((chance_NM > 0) == (expected.quality_NM >= 0.6)).all()


def test_lin_ucbs_probabilities_are_exact():
    router = LinUCB(epsilon=0.3, width=2.0).fit(example_table())
    chance_NM = router.propensities(PROMPTS, Objective(usd=10), CARDS)
    best_N = Objective(usd=10).choose_many(router.explore(PROMPTS), CARDS)
    assert np.allclose(chance_NM, 0.1 + 0.7 * np.eye(3)[best_N])


def test_thompsons_probabilities_are_how_often_a_draw_is_best():
    router = Thompson(epsilon=0.0, draws=4000, width=3.0).fit(example_table(60))
    chance_NM = router.propensities(PROMPTS, Objective(), CARDS, 1)
    rng = np.random.default_rng(2)
    drawn = [router.explore(PROMPTS, rng).quality_NM.argmax(axis=1) for _ in range(1500)]
    share_NM = np.array([np.bincount(column, minlength=3) for column in np.array(drawn).T]) / 1500
    assert np.abs(chance_NM - share_NM).max() < 5 * np.sqrt(0.25 / 1500 + 0.25 / 4000)


def test_the_upper_end_is_what_is_expected_and_the_doubt():
    router = LinUCB(width=2.0).fit(example_table(100))
    expected, explored = router.predict(PROMPTS), router.explore(PROMPTS)
    assert np.allclose(np.clip(explored.quality_NM - 2 * expected.spread_NM, 0, 1), expected.quality_NM)


@BOTH
@pytest.mark.parametrize(("alarm", "memory"), [(18.0, None), (None, 200)])
def test_a_planted_change_is_noticed_by_detector_or_memory(kind, alarm, memory):
    """One model turns from always right to always wrong, after a thousand outcomes that said otherwise."""
    settings = {"alarm": alarm, "memory": memory}
    router, stubborn = (kind.from_cards(CARDS, **each) for each in (settings, {"alarm": None}))
    asked = [row[0] for row in stream(1200)]
    for each in (router, stubborn):
        for prompt in asked[:1000]:
            each.update(prompt, "large", 1.0)
        for prompt in asked[1000:]:
            each.update(prompt, "large", 0.0)
    assert router.predict(PROMPTS).quality_NM[:, 2].max() < 0.55
    assert stubborn.predict(PROMPTS).quality_NM[:, 2].min() > 0.6
    assert (router.arms.alarms_M > 0).tolist() == [False, False, alarm is not None]


def test_an_alarm_makes_the_router_unsure_again():
    router = LinUCB.from_cards(CARDS, dims=4)
    for prompt, *_ in stream(500):
        router.update(prompt, "large", 1.0)
    sure = router.predict(PROMPTS).spread_NM[:, 2]
    for prompt, *_ in stream(500):
        router.update(prompt, "large", 0.0)
        if router.arms.alarms_M[2]:
            break
    assert (router.predict(PROMPTS).spread_NM[:, 2] > 3 * sure).all()


def test_no_alarm_where_nothing_changes():
    router = tell(LinUCB.from_cards(CARDS), stream(3000))
    assert router.arms.alarms_M.sum() == 0


def test_what_is_not_asked_is_forgotten_too():
    router = tell(LinUCB.from_cards(CARDS, memory=100), stream(300))
    before = router.predict(PROMPTS).spread_NM
    for prompt, *_ in stream(200):
        router.update(prompt, "tiny", 1.0)
    after = router.predict(PROMPTS).spread_NM
    assert (after[:, 1:] > before[:, 1:]).all()


@BOTH
def test_threads_lose_no_outcome(kind):
    """Eight threads tell and ask at once; what is learnt is what one thread learns."""
    rows = list(stream(400))
    alone = tell(kind.from_cards(CARDS, alarm=None, dims=8), rows)
    shared = kind.from_cards(CARDS, alarm=None, dims=8)
    failed = []

    def work(part):
        try:
            for row in part:
                tell(shared, [row])
                assert np.isfinite(shared.predict([row[0]]).quality_NM).all()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(rows[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and shared.arms.seen == 400
    assert np.allclose(shared.predict(PROMPTS).quality_NM, alone.predict(PROMPTS).quality_NM, atol=1e-8)


def test_predicting_is_pure_and_independent_of_learning_elsewhere():
    router, other = (LinUCB().fit(example_table()) for _ in range(2))
    before = router.predict(PROMPTS)
    router.explore(PROMPTS, 5)
    router.propensities(PROMPTS, Objective(), CARDS, 5)
    other.update(PROMPTS[0], "tiny", 0.0)
    assert all(np.array_equal(a, b) for a, b in zip(before[1:], router.predict(PROMPTS)[1:], strict=True))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"quality": 1.2}, "quality"),
        ({"propensity": 0.0}, "propensity"),
        ({"usd": -1.0}, "usd"),
        ({"quality": np.nan}, "quality"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused_and_changes_nothing(changes, word):
    router = LinUCB.from_cards(CARDS)
    with pytest.raises(BadInput, match=word):
        router.update("Hello", "tiny", **{"quality": 0.5, **changes})
    assert router.arms.seen == 0


def test_errors_are_sentences():
    router = LinUCB.from_cards(CARDS)
    with pytest.raises(UnknownModel, match="tinny"):
        router.update("Hello", "tinny", 1.0)
    with pytest.raises(BadInput, match="context"):
        router.learn([1.0, 2.0], "tiny", 1.0)
    with pytest.raises(NotFitted):
        LinUCB().context(["Hello"])
    with pytest.raises(ValueError, match="memory"):
        LinUCB(memory=1)
    with pytest.raises(ValueError, match="draws"):
        Thompson(draws=0)


def test_a_snapshot_stays_as_it_was():
    router = LinUCB().fit(example_table())
    before, still = router.predict(PROMPTS), router.snapshot()
    router.update(PROMPTS[0], "tiny", 1.0)
    assert all(np.array_equal(a, b) for a, b in zip(before[1:], still.predict(PROMPTS)[1:], strict=True))


@BOTH
def test_a_cost_that_nobody_has_told_yet_keeps_no_model_from_being_asked(kind):
    """Money has a weight and one model's cost is known: the others must still have a chance to show theirs."""
    router = kind.from_cards(CARDS)
    router.update(PROMPTS[0], "large", 0.2, usd=0.01, seconds=1.0)
    assert np.isnan(router.predict(PROMPTS).usd_NM[:, :2]).all()
    chance_NM = router.propensities(PROMPTS, Objective(usd=50, seconds=0.1), CARDS)
    assert (chance_NM > 0).all() and (chance_NM[:, 2] < 0.5).all()


@BOTH
def test_a_new_model_is_one_more_arm_and_the_others_stay(kind):
    """Hidden, and added with fifty rows: it is what it would have been, had it been there from the start."""
    table = example_table(300)
    others = kind().fit(table.only(("tiny", "maths-expert")))
    wider, whole = others.with_model(ModelCard("large"), table), kind().fit(table)
    for one, other in zip(wider.predict(PROMPTS)[1:], whole.predict(PROMPTS)[1:], strict=True):
        assert np.allclose(one, other, atol=1e-8)
    few = others.with_model(ModelCard("large"), table.select(range(50)))
    before, after = others.predict(PROMPTS), few.predict(PROMPTS)
    assert np.array_equal(before.quality_NM, after.quality_NM[:, :2]) and others.models == ("tiny", "maths-expert")
    assert (after.spread_NM[:, 2] > whole.predict(PROMPTS).spread_NM[:, 2]).all()
    few.update(PROMPTS[0], "large", 0.0)
    assert others.arms.seen == 0 and few.arms.seen == 1
    with pytest.raises(BadInput, match="already"):
        few.with_model(ModelCard("large"), table)
