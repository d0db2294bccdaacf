from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.outcomes import example_table


def test_leaked_questions_count_for_nothing_but_the_comparison_with_them(findings, tables):
    train, test = tables
    tested = findings.tests[0]
    seen = sum(prompt in set(train.prompts) for prompt in test.prompts)
    assert tested.leaks.exact == seen >= 30
    assert tested.found.n == tested.part.rows == len(test) - tested.leaks.leaked
    assert tested.with_leaks.n == len(test)
    assert tested.on_leaks.n == tested.leaks.leaked
    assert 0 < len(tested.leaks.examples) <= 10


def test_nothing_leaks_where_all_questions_are_new(measured):
    train, test = example_table(200).split()
    tested = measured(train, {"t": test}, ["best_single"]).tests[0]
    assert (tested.leaks, tested.with_leaks, tested.on_leaks) == (None, None, None)


def test_a_test_of_nothing_but_training_questions_is_refused(measured):
    train = example_table(100)
    with pytest.raises(BadInput, match=r"too few questions of t are not in training"):
        measured(train, {"t": train.select(np.arange(20))}, ["best_single"])


def test_a_curve_lies_between_the_cheapest_model_and_the_oracle(findings):
    tested = findings.tests[0]
    oracle = tested.found.line("oracle")
    for method in tested.methods:
        assert list(method.curve.usd) == sorted(method.curve.usd)
        assert max(method.curve.quality) <= oracle.quality
        assert min(method.curve.usd) >= min(tested.zero.usd) - 1e-12
        assert tested.aiq_range is not None and 0 < method.aiq <= 1


def test_the_point_asked_for_lies_on_the_curve(findings):
    tested = findings.tests[0]
    line, curve = tested.found.line("domain"), tested.method("domain").curve
    assert np.isclose(curve.usd, line.usd).any()


def test_without_costs_there_is_no_curve_and_no_hull(findings):
    tested = findings.tests[1]
    assert not tested.priced
    assert (tested.zero.usd, tested.aiq_range, tested.worthiest, tested.worths) == ((), None, None, ())
    assert [method.curve for method in tested.methods] == [None] * 3
    assert [method.usd for method in tested.methods] == [None] * 3


def test_shares_by_group_add_up(findings):
    for method in findings.tests[0].methods:
        assert set(method.groups) == {"chat", "code", "maths"}
        assert all(sum(share.values()) == pytest.approx(1) for share in method.groups.values())


def test_of_many_groups_the_small_ones_go_together(measured):
    train, test = example_table(900, seed=5).split(0.3)
    test = replace(test, groups=tuple(f"g{n % 60}" for n in range(len(test))))
    tested = measured(train, {"t": test}, ["best_single"]).tests[0]
    assert len(tested.part.groups) == 60
    groups = tested.methods[0].groups
    assert len(groups) == 40
    assert "the 21 smaller groups" in groups


def test_a_router_that_names_domains_is_confronted_with_the_groups(findings):
    domain, single, _ = findings.tests[0].methods
    assert domain.domains.agreement > 0.9
    assert single.domains is None


def test_a_constant_router_expects_of_its_choice_what_it_learned(findings, tables):
    single = findings.tests[0].method("best_single")
    best = baselines.best_single(tables[0])
    assert single.expected == pytest.approx(tables[0].means()[best][0], abs=0.05)
    assert single.quality.n == 3 * findings.tests[0].part.rows
