"""Composition: the objective's choice is the program's map, within memory, and unsure prompts go to a generalist."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput, NotFitted
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import Composition, Domain, load, save
from waypost.routers.composition import UNSURE
from waypost.types import ModelCard

SIZES = {"tiny": 1.0, "maths-expert": 14.0, "large": 140.0}


def chosen(router, prompts):
    """What an objective of quality alone chooses for each prompt."""
    cards = {name: ModelCard(name) for name in router.models}
    return [router.models[best] for best in Objective().choose_many(router.predict(prompts), cards)]


@pytest.mark.parametrize("budget", [1.0, 14.0, 15.0, 150.0, 155.0, None])
def test_with_quality_alone_the_choice_is_the_programs_map(budget):
    table = example_table(300)
    router = Composition(budget=budget, sizes=SIZES, unsure=0.6).fit(table)
    prompts = [*table.prompts, "zork", "Bom dia"]
    sure_N = router.router.probabilities(prompts).max(axis=1)
    categories = np.where(sure_N < 0.6, UNSURE, router.router.domain(prompts))
    assert chosen(router, prompts) == [router.plan()[category] for category in categories]


def test_what_is_kept_fits_and_more_memory_is_never_worse():
    router = Composition().fit(example_table(300))
    values = []
    for budget in (1.0, 15.0, 140.0, 154.0, 155.0):
        planned = router.planned(budget, SIZES)
        assert sum(SIZES[name] for name in planned.resident) <= budget
        columns = [router.models.index(name) for name in planned.resident]
        values.append(router.share_C @ router.means_CM[:, columns].max(axis=1))
    assert values == sorted(values) and values[0] < values[-1]
    assert planned.resident == router.resident == router.models


def test_planning_again_is_like_fitting_with_that_budget():
    table = example_table(300)
    planned, fitted = Composition().fit(table).planned(2.0), Composition(budget=2.0).fit(table)
    assert planned.resident == fitted.resident
    for one, other in zip(planned.predict(table.prompts)[1:], fitted.predict(table.prompts)[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_all_models_are_kept_and_no_prompt_is_unsure_the_means_are_those_of_the_likeliest_domain():
    table = example_table(200)
    router, domain = Composition(unsure=0.0).fit(table), Domain().fit(table)
    rows = [domain.domains.index(name) for name in domain.domain(table.prompts)]
    np.testing.assert_allclose(router.predict(table.prompts).quality_NM, domain.means_GM[rows])


def test_a_model_out_of_memory_is_expected_just_below_the_categorys_expert_or_as_it_is():
    table = example_table(300)
    router = Composition(budget=2.0, sizes=dict.fromkeys(SIZES, 1.0) | {"large": 9.0}, unsure=0.0).fit(table)
    assert router.resident == ("tiny", "maths-expert")
    expected = router.predict(["Say hello to Elm for me.", "Fix the bug in the method garden."])
    means = router.means_CM[[router.router.domains.index(name) for name in ("chat", "code")]]
    np.testing.assert_allclose(expected.quality_NM[:, :2], means[:, :2])
    np.testing.assert_allclose(expected.quality_NM[:, 2], means[:, :2].max(axis=1) - 1e-6)


def test_unsure_prompts_go_to_the_generalist_where_that_helps():
    """Half of the prompts read alike and need the generalist, whatever group they are said to be of."""
    table = example_table(600, seed=3)
    rows = np.arange(len(table)) % 2 == 0
    prompts = tuple(
        f"zork {n}" if odd else prompt for n, (prompt, odd) in enumerate(zip(table.prompts, rows, strict=True))
    )
    quality_NM = np.tile([0.0, 0.0, 1.0], (len(table), 1))
    quality_NM[~rows] = [
        [group == "chat", group == "maths", group == "code"] for group in np.array(table.groups)[~rows]
    ]
    hard = replace(table, prompts=prompts, quality_NM=quality_NM.astype(float))
    router = Composition().fit(hard)
    assert router.threshold > 0 and router.plan()[UNSURE] == "large"
    plain = Composition(unsure=0.0).fit(hard)
    new = [f"zork {n}" for n in range(1000, 1060)]
    assert chosen(router, new).count("large") > chosen(plain, new).count("large")


def test_the_generalist_is_the_best_overall_of_those_that_are_kept():
    table = example_table(300)
    means_M = table.quality_NM.mean(axis=0)
    router = Composition(sizes=SIZES, budget=155.0, unsure=0.5).fit(table)
    assert router.plan()[UNSURE] == table.models[means_M.argmax()] == "large"
    assert router.planned(15.0).plan()[UNSURE] == "maths-expert"


def test_a_model_is_added_from_fifty_rows_and_planned_for():
    table = example_table(400)
    router = Composition(unsure=0.0).fit(table.only(["tiny", "large"]))
    wider = router.with_model(ModelCard("maths-expert"), table.select(np.arange(0, 400, 8)))
    old, new = router.predict(table.prompts), wider.predict(table.prompts)
    for before, after in zip(old[1:], new[1:], strict=True):
        np.testing.assert_array_equal(after[:, :2], before)
    assert wider.resident == ("tiny", "large", "maths-expert") and wider.plan()["maths"] == "maths-expert"
    assert np.isfinite(np.stack(new[1:])).all()
    small = router.planned(1.0, {"tiny": 1.0, "large": 9.0, "maths-expert": 1.0})
    assert small.with_model(ModelCard("maths-expert"), table).resident == ("maths-expert",)
    with pytest.raises(BadInput, match="no size is given for maths-expert"):
        router.planned(10.0, {"tiny": 1.0, "large": 9.0}).with_model(ModelCard("maths-expert"), table)
    with pytest.raises(BadInput, match="knows 'large' already"):
        router.with_model(ModelCard("large"), table)


def test_sizes_come_from_cards():
    cards = {"a": ModelCard("a", parameters=7.0), "b": ModelCard("b")}
    assert Composition.sizes_of(cards, bytes_per_weight=0.5) == {"a": 3.5}


def test_settings_that_cannot_be_are_refused():
    for settings in ({"budget": 0.0}, {"unsure": 1.5}, {"sizes": {"a": -1.0}}, {"sizes": {"a": "7"}}):
        with pytest.raises(ValueError, match="must be"):
            Composition(**settings)
    with pytest.raises(NotFitted):
        Composition().planned(2.0)
    with pytest.raises(BadInput, match="no size is given for large"):
        Composition(budget=2.0, sizes={"tiny": 1.0, "maths-expert": 1.0}).fit(example_table(100))


def test_sizes_and_the_plan_survive_a_trip_to_disk(tmp_path):
    router = Composition(budget=15.0, sizes=SIZES).fit(example_table(200))
    save(router, tmp_path)
    assert load(tmp_path).plan() == router.plan() and load(tmp_path).planned(1.0).resident == ("tiny",)


def test_a_model_that_was_measured_once_and_a_table_of_one_prompt_are_fitted():
    table = example_table(60)
    quality_NM = np.array(table.quality_NM)
    quality_NM[1:, 1] = np.nan
    assert Composition().fit(replace(table, quality_NM=quality_NM)).predict(["Hi"]).quality_NM.shape == (1, 3)
    alike = replace(table, prompts=("What is 2 plus 3?",) * 60)
    assert np.isfinite(Composition().fit(alike).predict(["Hi"]).quality_NM).all()


def test_a_new_model_takes_what_its_card_says():
    table = example_table(200)
    router = Composition(budget=20.0, sizes={"tiny": 1.0, "maths-expert": 14.0}).fit(table.only(table.models[:2]))
    wider = router.with_model(ModelCard("large", parameters=8.0), table.select(range(50)))
    assert wider.sizes["large"] == 16.0
    assert set(wider.resident) in ({"tiny", "maths-expert"}, {"tiny", "large"})
    with pytest.raises(BadInput, match="no size is given for large"):
        router.with_model(ModelCard("large"), table.select(range(50)))
