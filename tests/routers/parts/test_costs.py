"""The shared cost head, alone and beside what doubts: costs follow length, and are unknown where nothing is known."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.encoders import StaticEncoder
from waypost.outcomes import example_table
from waypost.routers import DualContrastive, PreferenceEncoder
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.features import features
from waypost.routers.parts.targets import targets

ENCODER = StaticEncoder()


def costs_of(table):
    made = targets(table)
    return Costs.fitted(features(ENCODER, made.prompts), made, dim=ENCODER.dim)


def test_a_longer_prompt_is_expected_to_cost_more_where_it_does():
    table = example_table(200)
    length_N1 = np.array([[len(prompt)] for prompt in table.prompts])
    found = costs_of(replace(table, usd_NM=1e-6 * length_N1 * np.ones((1, 3))))
    short, long = found(features(ENCODER, ["What is 2 plus 3?", "Write a Python function called juniper."]))[:, 0]
    assert 1e-5 < short < long < 1e-4


def test_costs_are_never_negative_and_an_unknown_one_is_not_zero():
    table = example_table(50)
    usd_NM = np.array(table.usd_NM)
    usd_NM[:, 1] = np.nan
    found = costs_of(replace(table, usd_NM=usd_NM))(features(ENCODER, ["ok", "x" * 5000]))
    assert np.isnan(found[:, 1]).all()
    assert (np.delete(found, 1, axis=1) >= 0).all()


def test_features_are_standardised_alike_whether_costs_are_known_or_not():
    table = example_table(60)
    nothing_NM = np.full((60, 3), np.nan)
    known, unknown = costs_of(table), costs_of(replace(table, usd_NM=nothing_NM, seconds_NM=nothing_NM))
    np.testing.assert_array_equal(known.center_D, unknown.center_D)
    np.testing.assert_array_equal(known.scale_D, unknown.scale_D)
    assert not np.allclose(unknown.scale_D, 1)
    assert np.isnan(unknown(features(ENCODER, ["ok"]))).all()


@pytest.mark.parametrize("router", [DualContrastive(dims=8, epochs=3), PreferenceEncoder(hidden=8, epochs=3)])
def test_quality_does_not_depend_on_whether_costs_are_known(router):
    table = example_table(60)
    nothing_NM = np.full((60, 3), np.nan)
    unpriced = replace(table, usd_NM=nothing_NM, seconds_NM=nothing_NM)
    one, other = (replace(router).fit(each).predict(table.prompts) for each in (table, unpriced))
    np.testing.assert_array_equal(one.quality_NM, other.quality_NM)
    np.testing.assert_array_equal(one.spread_NM, other.spread_NM)
