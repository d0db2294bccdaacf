"""The domain router: probabilities times shrunken means."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput
from waypost.outcomes import Outcomes, example_table
from waypost.routers import Domain


def test_quality_is_the_mix_of_the_domains_shrunken_means():
    table = example_table(200)
    router = Domain(prior=10).fit(table)
    share = router.probabilities(["What is 3 plus 4?"])[0]
    means = []
    for group in router.domains:
        rows = np.array([g == group for g in table.groups])
        overall, n = table.quality_NM.mean(axis=0), rows.sum()
        means.append((table.quality_NM[rows].sum(axis=0) + 10 * overall) / (n + 10))
    assert np.allclose(router.predict(["What is 3 plus 4?"]).quality_NM[0], share @ np.array(means), atol=1e-6)


def test_probabilities_sum_to_one_and_find_the_domain():
    table = example_table(400)
    router = Domain().fit(table)
    train, test = table.split()
    assert np.allclose(router.probabilities(test.prompts).sum(axis=1), 1)
    right = np.mean([a == b for a, b in zip(Domain().fit(train).domain(test.prompts), test.groups, strict=True)])
    assert right > 0.9


def test_two_domains_work_as_three_do():
    table = example_table(300)
    two = table.select([g != "code" for g in table.groups])
    assert Domain().fit(two).domain(["What is 3 plus 4?", "Say hello to Elm for me."]) == ["maths", "chat"]


def test_a_table_without_groups_gets_clusters():
    table = example_table(300)
    router = Domain(clusters=4).fit(replace(table, groups=("",) * len(table)))
    assert router.domains == ("cluster-0", "cluster-1", "cluster-2", "cluster-3")


def test_prompts_that_are_all_alike_are_refused():
    ones = np.ones((5, 2))
    same = Outcomes(tuple("abcde"), ("Hi",) * 5, ("",) * 5, ("x", "y"), ones, ones)
    with pytest.raises(BadInput, match="at least two kinds"):
        Domain().fit(same)


def test_of_a_large_table_the_classifier_sees_some_rows_of_every_group_and_the_means_all(monkeypatch):
    table = example_table(300)
    groups = ("rare", *table.groups[1:])
    monkeypatch.setattr("waypost.routers.domain._ROWS", 100)
    router = Domain().fit(replace(table, groups=groups))
    assert router.domains == ("chat", "code", "maths", "rare")
    rows = np.array(groups) == "maths"
    expected = (table.quality_NM[rows].sum(axis=0) + 20 * table.quality_NM.mean(axis=0)) / (rows.sum() + 20)
    np.testing.assert_allclose(router.means_GM[2], expected)
    assert router.domain(["What is 17 plus 26?"]) == ["maths"]


def test_clusters_of_a_large_table_are_found_on_some_of_its_rows(monkeypatch):
    table = replace(example_table(300), groups=("",) * 300)
    monkeypatch.setattr("waypost.routers.domain._ROWS", 100)
    router = Domain(clusters=3).fit(table)
    assert router.domains == ("cluster-0", "cluster-1", "cluster-2")
    assert len(set(router.domain(["What is 3 plus 4?", "Fix the bug in the method garden."]))) == 2


def test_a_longer_prompt_costs_more_within_its_domain():
    table = example_table(300)
    length_N1 = np.array([[len(prompt)] for prompt in table.prompts])
    router = Domain().fit(replace(table, usd_NM=1e-6 * length_N1 * np.ones((1, 3))))
    prompts = ["Multiply 2 by 3.", "Work out 888 minus 999."]
    short, long = router.predict(prompts).usd_NM[:, 0]
    assert router.domain(prompts) == ["maths", "maths"]
    assert long > 1.2 * short
