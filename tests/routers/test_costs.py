"""The shared cost head, alone and beside what doubts: costs follow length, and are unknown where nothing is known."""

from dataclasses import replace

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import example_table
from waypost.routers._costs import Costs
from waypost.routers._features import features
from waypost.routers._targets import targets

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
