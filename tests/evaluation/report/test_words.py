import re
from dataclasses import replace

import numpy as np
import pytest

from waypost.evaluation.report.words import best, sentences
from waypost.outcomes import example_table


def test_the_first_sentence_names_the_best_its_verdict_and_its_cost(findings):
    first = sentences(findings)["priced"][0]
    assert first.startswith("domain does best at this trade-off and beats the best single model, large:")
    assert "points (95 %:" in first
    assert "probability of beating it > 99 %" in first
    assert "of that model's cost" in first


def test_the_trade_off_itself_has_a_sentence_when_money_counts(findings):
    said = sentences(findings)
    assert any(
        sentence.startswith("With its costs taken off as asked it is worth more than") for sentence in said["priced"]
    )
    assert not any("costs taken off" in sentence for sentence in said["unpriced"])


def test_leaks_are_named_with_their_share_and_what_they_change(findings):
    said = " ".join(sentences(findings)["priced"])
    leaks = findings.tests[0].leaks
    assert f"{leaks.leaked} of {findings.tests[0].with_leaks.n} test questions" in said
    assert "left out of all numbers here" in said
    assert re.search(r"The gain of domain would be \S+ points in place of \S+; on them alone it is \S+\.", said)


def test_a_verdict_that_leaks_would_flip_is_said(findings):
    tested = findings.tests[0]
    flattered = tuple(replace(line, p_adjusted=1.0) for line in tested.with_leaks.lines)
    flipped = replace(tested, with_leaks=replace(tested.with_leaks, lines=flattered))
    said = " ".join(sentences(replace(findings, tests=(flipped,)))["priced"])
    assert "the verdict on domain would be “matches” in place of “beats”" in said


def test_without_leaks_that_is_said_too(measured):
    train, test = example_table(200).split()
    said = sentences(measured(train, {"t": test}, ["best_single"]))["t"]
    assert "No test question is also in training, neither exactly nor nearly." in said


def test_without_costs_the_reader_is_told_why_there_is_no_curve(findings):
    assert any("No costs are known" in sentence for sentence in sentences(findings)["unpriced"])


def test_what_was_never_measured_is_counted(measured):
    train, test = example_table(300, seed=4).split()
    holes_NM = test.quality_NM.copy()
    holes_NM[:7, test.models.index("large")] = np.nan
    said = " ".join(
        sentences(measured(train, {"t": replace(test, quality_NM=holes_NM)}, ["best_single", "domain"]))["t"]
    )
    assert "Left out because the chosen answer was never measured: 7 questions of best_single" in said


def with_line(found, name, **changes):
    """The comparison with an asked line changed."""
    lines = (replace(x, **changes) if (x.name, x.kind) == (name, "asked") else x for x in found.lines)
    return replace(found, lines=tuple(lines))


def test_the_best_is_chosen_by_the_trade_off_not_by_quality_alone(findings):
    found = findings.tests[0].found
    assert best(found, {"quality": 1.0}).name == "domain"
    assert best(with_line(found, "domain", usd=1.0), {"quality": 1.0, "usd": 10.0}).name != "domain"


@pytest.mark.parametrize("cost", ["usd", "seconds"])
def test_a_line_of_unknown_weighed_cost_is_not_called_the_best(findings, cost):
    tested = findings.tests[0]
    found = tested.found
    if cost == "seconds":
        for line in tested.asked:
            found = with_line(found, line.name, seconds=1.0)
    found = with_line(found, "domain", **{cost: np.nan})
    assert best(found, {"quality": 1.0}).name == "domain"
    weights = {"quality": 1.0, cost: 0.01}
    assert best(found, weights).name != "domain"
    said = sentences(replace(findings, tests=(replace(tested, found=found),), weights=weights))["priced"]
    assert not said[0].startswith("domain")
    assert "Behind all others because what the trade-off weighs is not fully known: domain." in said


def test_where_no_cost_is_known_the_best_is_only_that_in_quality(findings):
    said = sentences(findings)["unpriced"]
    assert said[0].startswith("domain does best in quality and beats")
    assert "What the trade-off weighs is not fully known of any line, so which is best says nothing of it." in said


def test_another_best_router_with_the_leaked_questions_is_said(findings):
    tested = findings.tests[0]
    assert "would be best" not in " ".join(sentences(findings)["priced"])
    whole = with_line(tested.with_leaks, "random", quality=0.999, gain=0.034)
    said = sentences(replace(findings, tests=(replace(tested, with_leaks=whole),)))["priced"]
    gain = f"{100 * tested.found.line('random', 'asked').gain:.1f}".replace("-", "−")
    assert f"With them random would be best, at +3.4 points; without them it gains {gain}." in said
    assert any(sentence.startswith("The gain of domain would be") for sentence in said)


def test_a_budget_that_was_overspent_is_named(findings):
    said = " ".join(sentences(replace(findings, budget=1e-9))["priced"])
    assert "Over the budget of $0.00000000100 per question: domain $" in said
