"""The bound on capacity: right where it can be counted, and honest about what it does not say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts.capacity import chance, smallest_capacity


def drawn(width: int, count: int = 200_000) -> torch.Tensor:
    """Cosines of random directions to a fixed one."""
    torch.manual_seed(width)
    x_ND = torch.randn(count, width)
    return x_ND[:, 0] / x_ND.norm(dim=1)


@pytest.mark.parametrize(("width", "delta"), [(2, 0.5), (3, 0.9), (16, 0.03), (16, 0.4), (64, 0.25)])
def test_the_chance_is_that_of_directions_drawn_from_the_sphere(width: int, delta: float) -> None:
    cosine_N = drawn(width)
    for signed, hit_N in ((False, cosine_N.abs() >= delta), (True, cosine_N >= delta)):
        p = chance(width, delta, signed=signed)
        spread = math.sqrt(p * (1 - p) / len(hit_N))
        assert abs(float(hit_N.double().mean()) - p) < 4.5 * spread


def test_the_chance_is_known_in_two_and_three_dimensions() -> None:
    for delta in (0.0, 0.2, 0.7, 1.0):
        assert chance(2, delta) == pytest.approx(2 * math.acos(delta) / math.pi)
        assert chance(3, delta) == pytest.approx(1 - delta)


def test_a_small_chance_keeps_its_digits() -> None:
    """1 less the other tail would be 0 here."""
    log_tail = math.log(chance(4096, 0.3))
    assert log_tail == pytest.approx(0.5 * 4095 * math.log(1 - 0.09) - 0.5 * math.log(math.pi * 2048 * 0.09), rel=2e-3)


@given(st.integers(1, 512), st.integers(3, 8192), st.floats(0.0, 1.0))
def test_the_exponential_form_is_the_looser_bound(experts: int, width: int, delta: float) -> None:
    for form in ("exact", "erfc"):
        close = smallest_capacity(experts, width, delta, form=form)
        assert smallest_capacity(experts, width, delta, form="exp") <= close * (1 + 1e-9)


def test_in_two_dimensions_the_exponential_form_is_no_bound() -> None:
    assert smallest_capacity(1, 2, 0.75, form="exp") > smallest_capacity(1, 2, 0.75)


@pytest.mark.parametrize("width", [64, 1024, 8192])
def test_the_erfc_form_is_near_the_exact_one_where_the_bound_says_something(width: int) -> None:
    for multiple in (0.5, 1.0, 2.0, 3.0):  # of the cosines' standard deviation
        delta = multiple / math.sqrt(width)
        exact, near = (smallest_capacity(16, width, delta, form=form) for form in ("exact", "erfc"))
        assert near == pytest.approx(exact, rel=0.2)


def test_the_erfc_form_is_no_bound() -> None:
    """It lies above the exact value, where the paper has it below, but for angles near 0."""
    sides = [smallest_capacity(16, 64, d, form="erfc") > smallest_capacity(16, 64, d) for d in (0.05, 0.2, 0.5, 0.99)]
    assert sides == [True, True, True, False]


def test_more_experts_or_a_wider_angle_need_less() -> None:
    assert smallest_capacity(32, 256, 0.1) == pytest.approx(smallest_capacity(16, 256, 0.1) / 2)
    assert smallest_capacity(16, 256, 0.05) < smallest_capacity(16, 256, 0.1)


def test_a_gate_that_looks_at_the_sign_needs_twice_as_much() -> None:
    for form in ("exact", "erfc", "exp"):
        both = smallest_capacity(16, 256, 0.1, form=form)
        assert smallest_capacity(16, 256, 0.1, form=form, signed=True) == pytest.approx(2 * both)


def test_at_the_papers_angle_the_bound_says_nothing_unless_tokens_are_wide() -> None:
    assert smallest_capacity(16, 256, 0.03) < 1
    assert smallest_capacity(16, 8192, 0.03) > 1


def test_what_never_happens_needs_endless_capacity() -> None:
    assert smallest_capacity(16, 8192, 1.0) == math.inf
    assert smallest_capacity(16, 100_000, 0.999, form="exp") == math.inf


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: smallest_capacity(0, 64, 0.1), "experts is 0"),
        (lambda: smallest_capacity(4, 1, 0.1), "width is 1; a direction has 2"),
        (lambda: smallest_capacity(4, 64, 1.1), "delta is 1.1; .* from 0 to 1"),
        (lambda: smallest_capacity(4, 64, float("nan")), "delta is nan"),
        (lambda: smallest_capacity(4, 64, 0.1, form="cos"), "'cos'; it is 'exact', 'erfc' or 'exp'"),
    ],
)
def test_what_makes_no_sense_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
