from dataclasses import replace

import numpy as np
import pytest

from waypost.evaluation.baselines import bounds, chosen, single
from waypost.evaluation.compare import compare
from waypost.evaluation.parts import compare_parts, parts
from waypost.outcomes import Outcomes, example_table


@pytest.fixture
def table():
    return example_table(300)


def test_each_part_is_compared_as_if_it_were_the_table(table):
    leaked = np.arange(300) % 3 == 0
    asked = {"it": single(table, "maths-expert")}
    clusters = np.arange(300) // 2
    found = compare_parts(table, asked, parts(table, leaked), clusters_N=clusters, resamples=100, seed=3)
    clean = table.select(~leaked)
    alone = compare(clean, {"it": single(clean, "maths-expert")}, clusters_N=clusters[~leaked], resamples=100, seed=3)
    assert found["clean"] == alone
    assert found["all"] == compare(table, asked, clusters_N=clusters, resamples=100, seed=3)


def test_bounds_that_cost_more_than_the_table_says_do_so_in_each_part(table):
    masks = parts(table, np.arange(300) < 100)
    dear = {name: replace(earned, usd_N=earned.usd_N + 1) for name, earned in bounds(table).items()}
    found = compare_parts(table, {}, masks, bounds=dear, resamples=40)
    for name, mask in masks.items():
        for bound, earned in dear.items():
            assert found[name].line(bound).usd == pytest.approx(earned.usd_N[mask].mean())


def test_a_router_that_remembers_the_leaked_answers_beats_on_them_only(table):
    leaked = np.arange(300) < 150
    remembered = np.where(leaked, table.quality_NM.argmax(axis=1), 2)
    found = compare_parts(table, {"it": chosen(table, remembered)}, parts(table, leaked), resamples=200)
    assert {part: one.line("it").verdict for part, one in found.items()} == {
        "clean": "matches", "all": "beats", "leaked": "beats",
    }  # fmt: skip


def test_a_part_without_any_score_of_a_model_is_left_out(table):
    quality = table.quality_NM.copy()
    quality[:20, 1] = np.nan
    holes = Outcomes(table.ids, table.prompts, table.groups, table.models, quality, table.usd_NM)
    assert list(parts(holes, np.arange(300) < 20)) == ["clean", "all"]
    assert list(parts(holes, np.arange(300) >= 20)) == ["all", "leaked"]
