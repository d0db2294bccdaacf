"""How many codes are in use."""

from __future__ import annotations

import pytest
import torch

from waypost.experts.codes import perplexity, usage


def test_usage_counts_every_code() -> None:
    assert usage(torch.tensor([4, 1, 4]), 6).tolist() == [0, 1, 0, 0, 2, 0]
    assert usage(torch.zeros(0, dtype=torch.long), 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("codes", "expected"), [([0, 1, 2, 3] * 5, 4.0), ([2] * 7, 1.0), ([0, 1] * 3, 2.0), ([0, 0, 0, 1], 1.7548)]
)
def test_perplexity_is_the_number_of_codes_when_they_are_even(codes: list[int], expected: float) -> None:
    assert perplexity(torch.tensor(codes), 4).item() == pytest.approx(expected, abs=1e-4)
