"""Whether traffic has drifted: said when it has, not when it has not, and not at all of a handful."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.outcomes.drift import LEAST, Reference, Traffic, drifted

MODELS = ("small", "large", "expert", "rare")


def traffic(rng, n, shares=(0.6, 0.3, 0.09, 0.01), length=60, quality=0.7):
    expected = rng.beta(10 * quality, 10 * (1 - quality), size=(n, 3)).round(2)
    choices = [MODELS[i] for i in rng.choice(len(MODELS), n, p=shares)]
    return Traffic.of(choices, expected, rng.lognormal(np.log(length), 0.7, n).round())


@pytest.mark.parametrize(
    ("changed", "feature"),
    [
        ({"shares": (0.3, 0.6, 0.09, 0.01)}, "choice"),
        ({"shares": (0.5, 0.3, 0.05, 0.15)}, "choice"),
        ({"length": 120}, "length"),
        ({"quality": 0.5}, "quality"),
    ],
)
def test_what_moved_is_named(changed, feature):
    rng = np.random.default_rng(0)
    found = drifted(Reference.of(traffic(rng, 500)), traffic(rng, 500, **changed))
    assert found.verdict == "drifted"
    assert found.shifts[0].feature == feature and found.shifts[0].drifted
    assert str(found).startswith(f"drifted: 500 prompts, by {feature} (PSI ")


def test_a_model_that_was_never_chosen_before_is_drift():
    rng = np.random.default_rng(0)
    recent = traffic(rng, 500)
    recent = Traffic(["new", *recent.choices[1:250], *["new"] * 250], *(getattr(recent, f"{name}_N") for name in
                     ("quality", "lead", "length")))  # fmt: skip
    assert drifted(Reference.of(traffic(rng, 500)), recent).shifts[0].feature == "choice"


@pytest.mark.parametrize(("n", "m"), [(150, 200), (400, 1000), (1000, 1000)])
def test_prompts_of_the_same_kind_are_called_drifted_no_oftener_than_stated(n, m):
    rng = np.random.default_rng(7)
    rounds, level = 300, 0.05
    found = [drifted(Reference.of(traffic(rng, n)), traffic(rng, m), level) for _ in range(rounds)]
    false_alarms = sum(each.verdict == "drifted" for each in found)
    # Four standard deviations above what is stated.
    assert false_alarms <= rounds * level + 4 * np.sqrt(rounds * level * (1 - level))
    by_test_alone = sum(any(shift.p <= level for shift in each.shifts) for each in found)
    assert 0 < by_test_alone <= rounds * level + 4 * np.sqrt(rounds * level * (1 - level))


def test_a_shift_too_small_to_matter_is_none_however_sure_it_is():
    rng = np.random.default_rng(0)
    found = drifted(Reference.of(traffic(rng, 40_000)), traffic(rng, 40_000, length=62))
    length = next(shift for shift in found.shifts if shift.feature == "length")
    assert length.p < 1e-4 and length.psi < 0.02 and found.verdict == "has not drifted"


def test_too_few_prompts_tell_nothing():
    rng = np.random.default_rng(0)
    found = drifted(Reference.of(traffic(rng, 500)), traffic(rng, LEAST - 1, length=1000))
    assert found.verdict == "too few" and "199 prompts, and at least 200 worth 50 are needed" in str(found)


def test_what_is_unknown_of_recent_prompts_is_not_looked_at():
    rng = np.random.default_rng(0)
    recent = traffic(rng, 300)
    recent = Traffic(recent.choices, recent.quality_N, recent.lead_N, np.full(300, np.nan))
    found = drifted(Reference.of(traffic(rng, 500)), recent)
    assert {shift.feature for shift in found.shifts} == {"choice", "quality", "lead"}
    blind = Traffic(recent.choices, *[np.full(300, np.nan)] * 3)
    assert [shift.feature for shift in drifted(Reference.of(blind), recent).shifts] == ["choice"]


def test_a_router_that_always_says_the_same_cannot_drift_by_what_it_says():
    same = Traffic.of(["small"] * 300, np.full((300, 2), 0.5), [10] * 300)
    assert drifted(Reference.of(same), same).verdict == "has not drifted"


def test_the_lead_is_to_the_second_best_of_those_known():
    found = Traffic.of("abc", np.array([[0.9, 0.7, 0.8], [0.4, np.nan, np.nan], [np.nan] * 3]), [1, 2, 3])
    assert found.lead_N[0] == pytest.approx(0.1) and np.isnan(found.lead_N[1:]).all()
    assert found.quality_N[:2].tolist() == [0.9, 0.4] and np.isnan(found.quality_N[2])


def test_prompts_that_came_together_count_as_fewer():
    """A held-out part has all copies of a prompt or none, so a few clusters are no sample of what will come."""
    rng = np.random.default_rng(0)
    alarms = {True: 0, False: 0}
    for _ in range(40):
        forms = traffic(rng, 60)
        held_out, arrived = rng.choice(60, 18, replace=False), rng.integers(0, 60, 400)
        clusters_N = np.repeat(held_out, 20)
        then, now = (Traffic([forms.choices[i] for i in rows], forms.quality_N[rows], forms.lead_N[rows],
                             forms.length_N[rows]) for rows in (clusters_N, arrived))  # fmt: skip
        for told in alarms:
            reference = Reference.of(replace(then, same=clusters_N.tolist() if told else ()))
            assert reference.effective == pytest.approx(18 if told else 360)
            alarms[told] += drifted(reference, now).verdict == "drifted"
    assert alarms[True] <= 2 and alarms[False] > 20


def repeated(rng, n, copies):
    once = traffic(rng, n // copies)
    rows = rng.permutation(np.repeat(np.arange(n // copies), copies))
    return Traffic([once.choices[i] for i in rows], once.quality_N[rows], once.lead_N[rows], once.length_N[rows],
                   rows.tolist())  # fmt: skip


@pytest.mark.parametrize(("n", "copies"), [(300, 2), (300, 5), (1000, 5), (1000, 10)])
def test_live_prompts_that_are_repeated_raise_no_more_alarms_than_stated(n, copies):
    rng = np.random.default_rng(3)
    rounds, level = 100, 0.05
    reference = Reference.of(traffic(rng, 2000))
    alarms = {True: 0, False: 0}
    for _ in range(rounds):
        recent = repeated(rng, n, copies)
        assert recent.effective == pytest.approx(n / copies)
        for told in alarms:
            found = drifted(reference, recent if told else replace(recent, same=()), level)
            alarms[told] += found.verdict == "drifted"
    assert alarms[True] <= rounds * level + 4 * np.sqrt(rounds * level * (1 - level))
    assert alarms[False] > alarms[True] or copies == 2


def test_repeated_prompts_that_moved_are_still_called_drifted():
    rng = np.random.default_rng(3)
    moved = replace(repeated(rng, 1000, 5), length_N=repeated(rng, 1000, 5).length_N * 4)
    assert drifted(Reference.of(traffic(rng, 2000)), moved).shifts[0].feature == "length"


def test_copies_of_a_handful_tell_nothing():
    rng = np.random.default_rng(0)
    found = drifted(Reference.of(traffic(rng, 500)), repeated(rng, 1000, 100))
    assert str(found) == ("too few: 1000 prompts worth 10 that are no copies, and at least 200 worth 50 are needed")


def test_a_reference_survives_being_written():
    rng = np.random.default_rng(0)
    reference = Reference.of(traffic(rng, 300))
    assert Reference.read(reference.plain()) == reference


@pytest.mark.parametrize(
    "given", [None, {}, {"choices": 1},
              {"choices": {}, "edges": {"length": [1]}, "counts": {"length": [1]}, "effective": 1},
              {"choices": {}, "edges": {"size": []}, "counts": {"size": [1]}, "effective": 1}]
)  # fmt: skip
def test_what_is_no_reference_is_refused(given):
    with pytest.raises(BadInput, match="calibrate again"):
        Reference.read(given)


@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.integers(LEAST, 600))
def test_the_verdict_does_not_depend_on_the_order_of_prompts(rng, n):
    reference, recent = Reference.of(traffic(rng, 300)), traffic(rng, n, length=70)
    order = rng.permutation(n)
    mixed = Traffic([recent.choices[i] for i in order], *(getattr(recent, f"{name}_N")[order] for name in
                    ("quality", "lead", "length")))  # fmt: skip
    assert str(drifted(reference, recent)) == str(drifted(reference, mixed))
    assert sum(reference.counts["length"]) == 300
