"""Schedules start and end where they are told to, and never turn back."""

from __future__ import annotations

import itertools

import pytest

from waypost.errors import BadInput
from waypost.experts import Ramp, Schedule, Steps


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
def test_a_ramp_goes_from_first_to_last_and_stays(shape: str) -> None:
    ramp = Ramp(1, 16, steps=50, shape=shape)
    values = [ramp.at(step) for step in range(60)]
    assert values[0] == 1 and values[50:] == pytest.approx([16] * 10)
    assert all(a <= b for a, b in itertools.pairwise(values))


def test_the_exponential_ramp_closes_one_percent_of_the_gap_in_each_of_300_pieces() -> None:
    ramp = Ramp(0, 1, steps=300, shape="exponential")
    gaps = [1 - ramp.at(step) + 0.99**300 / (1 - 0.99**300) for step in range(301)]
    assert all(b / a == pytest.approx(0.99) for a, b in itertools.pairwise(gaps))


def test_steps_take_equally_long_and_end_at_the_last() -> None:
    schedule = Schedule(k=Steps((1, 2, 4, 8, 16), steps=10))
    assert [schedule.at(step).k for step in range(12)] == [1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16, 16]


def test_fewer_steps_than_values_skip_some() -> None:
    assert [Steps((1, 2, 4, 8), steps=2).at(step) for step in range(3)] == [1, 4, 8]


def test_a_schedule_says_when_to_freeze_and_which_stage_it_is() -> None:
    schedule = Schedule(stages=(3, 5), freeze_from=4)
    assert [schedule.at(step).stage for step in range(7)] == [1, 1, 1, 2, 2, 3, 3]
    assert [schedule.at(step).frozen for step in range(7)] == [False] * 4 + [True] * 3


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Ramp(1, 2, steps=0), "steps is 0; a ramp has at least 1"),
        (lambda: Ramp(1, 2, steps=3, shape="square"), "'square'; it is one of linear, cosine, exponential"),
        (lambda: Steps((1, 2), steps=0), "steps is 0; a schedule has at least 1"),
        (lambda: Steps((), steps=3), "no values; a schedule takes at least 1"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
