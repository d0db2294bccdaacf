"""What training changes step by step is a value of the step alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts import Ramp, Schedule, Steps


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 50), st.sampled_from(["linear", "cosine", "exponential"]))
def test_a_ramp_goes_from_first_to_last_without_turning_back(first: float, last: float, steps: int, shape: str) -> None:
    ramp = Ramp(first, last, steps, shape)
    values = [ramp.at(step) for step in range(-1, steps + 3)]
    assert values[0] == values[1] == first
    assert values[-1] == values[-2] == values[-3] == pytest.approx(last)
    rising = all(a <= b + 1e-9 for a, b in pairwise(values))
    falling = all(a >= b - 1e-9 for a, b in pairwise(values))
    assert rising if last >= first else falling


def test_k_grows_in_whole_numbers_as_the_published_code_does() -> None:
    schedule = Schedule(k=Ramp(8, 16, steps=400_000))
    assert [schedule.at(step).k for step in (0, 100_000, 200_000, 400_000)] == [8, 10, 12, 16]


def test_the_exponential_ramp_closes_one_percent_of_the_gap_in_each_of_300_pieces() -> None:
    ramp = Ramp(0, 1, steps=300, shape="exponential")
    left = 0.99**300 / (1 - 0.99**300)  # what would be left of the gap if the ramp did not arrive
    gaps = [1 - ramp.at(step) + left for step in range(301)]
    assert all(b / a == pytest.approx(0.99) for a, b in pairwise(gaps))


def test_steps_take_equally_long_and_end_at_the_last() -> None:
    schedule = Schedule(k=Steps((1, 2, 4, 8, 16), steps=10))
    assert [schedule.at(step).k for step in range(-1, 12)] == [1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16, 16]


def test_fewer_steps_than_values_skip_some() -> None:
    assert [Steps((1, 2, 4, 8), steps=2).at(step) for step in range(3)] == [1, 4, 8]


def test_stages_and_freezing_begin_at_their_steps() -> None:
    schedule = Schedule(stages=(10, 20), freeze_from=15)
    assert [schedule.at(step).stage for step in (0, 9, 10, 20)] == [1, 1, 2, 3]
    assert [schedule.at(step).frozen for step in (14, 15)] == [False, True]


def test_what_cannot_be_a_ramp_is_said() -> None:
    with pytest.raises(BadInput, match="steps is 0"):
        Ramp(1, 2, steps=0)
    with pytest.raises(BadInput, match="'square'; it is one of linear"):
        Ramp(1, 2, steps=3, shape="square")
    with pytest.raises(BadInput, match="steps is 0; a schedule has at least 1"):
        Steps((1, 2), steps=0)
    with pytest.raises(BadInput, match="no values; a schedule takes at least 1"):
        Steps((), steps=3)
