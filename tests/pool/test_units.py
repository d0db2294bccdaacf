"""The table of units: exact factors, spellings, products."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.pool.units import ONE, SPELLINGS, combined, unit_named

UNITS = sorted(set(SPELLINGS.values()), key=lambda u: u.one)


@pytest.mark.parametrize(
    ("amount", "source", "target", "expected"),
    [
        ("1", "mile", "m", "1609.344"),
        ("1", "lb", "g", "453.59237"),
        ("1", "stone", "lb", "14"),
        ("16", "ounces", "pounds", "1"),
        ("100", "°C", "°F", "212"),
        ("-40", "celsius", "fahrenheit", "-40"),
        ("0", "K", "°C", "-273.15"),
        ("1", "gallon", "l", "3.785411784"),
        ("8", "pints", "gallon", "1"),
        ("36", "km/h", "m/s", "10"),
        ("1", "knot", "km/h", "1.852"),
        ("1", "mph", "km/h", "1.609344"),
        ("1", "hectare", "m²", "10000"),
        ("1", "acre", "square feet", "43560"),
        ("1", "GiB", "bytes", "1073741824"),
        ("1", "TB", "GB", "1000"),
        ("1", "week", "hours", "168"),
    ],
)
def test_conversions_are_the_defined_ones(amount, source, target, expected):
    assert unit_named(source).convert(Fraction(amount), unit_named(target)) == Fraction(expected)


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.fractions())
def test_there_and_back_changes_nothing(here, there, amount):
    if here.dimension == there.dimension:
        assert there.convert(here.convert(amount, there), here) == amount


@given(st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_dividing_a_product_gives_the_first_back(left, right):
    again = combined(combined(left, right, 1), right, -1)
    assert (again.dimension, again.factor) == (left.dimension, left.factor)


def test_a_product_finds_its_name_where_there_is_one():
    assert combined(unit_named("m"), unit_named("m"), 1).symbol == "m²"
    assert combined(unit_named("km"), unit_named("h"), -1).symbol == "km/h"
    assert combined(unit_named("kg"), unit_named("m"), 1).symbol == ""
    assert combined(unit_named("km"), unit_named("km"), -1) == ONE


def test_capitals_matter_only_where_they_carry_meaning():
    assert unit_named("KM") is unit_named("km")
    assert unit_named("MB") is not unit_named("Mbit")
    assert unit_named("M") is None
